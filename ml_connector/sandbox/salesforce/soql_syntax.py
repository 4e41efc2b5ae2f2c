"""SOQL text to a syntax tree."""

from dataclasses import dataclass, field
from datetime import UTC, date
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files
from typing import Any

from lark import Lark, Token, Transformer, UnexpectedInput
from lark.exceptions import VisitError

from ml_connector.sandbox.salesforce.faults import SalesforceFault
from ml_connector.sandbox.salesforce.values import instant

LONGEST_QUERY = 100_000
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}


@dataclass(frozen=True, slots=True)
class Path:
    """A field, perhaps of a parent: its names in order."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join(self.names)


@dataclass(frozen=True, slots=True)
class Call:
    """An aggregate over a field; ``path`` is None for COUNT()."""

    function: str
    path: Path | None


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant with the way it was written: string, number, date, datetime, boolean, null."""

    kind: str
    value: Any


@dataclass(frozen=True, slots=True)
class DateRange:
    """A date literal such as TODAY or LAST_N_DAYS:30."""

    name: str
    count: int | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Field, operator, value or values."""

    operand: Path | Call
    operator: str
    value: Any


@dataclass(frozen=True, slots=True)
class Junction:
    """Conditions that must all hold (AND) or of which one must (OR)."""

    word: str
    parts: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Negation:
    """The opposite of a condition."""

    inner: Any


@dataclass(frozen=True, slots=True)
class FieldGroup:
    """FIELDS(ALL), FIELDS(STANDARD) or FIELDS(CUSTOM)."""

    name: str


@dataclass(frozen=True, slots=True)
class Item:
    """One thing selected, with its alias."""

    what: Any
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class Sorting:
    """One order criterion."""

    operand: Path | Call
    descending: bool
    nulls_last: bool


@dataclass(frozen=True, slots=True)
class Select:
    """A query or a child query."""

    items: tuple[Item, ...]
    source: Path
    alias: str | None = None
    where: Any = None
    groups: tuple[Path, ...] = ()
    having: Any = None
    sorting: tuple[Sorting, ...] = ()
    limit: int | None = None
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class _Clause:
    name: str
    value: Any = field(default=None)


def malformed(message: str) -> SalesforceFault:
    """The refusal of a query that cannot be understood."""
    return SalesforceFault("MALFORMED_QUERY", message)


@lru_cache(maxsize=256)
def parse(text: str) -> Select:
    """The syntax tree of a query; MALFORMED_QUERY when there is none."""
    if len(text) > LONGEST_QUERY:
        raise malformed(f"A query has at most {LONGEST_QUERY} characters")
    try:
        found = _BUILDER.transform(_parser().parse(text))
    except UnexpectedInput as error:
        place = getattr(error, "column", "?")
        raise malformed(f"The query is not understood at column {place}") from error
    except VisitError as error:
        if isinstance(error.orig_exc, SalesforceFault):
            raise error.orig_exc from error
        raise
    if not isinstance(found, Select):
        raise TypeError("a query is a select")
    return found


@lru_cache(maxsize=1)
def _parser() -> Lark:
    grammar = files("ml_connector.sandbox.salesforce").joinpath("soql.lark").read_text()
    return Lark(grammar, parser="lalr", lexer="contextual", maybe_placeholders=False)


def _unquoted(token: str) -> str:
    body = token[1:-1]
    if "\\" not in body:
        return body
    out, letters = [], iter(body)
    for letter in letters:
        if letter != "\\":
            out.append(letter)
            continue
        escaped = next(letters)
        if escaped in "\\'\"":
            out.append(escaped)
        elif escaped.lower() in _ESCAPES:
            out.append(_ESCAPES[escaped.lower()])
        elif escaped in "%_":
            out.append("\\" + escaped)
        else:
            raise malformed(f"A string has no escape \\{escaped}")
    return "".join(out)


def _names(children: list[Any]) -> list[Any]:
    """What is left when keywords are dropped."""
    return [child for child in children if not isinstance(child, Token) or child.type == "NAME"]


class _Builder(Transformer[Token, Any]):
    """Lark's tree to ours, rule by rule."""

    def start(self, children: list[Any]) -> Select:
        return self._select(children)

    def subquery(self, children: list[Any]) -> Item:
        return Item(self._select(children))

    def _select(self, children: list[Any]) -> Select:
        clauses = {c.name: c.value for c in children if isinstance(c, _Clause)}
        source, alias = clauses.pop("source")
        return Select(source=source, alias=alias, **clauses)

    def select_list(self, children: list[Any]) -> _Clause:
        return _Clause("items", tuple(children))

    def column(self, children: list[Any]) -> Item:
        return Item(children[0], children[1] if len(children) > 1 else None)

    def fields(self, children: list[Any]) -> Item:
        return Item(FieldGroup(str(children[-1]).upper()))

    def count_all(self, children: list[Any]) -> Item:
        if children[0].upper() != "COUNT":
            raise malformed(f"{children[0]}() needs a field")
        return Item(Call("COUNT", None), children[1] if len(children) > 1 else None)

    def call(self, children: list[Any]) -> Item:
        return Item(_function(children), children[2] if len(children) > 2 else None)

    def alias(self, children: list[Any]) -> str:
        return str(children[0])

    def source(self, children: list[Any]) -> _Clause:
        return _Clause("source", (children[0], children[1] if len(children) > 1 else None))

    def path(self, children: list[Any]) -> Path:
        return Path(tuple(str(name) for name in children))

    def where_clause(self, children: list[Any]) -> _Clause:
        return _Clause("where", children[-1])

    def having_clause(self, children: list[Any]) -> _Clause:
        return _Clause("having", children[-1])

    def and_chain(self, children: list[Any]) -> Junction:
        return Junction("AND", tuple(_names(children)))

    def or_chain(self, children: list[Any]) -> Junction:
        return Junction("OR", tuple(_names(children)))

    def negation(self, children: list[Any]) -> Negation:
        return Negation(children[-1])

    def group(self, children: list[Any]) -> Any:
        return children[0]

    def operand(self, children: list[Any]) -> Path:
        path = children[0]
        if not isinstance(path, Path):
            raise TypeError("an operand is a path")
        return path

    def operand_call(self, children: list[Any]) -> Call:
        return _function(children)

    def operand_count(self, children: list[Any]) -> Call:
        if children[0].upper() != "COUNT":
            raise malformed(f"{children[0]}() needs a field")
        return Call("COUNT", None)

    def compare(self, children: list[Any]) -> Comparison:
        operator = str(children[1])
        return Comparison(children[0], "!=" if operator == "<>" else operator, children[2])

    def like(self, children: list[Any]) -> Comparison:
        return Comparison(children[0], "LIKE", Literal("string", _unquoted(children[2])))

    def in_set(self, children: list[Any]) -> Comparison:
        return Comparison(children[0], "IN", children[-1])

    def not_in_set(self, children: list[Any]) -> Comparison:
        return Comparison(children[0], "NOT IN", children[-1])

    def includes(self, children: list[Any]) -> Comparison:
        return Comparison(children[0], "INCLUDES", tuple(_unquoted(s) for s in children[2:]))

    def excludes(self, children: list[Any]) -> Comparison:
        return Comparison(children[0], "EXCLUDES", tuple(_unquoted(s) for s in children[2:]))

    def values(self, children: list[Any]) -> tuple[Any, ...]:
        return tuple(children)

    def semi_join(self, children: list[Any]) -> Select:
        kept = [c for c in children if isinstance(c, _Clause | Path)]
        return self._select([_Clause("items", (Item(kept[0]),)), *kept[1:]])

    def string(self, children: list[Any]) -> Literal:
        return Literal("string", _unquoted(children[0]))

    def datetime(self, children: list[Any]) -> Literal:
        moment = instant(str(children[0]))
        if moment is None:
            raise malformed(f"{children[0]} is no instant")
        return Literal("datetime", moment.astimezone(UTC))

    def date(self, children: list[Any]) -> Literal:
        try:
            return Literal("date", date.fromisoformat(children[0]))
        except ValueError as error:
            raise malformed(f"{children[0]} is no day") from error

    def number(self, children: list[Any]) -> Literal:
        return Literal("number", Decimal(str(children[0])))

    def currency(self, children: list[Any]) -> Literal:
        return Literal("number", Decimal(str(children[0])[3:]))

    def true(self, _children: list[Any]) -> Literal:
        return Literal("boolean", True)

    def false(self, _children: list[Any]) -> Literal:
        return Literal("boolean", False)

    def null(self, _children: list[Any]) -> Literal:
        return Literal("null", None)

    def date_literal(self, children: list[Any]) -> DateRange:
        count = int(children[1]) if len(children) > 1 else None
        return DateRange(str(children[0]).upper(), count)

    def group_clause(self, children: list[Any]) -> _Clause:
        return _Clause("groups", tuple(_names(children)))

    def order_clause(self, children: list[Any]) -> _Clause:
        return _Clause("sorting", tuple(_names(children)))

    def order_item(self, children: list[Any]) -> Sorting:
        words = " ".join(str(word).upper() for word in children[1:])
        descending = "DESC" in words
        last = "LAST" in words
        return Sorting(children[0], descending, last)

    def limit_clause(self, children: list[Any]) -> _Clause:
        return _Clause("limit", _whole(children[-1]))

    def offset_clause(self, children: list[Any]) -> _Clause:
        return _Clause("offset", _whole(children[-1]))

    def for_clause(self, _children: list[Any]) -> None:
        return None


def _whole(token: str) -> int:
    if not token.isdigit():
        raise malformed(f"{token} is no whole number")
    return int(token)


def _function(children: list[Any]) -> Call:
    name = str(children[0]).upper()
    if name not in ("COUNT", "COUNT_DISTINCT", "SUM", "AVG", "MIN", "MAX"):
        raise malformed(f"There is no function {children[0]}")
    return Call(name, children[1])


_BUILDER: Transformer[Token, Any] = _Builder()
