"""Read Salesforce records again in batches, as wire models, right before deciding about them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from ml_connector.domain.identifiers import Kind, eighteen
from ml_connector.errors import FeedError
from ml_connector.exchange.again import again_when
from ml_connector.exchange.systems import Systems
from ml_connector.salesforce.models import (
    Account,
    Contact,
    Order,
    OrderItem,
    Product2,
    SObject,
    parse,
    selected_fields,
)
from ml_connector.salesforce.soql import among, both, in_list, select

log = logging.getLogger("ml_connector")

Model = TypeVar("Model", bound=SObject)

SOBJECTS: Mapping[Kind, type[SObject]] = {
    Kind.ITEM: Product2,
    Kind.CUSTOMER: Account,
    Kind.CONTACT: Contact,
    Kind.ORDER: Order,
}


def fields_of(systems: Systems, model: type[SObject]) -> tuple[str, ...]:
    """Return the fields to read of *model* in this org, mapped custom fields included."""
    name = model.__name__
    describe = systems.salesforce.describe(name)
    mapped = [
        mapping.salesforce.split(".", 1)[1]
        for mapping in systems.policy.fields
        if mapping.salesforce.split(".", 1)[0] == name
    ]
    extra = [systems.policy.customers.tax_id_field] if model is Account else []
    if model is Order and systems.policy.orders.requested_date != "none":
        extra.append(systems.policy.orders.requested_date)
    wanted = [*selected_fields(model, describe.has), *mapped, *(each for each in extra if each)]
    return tuple(dict.fromkeys(wanted))


def read_rows(
    systems: Systems, sobject: str, fields: Sequence[str], ids: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return the raw rows of the records that still exist, by 18-character id."""
    found: dict[str, dict[str, Any]] = {}
    for row in systems.salesforce.retrieve(sobject, ids, fields):
        if row is not None and not row.get("IsDeleted"):
            found[eighteen(row["Id"])] = row
    return found


def read_models(
    systems: Systems, model: type[Model], ids: Sequence[str]
) -> tuple[dict[str, Model], dict[str, dict[str, Any]]]:
    """Return models and raw rows by id of the records of *ids* that still exist."""
    rows = read_rows(systems, model.__name__, fields_of(systems, model), ids)
    return {key: parse(model, row) for key, row in rows.items()}, rows


def read_orders(
    systems: Systems, ids: Sequence[str]
) -> tuple[dict[str, Order], dict[str, dict[str, Any]]]:
    """Return Orders with their lines, and the raw rows without them, by id.

    Cost: one query per 200 Orders. Long Orders have their lines on pages of their own, each with a
    cursor, and a user has ten: where one dies, lines are read by a query of their own from then on.
    """
    apart: list[bool] = systems.remembered.get(_LINES_APART, lambda: [False])
    orders: dict[str, Order] = {}
    rows: dict[str, dict[str, Any]] = {}
    for chunk in in_list(ids):
        for row in _rows_of_orders(systems, chunk, apart):
            key = eighteen(row["Id"])
            orders[key] = parse(Order, row)
            rows[key] = {name: value for name, value in row.items() if name != "OrderItems"}
    return orders, rows


_LINES_APART = "lines_read_apart"

QUERIES = 3
"""How often a query is asked whose cursor dies between pages."""


def _rows_of_orders(
    systems: Systems, ids: Sequence[str], apart: list[bool]
) -> list[dict[str, Any]]:
    fields = fields_of(systems, Order)
    if not apart[0]:
        lines = select("OrderItems", fields_of(systems, OrderItem), order_by="OrderItemNumber")
        soql = select("Order", [*fields, f"({lines})"], where=among("Id", ids))
        try:
            return list(systems.salesforce.query_rows(soql))
        except FeedError as error:
            log.info("lines of Orders are read by a query of their own: %s", error.message)
            apart[0] = True
    orders = all_rows(systems, select("Order", fields, where=among("Id", ids)))
    soql = select("OrderItem", fields_of(systems, OrderItem), where=among("OrderId", ids))
    found: dict[str, list[dict[str, Any]]] = {}
    for line in all_rows(systems, soql):
        found.setdefault(eighteen(line["OrderId"]), []).append(line)
    return [{**row, "OrderItems": found.get(eighteen(row["Id"]), [])} for row in orders]


def all_rows(systems: Systems, soql: str) -> list[dict[str, Any]]:
    """Return every record of *soql*; one whose cursor dies between pages is asked for anew.

    Raises: FeedError when that happens again and again.
    """
    return again_when(FeedError, lambda: list(systems.salesforce.query_rows(soql)), QUERIES)


def ids_where(
    systems: Systems, sobject: str, ids: Iterable[str], condition: str, field: str = "Id"
) -> set[str]:
    """Return which of *ids* (values of *field*) have a row of *sobject* that meets *condition*."""
    found: set[str] = set()
    for chunk in in_list(list(ids)):
        soql = select(sobject, [field], where=both(among(field, chunk), condition))
        found.update(eighteen(row[field]) for row in all_rows(systems, soql))
    return found
