"""Query options: reading them, running them, and paging."""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import overload
from urllib.parse import unquote_plus

from ml_connector.sandbox.business_central.company import Company
from ml_connector.sandbox.business_central.entities import (
    ENTITIES,
    NEEDS_PARENT,
    Entity,
    Navigation,
)
from ml_connector.sandbox.business_central.faults import Refusal, bad_request, business_rule
from ml_connector.sandbox.business_central.filters import Compiled, compile_filter
from ml_connector.sandbox.business_central.tables import Row
from ml_connector.sandbox.business_central.views import contacts_of_customer, derived_rows, show

LARGEST_PAGE = 20_000
_KNOWN = {
    "$filter",
    "$select",
    "$expand",
    "$orderby",
    "$top",
    "$skip",
    "$count",
    "$skiptoken",
    "$schemaversion",
    "company",
    "tenant",
}
_ONE_EACH = ("customerFinancialDetails", "agedAccountsReceivables")
_PAGE_SIZE = re.compile(r"odata\.maxpagesize\s*=\s*\"?(\d+)", re.IGNORECASE)


@dataclass(slots=True)
class Options:
    """The query options of a set, or of an expanded property."""

    filter: str | None = None
    select: tuple[str, ...] | None = None
    expand: dict[str, "Options"] = field(default_factory=dict)
    orderby: tuple[tuple[str, bool], ...] = ()
    top: int | None = None
    skip: int = 0
    count: bool = False
    skiptoken: str | None = None
    schema_21: bool = False


@dataclass(slots=True)
class Page:
    """Rows of one page and how to go on."""

    rows: Sequence[Row]
    total: int
    next_token: str | None


def parse_query(query: str) -> dict[str, str]:
    """The options of a query string, by name."""
    options: dict[str, str] = {}
    for part in query.split("&"):
        if not part:
            continue
        name, _, value = part.partition("=")
        name = unquote_plus(name)
        if name in options:
            raise bad_request(f"The query option '{name}' is given twice.")
        if name.startswith("$") and name not in _KNOWN:
            raise Refusal(
                501, "BadRequest_MethodNotImplemented", f"The option '{name}' is not supported."
            )
        options[name] = unquote_plus(value)
    return options


def read_options(entity: Entity, given: dict[str, str], *, schema_21: bool = False) -> Options:
    """Check and understand query options for an entity."""
    options = Options(schema_21=schema_21 or given.get("$schemaversion") == "2.1")
    for name, value in given.items():
        if name == "$filter":
            options.filter = value
        elif name == "$select":
            options.select = _select(entity, value)
        elif name == "$expand":
            options.expand = _expand(entity, value, schema_21=options.schema_21)
        elif name == "$orderby":
            options.orderby = _orderby(entity, value)
        elif name == "$top":
            options.top = _count(name, value)
        elif name == "$skip":
            options.skip = _count(name, value)
        elif name == "$count":
            if value not in ("true", "false"):
                raise bad_request("$count is true or false.")
            options.count = value == "true"
        elif name == "$skiptoken":
            options.skiptoken = value
    return options


def _property(entity: Entity, name: str) -> None:
    if name not in entity.fields:
        raise bad_request(f"The type 'Microsoft.NAV.{entity.type_name}' has no property '{name}'.")


def _select(entity: Entity, text: str) -> tuple[str, ...] | None:
    names = [name.strip() for name in text.split(",")]
    if "*" in names:
        return None
    chosen = []
    for name in names:
        if name in entity.navigation:
            continue
        _property(entity, name)
        chosen.append(name)
    return tuple(name for name in entity.fields if name in chosen)


def _orderby(entity: Entity, text: str) -> tuple[tuple[str, bool], ...]:
    keys = []
    for part in text.split(","):
        words = part.split()
        if not 1 <= len(words) <= 2 or (len(words) == 2 and words[1] not in ("asc", "desc")):
            raise bad_request(f"$orderby has a syntax error at '{part}'.")
        _property(entity, words[0])
        if entity.fields[words[0]].calculated:
            raise Refusal(
                501,
                "BadRequest_MethodNotImplemented",
                f"Ordering by the calculated field '{words[0]}' is not supported.",
            )
        keys.append((words[0], words[-1] == "desc"))
    return tuple(keys)


