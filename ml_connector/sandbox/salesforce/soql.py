"""Runs SOQL: which records a query names, in which order, and how they are written out."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cmp_to_key
from typing import Any

from ml_connector.sandbox.salesforce.access import Access, Person
from ml_connector.sandbox.salesforce.faults import SalesforceFault
from ml_connector.sandbox.salesforce.org import SalesforceOrg
from ml_connector.sandbox.salesforce.schema import NUMBER_KINDS, Child, Field, SObject
from ml_connector.sandbox.salesforce.soql_fields import Getter, Names, Resolved
from ml_connector.sandbox.salesforce.soql_filter import Filter
from ml_connector.sandbox.salesforce.soql_syntax import (
    Call,
    Comparison,
    FieldGroup,
    Item,
    Junction,
    Literal,
    Negation,
    Path,
    Select,
    malformed,
    parse,
)
from ml_connector.sandbox.salesforce.values import Row, Value, rounded, show, show_address

LARGEST_OFFSET = 2000
FIELDS_LIMIT = 200
MOST_SUBQUERIES = 20
Record = dict[str, Any]
ChildPage = Callable[[Select, Child, str, list[str]], Record]


@dataclass(slots=True)
class Shape:
    """What is written of a record: its own fields, its parents', its children."""

    sobject: SObject
    fields: dict[str, Field]
    parents: dict[str, tuple[Field, "Shape"]]
    children: dict[str, tuple[Child, "Query"]]


