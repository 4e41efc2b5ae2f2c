"""The `$filter` language as the service takes it, compiled to a predicate and an index plan."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from ml_connector.sandbox.business_central.entities import (
    Entity,
    Field,
    decode_option,
    encode_option,
)
from ml_connector.sandbox.business_central.faults import Refusal, bad_request
from ml_connector.sandbox.business_central.tables import Row
from ml_connector.sandbox.business_central.values import GUID, read_date, read_instant

Test = Callable[[Row], bool]

_TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^']|'')*')|(?P<guid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"
    r"|(?P<instant>\d{4}-\d\d-\d\dT[0-9:.]+(?:Z|[+-]\d\d:\d\d)?)|(?P<date>\d{4}-\d\d-\d\d)"
    r"|(?P<number>[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?[mMdDfFlL]?)"
    r"|(?P<name>[A-Za-z_][\w.]*(?:/[A-Za-z_]\w*)*)|(?P<mark>[(),]))"
)
_COMPARE = {"eq", "ne", "gt", "ge", "lt", "le"}
_SEARCH = {"startswith", "endswith", "contains"}
_CASE = {"tolower", "toupper"}
_LAMBDA = re.compile(r"[A-Za-z_]\w*/(?:any|all)\s*\(")


@dataclass(frozen=True, slots=True)
class Compiled:
    """A filter ready to run: the test, the fields it looks at, and what an index can give."""

    test: Test | None
    equal: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    since: str | None = None

    def values_of(self, field: str) -> tuple[Any, ...] | None:
        """The values a field must have one of, when the filter says so."""
        for name, values in self.equal:
            if name == field:
                return values
        return None


@dataclass(frozen=True, slots=True)
class _Operand:
    """A field, perhaps folded or cut."""

    field: Field
    folded: bool = False
    start: int = 0
    length: int | None = None


@dataclass(frozen=True, slots=True)
class _Node:
    test: Test | None
    fields: frozenset[str]
    equal: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    since: str | None = None


@lru_cache(maxsize=2048)
def compile_filter(
    entity: Entity, text: str, schema_21: bool, wildcards: str, calculated: str
) -> Compiled:
    """Compile a filter for an entity; refusals are the service's."""
    node = _Parser(entity, _without_lambdas(text), schema_21, wildcards, calculated).parse()
    return Compiled(node.test, node.equal, node.since)


def _without_lambdas(text: str) -> str:
    """Lambda terms are dropped in silence: what is left is the filter without them."""
    match = _LAMBDA.search(text)
    while match:
        depth, end, quoted = 1, match.end(), False
        while end < len(text) and depth:
            character = text[end]
            if character == "'":
                quoted = not quoted
            elif not quoted:
                depth += {"(": 1, ")": -1}.get(character, 0)
            end += 1
        text = f"{text[: match.start()]}lambda_term{text[end:]}"
        match = _LAMBDA.search(text)
    return text