def _count(name: str, value: str) -> int:
    if not value.isdigit():
        raise bad_request(f"{name} is a whole number, not '{value}'.")
    return int(value)


def _expand(entity: Entity, text: str, *, schema_21: bool) -> dict[str, Options]:
    expand: dict[str, Options] = {}
    for part in _split(text, ","):
        name, _, inner = part.strip().partition("(")
        if name not in entity.navigation:
            raise bad_request(
                f"The type 'Microsoft.NAV.{entity.type_name}' has no navigation '{name}'."
            )
        given: dict[str, str] = {}
        if inner:
            if not inner.endswith(")"):
                raise bad_request("$expand has a syntax error.")
            for option in _split(inner[:-1], ";"):
                key, equals, value = option.strip().partition("=")
                if key not in _KNOWN or not equals:
                    raise bad_request(f"$expand has a syntax error at '{option}'.")
                given[key] = value
        target = entity.navigation[name].target
        if target:
            expand[name] = read_options(ENTITIES[target], given, schema_21=schema_21)
        else:
            expand[name] = Options()
    return expand


def _split(text: str, mark: str) -> list[str]:
    """Split at marks outside parentheses and quotes."""
    parts, depth, quoted, start = [], 0, False, 0
    for place, sign in enumerate(text):
        if sign == "'":
            quoted = not quoted
        elif quoted:
            continue
        elif sign == "(":
            depth += 1
        elif sign == ")":
            depth -= 1
        elif sign == mark and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    if depth or quoted:
        raise bad_request("$expand has a syntax error: parentheses do not close.")
    parts.append(text[start:])
    return parts


def page_size(prefer: str) -> int:
    """How many rows the caller wants in a page."""
    match = _PAGE_SIZE.search(prefer)
    if match is None:
        return LARGEST_PAGE
    return min(max(1, int(match[1])), LARGEST_PAGE)


class OnePerCustomer(Sequence[Row]):
    """The rows of a set with one row per customer, calculated when they are looked at."""

    def __init__(self, company: Company, entity: str, customers: Sequence[Row]) -> None:
        self._company = company
        self._entity = entity
        self._customers = customers

    def __len__(self) -> int:
        return len(self._customers)

    @overload
    def __getitem__(self, place: int) -> Row: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Row]: ...

    def __getitem__(self, place: int | slice) -> Row | Sequence[Row]:
        if isinstance(place, slice):
            return derived_rows(self._company, self._entity, self._customers[place])
        return derived_rows(self._company, self._entity, [self._customers[place]])[0]


def compiled(company: Company, entity: Entity, options: Options) -> Compiled | None:
    """The filter of the options, compiled."""
    if options.filter is None:
        return None
    return compile_filter(
        entity,
        options.filter,
        options.schema_21,
        str(company.switches["filter_wildcards"]),
        str(company.switches["calculated_filter"]),
    )


def rows_of(
    company: Company, entity: Entity, options: Options, base: list[Row] | None
) -> Sequence[Row]:
    """All rows that the filter takes, in order; `base` restricts to the rows of a parent."""
    selection = compiled(company, entity, options)
    if base is None and selection is None and not options.orderby and entity.name in _ONE_EACH:
        return OnePerCustomer(company, entity.name, company.table("customers").in_order())
    candidates = _candidates(company, entity, selection) if base is None else base
    test = selection.test if selection is not None else None
    if test is None and not options.orderby:
        return candidates
    rows = [row for row in candidates if test is None or test(row)]
    for name, descending in reversed(options.orderby):
        rows.sort(key=lambda row: row[name], reverse=descending)
    return rows


