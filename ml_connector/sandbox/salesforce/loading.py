"""Takes a seeded book of records into the org without the checks a client goes through."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from ml_connector.sandbox.salesforce import order_rules, record_rules
from ml_connector.sandbox.salesforce.faults import SalesforceFault
from ml_connector.sandbox.salesforce.ids import normal_id
from ml_connector.sandbox.salesforce.org import SalesforceOrg
from ml_connector.sandbox.salesforce.schema import SObject
from ml_connector.sandbox.salesforce.values import Row, accept

_AUTO_NUMBERS = {"Order": "OrderNumber", "OrderItem": "OrderItemNumber"}


def load(org: SalesforceOrg, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Stores valid rows as they are; derived fields, ids and numbers that lack are filled."""
    sobject = org.schema.find(name)
    if sobject is None:
        raise ValueError(f"the org has no object {name}")
    orders: dict[str, None] = {}
    for source in rows:
        row = _row(org, sobject, source)
        org.table(sobject.name).put(str(row["Id"]), row)
        if sobject.name == "OrderItem":
            orders[str(row["OrderId"])] = None
    for order_id in orders:
        order = org.table("Order").rows.get(order_id)
        if order is None:
            raise ValueError(f"an order product names no order: {order_id}")
        order["TotalAmount"] = order_rules.total_of(org, order_id)


def _row(org: SalesforceOrg, sobject: SObject, source: Mapping[str, Any]) -> Row:
    row: Row = {}
    for key, given in source.items():
        column = sobject.find(key)
        if column is None:
            raise ValueError(f"{sobject.name} has no field {key}")
        if column.name == "Id":
            continue
        try:
            value = accept(column, given)
        except SalesforceFault as fault:
            raise ValueError(f"{sobject.name}.{key} = {given!r}: {fault}") from fault
        if value is not None:
            row[column.name] = value
    row["Id"] = _identity(org, sobject, source)
    _complete(org, sobject, row)
    return row


def _identity(org: SalesforceOrg, sobject: SObject, source: Mapping[str, Any]) -> str:
    given = source.get("Id")
    if given is None:
        return org.new_id(sobject)
    found = normal_id(str(given))
    if found is None or not found.startswith(sobject.prefix):
        raise ValueError(f"{given} is no id of {sobject.name}")
    org.note_id(sobject.name, found)
    return found


def _complete(org: SalesforceOrg, sobject: SObject, row: Row) -> None:
    for column in sobject.fields.values():
        if column.name not in row and column.default is not None:
            row[column.name] = column.default
    if "CurrencyIsoCode" in sobject.fields:
        row.setdefault("CurrencyIsoCode", org.currency)
    if "OwnerId" in sobject.fields:
        row.setdefault("OwnerId", org.rep_user_id)
    row.setdefault("CreatedById", org.rep_user_id)
    row.setdefault("LastModifiedById", row["CreatedById"])
    created = row.setdefault("CreatedDate", org.now())
    activated = row.get("ActivatedDate", created)
    later = isinstance(activated, datetime) and isinstance(created, datetime)
    newest = max(activated, created) if later else created
    row.setdefault("LastModifiedDate", newest)
    row.setdefault("SystemModstamp", row["LastModifiedDate"])
    number = _AUTO_NUMBERS.get(sobject.name)
    if number and number in row:
        key = f"{sobject.name} number"
        org.counters[key] = max(org.counters.get(key, 0), int(str(row[number])))
    if sobject.name == "Order" and order_rules.category(org, row.get("Status")) == "Activated":
        row.setdefault("ActivatedDate", newest)
        row.setdefault("ActivatedById", row["LastModifiedById"])
    if sobject.name == "OrderItem":
        row.setdefault("UnitPrice", Decimal("0.00"))
    record_rules.derive(org, sobject.name, row)