class Query:
    """A compiled query for one user."""

    def __init__(
        self,
        org: SalesforceOrg,
        person: Person,
        select: Select,
        *,
        include_deleted: bool = False,
        parent: SObject | None = None,
    ) -> None:
        self.org = org
        self.select = select
        self.include_deleted = include_deleted
        self.names = Names(org, person)
        self.child: Child | None = None
        if parent is None:
            if len(select.source.names) != 1:
                raise malformed(f"{select.source} is no object")
            self.sobject = self.names.sobject(select.source.names[0])
        else:
            self.child, self.sobject = self.names.child(parent, str(select.source))
        self.filter = Filter(
            self.names, self.sobject, select.alias, org.frame.clock.today(), self._inner
        )
        self.table = org.table(self.sobject.name)
        self._predicate = self.filter.predicate(select.where) if select.where else None
        if select.offset is not None and select.offset > LARGEST_OFFSET:
            raise SalesforceFault(
                "NUMBER_OUTSIDE_VALID_RANGE", f"OFFSET is at most {LARGEST_OFFSET}"
            )
        calls = [item for item in select.items if isinstance(item.what, Call)]
        self.counts_only = len(select.items) == 1 and calls[:1] != [] and calls[0].what.path is None
        self.aggregates = bool(calls or select.groups) and not self.counts_only
        self.shape: Shape | None = None
        if self.counts_only:
            if select.groups or select.sorting:
                raise malformed("COUNT() stands alone")
        elif not self.aggregates:
            if select.having is not None:
                raise malformed("HAVING needs GROUP BY")
            self.shape = self._shape()
        self._order = [] if self.aggregates else [self._sorter(sort) for sort in select.sorting]

    # --- which records ---------------------------------------------------------------------

    def ids(self, within: Iterable[str] | None = None) -> list[str]:
        """Ids of the records that the query names, in order."""
        found = self._found(within)
        if self._order:
            rows = self.table.rows
            for getter, descending, last in reversed(self._order):
                found = _sorted(found, rows, getter, descending=descending, last=last)
        start = self.select.offset or 0
        if self.select.limit is not None:
            return found[start : start + self.select.limit]
        return found[start:] if start else found

    def _found(self, within: Iterable[str] | None) -> list[str]:
        table, predicate = self.table, self._predicate
        candidates = within
        if candidates is None and self.select.where is not None:
            candidates = self.filter.candidates(self.select.where, table)
            candidates = None if candidates is None else sorted(candidates)
        rows = table.rows
        pairs: Iterable[tuple[str, Row]] = (
            rows.items() if candidates is None else ((found, rows[found]) for found in candidates)
        )
        if self.include_deleted:
            in_bin = self.org.in_bin
            return [
                found
                for found, row in pairs
                if (predicate is None or predicate(row))
                and (not row.get("IsDeleted") or in_bin(row))
            ]
        return [
            found
            for found, row in pairs
            if not row.get("IsDeleted") and (predicate is None or predicate(row))
        ]

    def _inner(self, select: Select) -> set[Value]:
        query = Query(self.org, self.names.person, select)
        getter = query.own_getter(select.items[0].what)
        rows = query.table.rows
        values = (getter(rows[found]) for found in query.ids())
        return {value for value in values if value is not None}

    def own_getter(self, path: Path) -> Getter:
        """How to read a field that the query may name."""
        return self.names.field(self.sobject, path, self.select.alias).getter

    def _sorter(self, sort: Any) -> tuple[Getter, bool, bool]:
        if isinstance(sort.operand, Call):
            raise malformed("An aggregate needs GROUP BY")
        found = self.names.field(self.sobject, sort.operand, self.select.alias)
        if not found.column.sortable:
            raise SalesforceFault("INVALID_FIELD", f"{sort.operand} cannot be sorted")
        return found.getter, sort.descending, sort.nulls_last

    # --- what is written -------------------------------------------------------------------

    def _shape(self) -> Shape:
        shape = Shape(self.sobject, {}, {}, {})
        subqueries = 0
        for item in self.select.items:
            if isinstance(item.what, Select):
                subqueries += 1
                query = Query(
                    self.org,
                    self.names.person,
                    item.what,
                    include_deleted=self.include_deleted,
                    parent=self.sobject,
                )
                if query.child is None or query.shape is None:
                    raise malformed("A child query selects fields")
                shape.children[query.child.relationship] = (query.child, query)
            elif isinstance(item.what, FieldGroup):
                self._add_group(shape, item.what)
            else:
                if item.alias is not None:
                    raise malformed("Only aggregates have an alias")
                self._add(shape, item.what)
        if subqueries > MOST_SUBQUERIES:
            raise malformed(f"A query has at most {MOST_SUBQUERIES} child queries")
        return shape

    def _add(self, shape: Shape, path: Path) -> None:
        found = self.names.field(self.sobject, path, self.select.alias)
        for relation, parent in found.steps:
            key = str(relation.relationship)
            if key not in shape.parents:
                shape.parents[key] = (relation, Shape(parent, {}, {}, {}))
            shape = shape.parents[key][1]
        if found.column.name in shape.fields:
            raise SalesforceFault("INVALID_FIELD", f"{path} is selected twice")
        shape.fields[found.column.name] = found.column

    def _add_group(self, shape: Shape, group: FieldGroup) -> None:
        if self.select.limit is None or self.select.limit > FIELDS_LIMIT:
            raise malformed(f"FIELDS needs a LIMIT of at most {FIELDS_LIMIT}")
        if group.name not in ("ALL", "STANDARD", "CUSTOM"):
            raise malformed(f"There is no FIELDS({group.name})")
        wanted = {"ALL": (True, False), "STANDARD": (False,), "CUSTOM": (True,)}[group.name]
        for column in self.sobject.fields.values():
            if column.custom in wanted and self.names.person.access.readable(self.sobject, column):
                shape.fields.setdefault(column.name, column)

    # --- aggregates ------------------------------------------------------------------------

    def aggregate(self) -> list[Record]:
        """The result rows of a query with aggregates."""
        groups = [
            self.names.field(self.sobject, path, self.select.alias) for path in self.select.groups
        ]
        outputs = [self._output(item, groups) for item in self._numbered()]
        rows = self.table.rows
        buckets: dict[tuple[Any, ...], list[Row]] = {}
        every = [rows[found] for found in self._found(None)]
        if not groups:
            buckets[()] = every
        for row in every if groups else ():
            key = tuple(group.getter(row) for group in groups)
            buckets.setdefault(tuple(_fold(part) for part in key), []).append(row)
        if self.select.having is not None:
            test = self._having(self.select.having)
            buckets = {key: bucket for key, bucket in buckets.items() if test(bucket)}
        ordered = list(buckets.values())
        for sort in reversed(self.select.sorting):
            value = self._bucket_value(sort.operand)
            ordered.sort(
                key=cmp_to_key(_comparing(value, descending=sort.descending, last=sort.nulls_last))
            )
        start = self.select.offset or 0
        end = None if self.select.limit is None else start + self.select.limit
        attributes = {"type": "AggregateResult"}
        return [
            {"attributes": attributes, **{name: show(value(b)) for name, value in outputs}}
            for b in ordered[start:end]
        ]

    def _numbered(self) -> list[Item]:
        items, number = [], 0
        for item in self.select.items:
            if isinstance(item.what, Call) and item.alias is None:
                items.append(Item(item.what, f"expr{number}"))
                number += 1
            else:
                items.append(item)
        return items

    def _output(self, item: Item, groups: list[Resolved]) -> tuple[str, Callable[[list[Row]], Any]]:
        if isinstance(item.what, Call):
            return str(item.alias), self._bucket_value(item.what)
        if not isinstance(item.what, Path):
            raise malformed("A grouped query selects fields and aggregates")
        found = self.names.field(self.sobject, item.what, self.select.alias)
        if not any((g.steps, g.column) == (found.steps, found.column) for g in groups):
            raise malformed(f"{item.what} is neither grouped nor aggregated")
        return item.alias or found.column.name, self._bucket_value(item.what)

    def _bucket_value(self, operand: Path | Call) -> Callable[[list[Row]], Any]:
        if isinstance(operand, Path):
            getter = self.own_getter(operand)
            return lambda bucket: getter(bucket[0]) if bucket else None
        if operand.path is None:
            return len
        found = self.names.field(self.sobject, operand.path, self.select.alias)
        if operand.function in ("SUM", "AVG") and found.column.kind not in {*NUMBER_KINDS, "int"}:
            raise malformed(f"{operand.path} cannot be summed")
        reduce = _REDUCERS[operand.function]
        getter = found.getter
        return lambda bucket: reduce([v for v in map(getter, bucket) if v is not None])

    def _having(self, condition: Any) -> Callable[[list[Row]], bool]:
        if isinstance(condition, Junction):
            parts = [self._having(part) for part in condition.parts]
            every = all if condition.word == "AND" else any
            return lambda bucket: every(part(bucket) for part in parts)
        if isinstance(condition, Negation):
            inner = self._having(condition.inner)
            return lambda bucket: not inner(bucket)
        if not isinstance(condition, Comparison) or not isinstance(condition.value, Literal):
            raise malformed("HAVING compares an aggregate with a value")
        value = self._bucket_value(condition.operand)
        wanted = condition.value.value
        tests: dict[str, Callable[[Any], bool]] = {
            "=": lambda v: bool(v == wanted),
            "!=": lambda v: bool(v != wanted),
            "<": lambda v: v is not None and v < wanted,
            "<=": lambda v: v is not None and v <= wanted,
            ">": lambda v: v is not None and v > wanted,
            ">=": lambda v: v is not None and v >= wanted,
        }
        if condition.operator not in tests:
            raise malformed(f"HAVING knows no {condition.operator}")
        test = tests[condition.operator]
        return lambda bucket: test(value(bucket))