def _candidates(company: Company, entity: Entity, selection: Compiled | None) -> Sequence[Row]:
    """The rows an index finds for the filter; without one, all."""
    if entity.name in NEEDS_PARENT:
        _check_parent(entity, selection)
    if entity.derived:
        return _derived_candidates(company, entity, selection)
    table = company.table(entity.name)
    if selection is not None:
        usable = [pair for pair in selection.equal if table.indexed(pair[0])]
        if usable:
            name, values = min(usable, key=lambda pair: table.count(*pair))
            rows = [row for value in dict.fromkeys(values) for row in table.find(name, value)]
            if len(values) > 1:
                rows.sort(key=table.sort_key)
            return rows
        if selection.since is not None:
            recent = table.changed_since(selection.since)
            if recent is not None:
                return recent
    return table.in_order()


def _check_parent(entity: Entity, selection: Compiled | None) -> None:
    parent, refusal = NEEDS_PARENT[entity.name]
    if selection is None or not (selection.values_of(parent) or selection.values_of(entity.key)):
        raise business_rule(refusal)


def _derived_candidates(company: Company, entity: Entity, selection: Compiled | None) -> list[Row]:
    customers = company.table("customers")
    for name, source in (
        ("id" if entity.name == "customerFinancialDetails" else "customerId", "id"),
        ("relatedId", "id"),
        ("number" if entity.name == "customerFinancialDetails" else "customerNumber", "number"),
    ):
        values = selection.values_of(name) if selection is not None else None
        if values:
            found = [row for value in values for row in customers.find(source, value)]
            return derived_rows(company, entity.name, found)
    return derived_rows(company, entity.name, customers.in_order())


def page_of(rows: Sequence[Row], key: str, options: Options, size: int) -> Page:
    """One page of the rows: $skip, $top, and the server's own page size."""
    start, given_out = options.skip, 0
    if options.skiptoken is not None:
        start, given_out = _read_token(options.skiptoken, rows, key)
    end = len(rows)
    if options.top is not None:
        end = min(end, start + max(0, options.top - given_out))
    stop = min(end, start + size)
    page = rows[start:stop]
    token = None
    if stop < end and page:
        token = _write_token(stop, given_out + len(page), page[-1][key])
    return Page(page, len(rows), token)


def _write_token(place: int, given_out: int, last: str) -> str:
    return base64.urlsafe_b64encode(f"{place}|{given_out}|{last}".encode()).decode().rstrip("=")


def _read_token(token: str, rows: Sequence[Row], key: str) -> tuple[int, int]:
    """Where to go on: after the last row given out, or at its old place when it is gone."""
    try:
        text = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
        place, given_out, last = text.split("|", 2)
        start, before = int(place), int(given_out)
    except (binascii.Error, ValueError, UnicodeDecodeError) as error:
        raise bad_request("The $skiptoken is not valid.") from error
    if 0 < start <= len(rows) and rows[start - 1][key] == last:
        return start, before
    for found, row in enumerate(rows):
        if row[key] == last:
            return found + 1, before
    return start, before


def navigate(company: Company, row: Row, navigation: Navigation) -> list[Row]:
    """The rows a navigation property of a row leads to."""
    if not navigation.target:
        return []
    target = ENTITIES[navigation.target]
    if target.name == "contactsInformation":
        return contacts_of_customer(company, row)
    if navigation.by is None:
        return []
    field_name, own = navigation.by
    if target.derived:
        customer = company.row("customers", row[own])
        return derived_rows(company, target.name, [customer]) if customer is not None else []
    return company.table(target.name).find(field_name, row[own])


def expanded(company: Company, entity: Entity, row: Row, options: Options) -> Row:
    """A row as it goes out, with what $expand asks for."""
    out = show(company, entity, row, options.select)
    for name, inner in options.expand.items():
        navigation = entity.navigation[name]
        rows = navigate(company, row, navigation)
        if navigation.single:
            target = ENTITIES.get(navigation.target)
            out[name] = expanded(company, target, rows[0], inner) if target and rows else None
            continue
        if not navigation.target:
            out[name] = []
            continue
        target = ENTITIES[navigation.target]
        chosen = rows_of(company, target, inner, rows)
        page = page_of(chosen, target.key, inner, LARGEST_PAGE)
        if inner.count:
            out[f"{name}@odata.count"] = page.total
        out[name] = [expanded(company, target, found, inner) for found in page.rows]
    return out