class _Parser:
    def __init__(
        self, entity: Entity, text: str, schema_21: bool, wildcards: str, calculated: str
    ) -> None:
        self._entity = entity
        self._schema_21 = schema_21
        self._wildcards = wildcards
        self._calculated = calculated
        self._tokens = _tokens(text)
        self._place = 0

    def parse(self) -> _Node:
        node = self._or()
        if self._place < len(self._tokens):
            raise bad_request(f"The filter has a syntax error at '{self._tokens[self._place][1]}'.")
        return node

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._place] if self._place < len(self._tokens) else ("end", "")

    def _next(self) -> tuple[str, str]:
        token = self._peek()
        self._place += 1
        return token

    def _expect(self, mark: str) -> None:
        if self._next() != ("mark", mark):
            raise bad_request(f"The filter has a syntax error: '{mark}' is missing.")

    def _word(self, word: str) -> bool:
        kind, text = self._peek()
        if kind == "name" and text == word:
            self._place += 1
            return True
        return False

    def _or(self) -> _Node:
        nodes = [self._and()]
        while self._word("or"):
            nodes.append(self._and())
        if len(nodes) == 1:
            return nodes[0]
        fields = frozenset().union(*(node.fields for node in nodes))
        if len(fields) > 1:
            raise bad_request("An OData filter cannot use OR on distinct fields.")
        tests = [node.test for node in nodes]
        if any(test is None for test in tests):
            return _Node(None, fields)
        equal: tuple[tuple[str, tuple[Any, ...]], ...] = ()
        if all(len(node.equal) == 1 for node in nodes):
            field = nodes[0].equal[0][0]
            equal = ((field, tuple(v for node in nodes for v in node.equal[0][1])),)
            values = frozenset(equal[0][1])
            return _Node(lambda row: row[field] in values, fields, equal)
        checks = [test for test in tests if test is not None]
        return _Node(lambda row: any(check(row) for check in checks), fields)

    def _and(self) -> _Node:
        nodes = [self._term()]
        while self._word("and"):
            nodes.append(self._term())
        if len(nodes) == 1:
            return nodes[0]
        checks = [node.test for node in nodes if node.test is not None]
        sinces = [node.since for node in nodes if node.since is not None]
        return _Node(
            (lambda row: all(check(row) for check in checks)) if checks else None,
            frozenset().union(*(node.fields for node in nodes)),
            tuple(pair for node in nodes for pair in node.equal),
            max(sinces) if sinces else None,
        )

    def _term(self) -> _Node:
        kind, text = self._peek()
        if (kind, text) == ("mark", "("):
            self._place += 1
            node = self._or()
            self._expect(")")
            return node
        if kind == "name" and text == "lambda_term":
            self._place += 1
            return _Node(None, frozenset())
        if kind == "name" and text == "not":
            raise bad_request("The operator 'not' is not supported in a filter.")
        if kind == "name" and text in _SEARCH:
            node = self._search(text)
            if self._word("eq") and not self._word("true"):
                raise bad_request("A text function can only be compared with true.")
            return node
        if kind != "name":
            raise bad_request(f"The filter has a syntax error at '{text}'.")
        operand = self._operand()
        kind, word = self._next()
        if word == "in" and kind == "name":
            return self._in(operand)
        if kind != "name" or word not in _COMPARE:
            raise bad_request(f"The filter has a syntax error: '{word}' is no operator.")
        return self._comparison(operand, word, self._literal(operand))

    def _search(self, function: str) -> _Node:
        self._place += 1
        self._expect("(")
        nested = self._peek()[1] in _CASE | {"substring"}
        if nested and not self._schema_21:
            raise bad_request("Nested functions need $schemaversion=2.1.")
        operand = self._operand()
        self._expect(",")
        kind, text = self._next()
        if kind == "name" and text in _CASE and self._schema_21:
            self._expect("(")
            kind, text = self._next()
            self._expect(")")
        if kind != "string" or operand.field.type not in ("text", "code", "enum", "formula"):
            raise bad_request(f"{function} needs a text field and a text.")
        self._expect(")")
        value = _unquoted(text)
        self._check_length(operand.field, value)
        get = _getter(operand)
        wanted = _folded_like(operand, value)
        tests: dict[str, Test] = {
            "startswith": lambda row: get(row).startswith(wanted),
            "endswith": lambda row: get(row).endswith(wanted),
            "contains": lambda row: wanted in get(row),
        }
        return _Node(tests[function], frozenset({operand.field.name}))

    def _operand(self) -> _Operand:
        kind, text = self._next()
        if kind != "name":
            raise bad_request(f"The filter has a syntax error at '{text}'.")
        if text in _CASE:
            self._expect("(")
            inner = self._operand()
            self._expect(")")
            return _Operand(inner.field, True, inner.start, inner.length)
        if text == "substring":
            self._expect("(")
            inner = self._operand()
            self._expect(",")
            start, length = int(self._number()), None
            if self._peek() == ("mark", ","):
                self._place += 1
                length = int(self._number())
            self._expect(")")
            return _Operand(inner.field, inner.folded, start, length)
        if self._peek() == ("mark", "("):
            raise bad_request(f"The function '{text}' is not supported in a filter.")
        field = self._entity.fields.get(text)
        if field is None:
            raise bad_request(
                f"The type 'Microsoft.NAV.{self._entity.type_name}' has no property '{text}'."
            )
        if field.calculated and self._calculated == "error":
            raise bad_request(f"The field '{text}' is calculated and cannot be filtered.")
        return _Operand(field)

    def _number(self) -> str:
        kind, text = self._next()
        if kind != "number":
            raise bad_request(f"The filter needs a number, not '{text}'.")
        return text

    def _in(self, operand: _Operand) -> _Node:
        if not self._schema_21:
            raise bad_request("The operator 'in' needs $schemaversion=2.1.")
        self._expect("(")
        values = [self._literal(operand)]
        while self._peek() == ("mark", ","):
            self._place += 1
            values.append(self._literal(operand))
        self._expect(")")
        get = _getter(operand)
        wanted = frozenset(values)
        plain = not operand.folded and not operand.start and operand.length is None
        equal = ((operand.field.name, tuple(values)),) if plain else ()
        return _Node(lambda row: get(row) in wanted, frozenset({operand.field.name}), equal)

    def _check_length(self, field: Field, value: str) -> None:
        if field.length and len(value) > field.length:
            raise Refusal(
                400,
                "Application_FilterErrorException",
                f"The filter value has {len(value)} characters; {field.name} takes "
                f"{field.length} at most.",
            )

    def _literal(self, operand: _Operand) -> Any:
        kind, text = self._next()
        field = operand.field
        if field.type in ("text", "code", "formula", "enum"):
            if kind != "string":
                raise _mismatch(field, text)
            value = _unquoted(text)
            if field.type == "enum":
                return _option_literal(field, value)
            self._check_length(field, value)
            return _folded_like(operand, value)
        if field.type == "guid":
            if kind != "guid":
                raise _mismatch(field, text)
            return text.lower()
        if field.type == "bool":
            if kind != "name" or text not in ("true", "false"):
                raise _mismatch(field, text)
            return text == "true"
        if field.type == "date":
            if kind != "date":
                raise _mismatch(field, text)
            return read_date(text)
        if field.type == "datetime":
            if kind != "instant":
                raise _mismatch(field, text)
            return read_instant(text)[:-1]
        if kind != "number":
            raise _mismatch(field, text)
        try:
            return Decimal(text.rstrip("mMdDfFlL"))
        except InvalidOperation as error:
            raise _mismatch(field, text) from error

    def _comparison(self, operand: _Operand, word: str, value: Any) -> _Node:
        field = operand.field
        get = _getter(operand)
        fields = frozenset({field.name})
        plain = not operand.folded and not operand.start and operand.length is None
        if word in ("eq", "ne") and field.type in ("text", "code"):
            pattern = _pattern(value, self._wildcards)
            if pattern is not None:
                match = pattern.fullmatch
                if word == "eq":
                    return _Node(lambda row: match(get(row)) is not None, fields)
                return _Node(lambda row: match(get(row)) is None, fields)
        if word == "eq":
            equal = ((field.name, (value,)),) if plain and field.type != "datetime" else ()
            return _Node(lambda row: get(row) == value, fields, equal)
        tests: dict[str, Test] = {
            "ne": lambda row: get(row) != value,
            "gt": lambda row: get(row) > value,
            "ge": lambda row: get(row) >= value,
            "lt": lambda row: get(row) < value,
            "le": lambda row: get(row) <= value,
        }
        since = value if field.name == "lastModifiedDateTime" and word in ("gt", "ge") else None
        return _Node(tests[word], fields, (), since)


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, place = [], 0
    text = text.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise bad_request(f"The filter has a syntax error at position {place}.")
        tokens.append((match.lastgroup, match[match.lastgroup]))
        place = match.end()
    if not tokens:
        raise bad_request("The filter is empty.")
    return tokens