def _average(values: list[Any]) -> Any:
    return rounded(Decimal(sum(values)) / len(values), 6) if values else None


_REDUCERS: dict[str, Callable[[list[Any]], Any]] = {
    "COUNT": len,
    "COUNT_DISTINCT": lambda values: len({_fold(value) for value in values}),
    "SUM": lambda values: sum(values) if values else None,
    "AVG": _average,
    "MIN": lambda values: min(values, default=None),
    "MAX": lambda values: max(values, default=None),
}


def _fold(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _sorted(
    ids: list[str], rows: dict[str, Row], getter: Getter, *, descending: bool, last: bool
) -> list[str]:
    """Stable order by one field, nulls at their end."""
    filled, empty = [], []
    for found in ids:
        value = getter(rows[found])
        if value is None:
            empty.append(found)
        else:
            filled.append((_fold(value), found))
    filled.sort(key=_first, reverse=descending)
    ordered = [found for _, found in filled]
    return ordered + empty if last else empty + ordered


def _first(pair: tuple[Any, str]) -> Any:
    return pair[0]


def _comparing(
    value: Callable[[list[Row]], Any], *, descending: bool, last: bool
) -> Callable[[list[Row], list[Row]], int]:
    def compare(left: list[Row], right: list[Row]) -> int:
        a, b = _fold(value(left)), _fold(value(right))
        if a is None or b is None:
            if a is b:
                return 0
            return (1 if last else -1) if a is None else (-1 if last else 1)
        order = int(a > b) - int(a < b)
        return -order if descending else order

    return compare


def render(shape: Shape, org: SalesforceOrg, version: str, row: Row, children: ChildPage) -> Record:
    """A record as a query writes it."""
    name = shape.sobject.name
    record: Record = {
        "attributes": {
            "type": name,
            "url": f"/services/data/v{version}/sobjects/{name}/{row['Id']}",
        }
    }
    for key, column in shape.fields.items():
        value = row.get(key)
        if value is None:
            record[key] = show_address(row, column) if column.kind == "address" else None
        else:
            record[key] = value if value.__class__ is str else show(value)
    for key, (relation, parent_shape) in shape.parents.items():
        parent = org.table(parent_shape.sobject.name).rows.get(str(row.get(relation.name)))
        record[key] = parent and render(parent_shape, org, version, parent, children)
    for key, (child, query) in shape.children.items():
        within = query.table.having(child.field, row["Id"])
        found = query.ids(within)
        record[key] = children(query.select, child, str(row["Id"]), found) if found else None
    return record


_EVERYTHING = Person("", "", "", Access("admin"))


def holds(org: SalesforceOrg, sobject: SObject, condition: str, row: Row) -> bool:
    """Whether a row fulfils a condition written as in WHERE."""
    select = parse(f"SELECT Id FROM {sobject.name} WHERE {condition}")  # noqa: S608 - SOQL of an administrator
    query = Query(org, _EVERYTHING, select)
    return query.filter.predicate(select.where)(row)
