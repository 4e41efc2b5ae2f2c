"""Conditions of a query: what they mean for a row, and which rows an index names for them."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from ml_connector.sandbox.salesforce.date_literals import midnight, span
from ml_connector.sandbox.salesforce.faults import SalesforceFault
from ml_connector.sandbox.salesforce.ids import normal_id
from ml_connector.sandbox.salesforce.schema import NUMBER_KINDS, TEXT_KINDS, Field, SObject
from ml_connector.sandbox.salesforce.soql_fields import Getter, Names, Resolved
from ml_connector.sandbox.salesforce.soql_syntax import (
    Call,
    Comparison,
    DateRange,
    Junction,
    Literal,
    Negation,
    Path,
    Select,
    malformed,
)
from ml_connector.sandbox.salesforce.table import Table
from ml_connector.sandbox.salesforce.values import Row, Value

Predicate = Callable[[Row], bool]
Inner = Callable[[Select], set[Value]]
_STAMPS = ("SystemModstamp", "LastModifiedDate")


def _wrong_operator(column: Field, operator: str) -> SalesforceFault:
    return SalesforceFault(
        "INVALID_QUERY_FILTER_OPERATOR", f"{column.name} cannot be compared with {operator}"
    )


def _wrong_type(column: Field) -> SalesforceFault:
    return SalesforceFault("INVALID_FIELD", f"The value for {column.name} is not {column.kind}")


@dataclass(frozen=True, slots=True)
class Filter:
    """Compiles the conditions of one query over one object."""

    names: Names
    sobject: SObject
    alias: str | None
    today: date
    inner: Inner

    def predicate(self, condition: Any) -> Predicate:
        """A function that tells whether a row fulfils the condition."""
        if isinstance(condition, Junction):
            parts = [self.predicate(part) for part in condition.parts]
            if condition.word == "AND":
                return lambda row: all(part(row) for part in parts)
            return lambda row: any(part(row) for part in parts)
        if isinstance(condition, Negation):
            inner = self.predicate(condition.inner)
            return lambda row: not inner(row)
        if isinstance(condition.operand, Call):
            raise malformed("An aggregate belongs into HAVING")
        found = self._field(condition.operand)
        return self._comparison(found.column, found.getter, condition)

    def _field(self, path: Path) -> Resolved:
        found = self.names.field(self.sobject, path, self.alias)
        if not found.column.filterable:
            raise SalesforceFault("INVALID_FIELD", f"{path} cannot be filtered")
        return found

    def _comparison(self, column: Field, getter: Getter, condition: Comparison) -> Predicate:
        operator, value = condition.operator, condition.value
        if operator in ("IN", "NOT IN"):
            wanted = self._members(column, value)
            if operator == "IN":
                return lambda row: _folded(column, getter(row)) in wanted
            return lambda row: _folded(column, getter(row)) not in wanted
        if operator == "LIKE":
            return self._like(column, getter, value)
        if operator in ("INCLUDES", "EXCLUDES"):
            return self._includes(column, getter, operator, value)
        if isinstance(value, DateRange):
            return self._in_span(column, getter, operator, value)
        return _plain(column, getter, operator, self.constant(column, value))

    def _members(self, column: Field, value: Any) -> set[Any]:
        if isinstance(value, Select):
            if column.kind not in ("id", "reference"):
                raise malformed(f"{column.name} takes no semi-join")
            if value.source.names[0].lower() == self.sobject.name.lower():
                raise malformed("The inner query is on the same object")
            return self.inner(value)
        if any(isinstance(item, DateRange) for item in value):
            raise malformed(f"{column.name} cannot be in a set of date literals")
        return {_folded(column, self.constant(column, item)) for item in value}

    def _like(self, column: Field, getter: Getter, value: Literal) -> Predicate:
        if column.kind not in TEXT_KINDS:
            raise _wrong_operator(column, "LIKE")
        pattern = _pattern(value.value)
        return lambda row: pattern.match(str(getter(row) or "")) is not None

    def _includes(
        self, column: Field, getter: Getter, operator: str, value: tuple[str, ...]
    ) -> Predicate:
        if column.kind != "multipicklist":
            raise _wrong_operator(column, operator)
        sets = [frozenset(text.lower().split(";")) for text in value]

        def includes(row: Row) -> bool:
            chosen = frozenset(str(getter(row) or "").lower().split(";"))
            return any(wanted <= chosen for wanted in sets)

        return includes if operator == "INCLUDES" else lambda row: not includes(row)

    def _in_span(self, column: Field, getter: Getter, operator: str, value: DateRange) -> Predicate:
        if column.kind not in ("date", "datetime"):
            raise _wrong_type(column)
        start, end = span(value, self.today)
        low: Any = start if column.kind == "date" else midnight(start)
        high: Any = end if column.kind == "date" else midnight(end)
        tests: dict[str, Callable[[Any], bool]] = {
            "=": lambda v: low <= v < high,
            "!=": lambda v: not low <= v < high,
            "<": lambda v: v < low,
            "<=": lambda v: v < high,
            ">": lambda v: v >= high,
            ">=": lambda v: v >= low,
        }
        test = tests[operator]
        on_null = operator == "!="

        def holds(row: Row) -> bool:
            found = getter(row)
            return on_null if found is None else test(found)

        return holds

    def constant(self, column: Field, value: Any) -> Value | None:
        """A literal as a value of the field's type; the refusal when it is of another."""
        if isinstance(value, DateRange):
            raise malformed(f"{value.name} is no value here")
        if value.kind == "null":
            return None
        if column.kind in ("id", "reference"):
            if value.kind != "string":
                raise _wrong_type(column)
            if not value.value:
                return None
            found = normal_id(value.value)
            if found is None:
                raise SalesforceFault(
                    "INVALID_QUERY_FILTER_OPERATOR", f"{value.value} is no id for {column.name}"
                )
            return found
        wanted = (
            "string"
            if column.kind in TEXT_KINDS
            else "number"
            if column.kind in NUMBER_KINDS or column.kind == "int"
            else column.kind
        )
        if value.kind != wanted:
            raise _wrong_type(column)
        found_value: Value | None = value.value
        return found_value if found_value != "" else None

    # --- indexes ---------------------------------------------------------------------------

    def candidates(self, condition: Any, table: Table) -> Iterable[str] | None:
        """Ids among which all fulfilling rows are, or None when no index helps."""
        if isinstance(condition, Junction):
            found = [self.candidates(part, table) for part in condition.parts]
            if condition.word == "OR":
                union: dict[str, None] = {}
                for part in found:
                    if part is None:
                        return None
                    union.update(dict.fromkeys(part))
                return union
            sized = [dict.fromkeys(part) for part in found if part is not None]
            return min(sized, key=len) if sized else None
        if not isinstance(condition, Comparison) or not isinstance(condition.operand, Path):
            return None
        found_field = self._field(condition.operand)
        return self._by_index(found_field, condition, table) if found_field.own else None

    def _by_index(
        self, found: Resolved, condition: Comparison, table: Table
    ) -> Iterable[str] | None:
        column, value = found.column, condition.value
        if condition.operator in (">", ">=") and column.name in _STAMPS:
            return self._recent(column, value, table)
        keyed = column.name == "Id" or column.name in table.indexes
        if not keyed or condition.operator not in ("=", "IN"):
            return None
        wanted = (
            {self.constant(column, value)}
            if condition.operator == "="
            else self._members(column, value)
        )
        ids: dict[str, None] = {}
        for key in wanted:
            if key is None:
                return None
            if column.name == "Id":
                if key in table.rows:
                    ids[str(key)] = None
            else:
                ids.update(dict.fromkeys(table.having(column.name, key)))
        return ids

    def _recent(self, column: Field, value: Any, table: Table) -> Iterable[str] | None:
        if isinstance(value, DateRange):
            moment: Any = midnight(span(value, self.today)[0])
        else:
            moment = self.constant(column, value)
        return table.since(moment) if isinstance(moment, datetime) else None