def _unquoted(text: str) -> str:
    return text[1:-1].replace("''", "'")


def _mismatch(field: Field, text: str) -> Refusal:
    return bad_request(f"'{text}' cannot be compared with '{field.name}', which is {field.type}.")


def _option_literal(field: Field, value: str) -> str:
    caption = decode_option(value) or " "
    for option in field.options:
        if option == caption:
            return encode_option(option)
    raise Refusal(400, "Unknown", f"'{value}' is no option of {field.name}.")


def _folded_like(operand: _Operand, value: str) -> str:
    if operand.field.type == "code":
        value = value.strip().upper()
    return value.lower() if operand.folded else value


def _getter(operand: _Operand) -> Callable[[Row], Any]:
    name, start, length = operand.field.name, operand.start, operand.length
    if operand.field.type == "datetime":
        return lambda row: row[name][:-1]
    if start or length is not None:
        end = None if length is None else start + length
        if operand.folded:
            return lambda row: row[name][start:end].lower()
        return lambda row: row[name][start:end]
    if operand.folded:
        return lambda row: row[name].lower()
    return lambda row: row[name]


def _pattern(value: str, wildcards: str) -> re.Pattern[str] | None:
    """AL filter marks that leak through in an equality; which ones is a switch."""
    if wildcards == "none":
        return None
    marks = "*" if wildcards == "star" else "*?@&|"
    if not any(mark in value for mark in marks):
        return None
    if wildcards == "all":
        if "&" in value:
            return re.compile(r"(?!)")
        parts = value.split("|")
        folded = any(part.startswith("@") for part in parts)
        text = "|".join(
            re.escape(part.removeprefix("@")).replace(r"\*", ".*").replace(r"\?", ".")
            for part in parts
        )
        return re.compile(text, re.DOTALL | (re.IGNORECASE if folded else 0))
    return re.compile(re.escape(value).replace(r"\*", ".*"), re.DOTALL)


def is_guid(text: str) -> bool:
    """Whether a key of a URL is a GUID."""
    return GUID.fullmatch(text) is not None