def _folded(column: Field, value: Any) -> Any:
    """The value as it is compared within a set: ids exactly, other text whatever its case."""
    if column.kind in ("id", "reference") or not isinstance(value, str):
        return value
    return value.lower()


def _plain(column: Field, getter: Getter, operator: str, wanted: Value | None) -> Predicate:
    if wanted is None:
        if operator not in ("=", "!="):
            raise _wrong_operator(column, operator)
        return (
            (lambda row: getter(row) is None)
            if operator == "="
            else (lambda row: getter(row) is not None)
        )
    if operator in ("<", "<=", ">", ">=") and column.kind in ("boolean", "multipicklist"):
        raise _wrong_operator(column, operator)
    fold = column.kind in TEXT_KINDS
    right: Any = str(wanted).lower() if fold else wanted
    tests: dict[str, Callable[[Any], bool]] = {
        "=": lambda v: v == right,
        "!=": lambda v: v != right,
        "<": lambda v: v < right,
        "<=": lambda v: v <= right,
        ">": lambda v: v > right,
        ">=": lambda v: v >= right,
    }
    test = tests[operator]
    on_null = operator == "!="

    def holds(row: Row) -> bool:
        found = getter(row)
        if found is None:
            return on_null
        return test(found.lower() if fold else found)  # type: ignore[union-attr]

    return holds


def _pattern(text: str) -> re.Pattern[str]:
    out, letters = "", iter(text)
    for letter in letters:
        if letter == "\\":
            out += re.escape(next(letters, "\\"))
        else:
            out += {"%": ".*", "_": "."}.get(letter) or re.escape(letter)
    return re.compile(out + r"\Z", re.IGNORECASE | re.DOTALL)
