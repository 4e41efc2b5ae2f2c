"""Loading seed rows: valid rows of a set, with what the company derives, and no trace in a log."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from ml_connector.sandbox.business_central import services
from ml_connector.sandbox.business_central.code_tables import CODED, blank_coded
from ml_connector.sandbox.business_central.company import Company, option
from ml_connector.sandbox.business_central.entities import (
    BLANK_GUID,
    ENTITIES,
    decode_option,
    encode_option,
)
from ml_connector.sandbox.business_central.masters import (
    SHARED_WITH_CONTACT,
    apply_customer_template,
    apply_item_template,
)
from ml_connector.sandbox.business_central.posting import post_order
from ml_connector.sandbox.business_central.tables import Row


def load(company: Company, entity: str, rows: list[Row]) -> None:
    """Take in rows of a set; ids may be given, codes and numbers are natural keys."""
    loader = _LOADERS.get(entity)
    if loader is None:
        if entity not in CODED:
            raise ValueError(f"there is no loading of {entity}")
        for row in rows:
            _load_coded(company, entity, row)
        return
    for row in rows:
        loader(company, row)


def _given(entity: str, values: Row) -> Row:
    """The values in stored form: codes folded, enum captions encoded."""
    out: Row = {}
    for name, value in values.items():
        field = ENTITIES[entity].fields.get(name)
        if field is None or value is None:
            continue
        if field.type == "code":
            out[name] = str(value).strip().upper()
        elif field.type == "enum":
            out[name] = encode_option(decode_option(str(value)) or " ")
        elif field.type == "decimal":
            out[name] = Decimal(value)
        else:
            out[name] = value
    return out


def _add(company: Company, entity: str, row: Row) -> None:
    company.version += 1
    row["_v"] = company.version
    if "lastModifiedDateTime" in row:
        row["lastModifiedDateTime"] = company.stamp()
    company.table(entity).add(row, bulk=True)


def _load_coded(company: Company, entity: str, values: Row) -> None:
    row = blank_coded(company, entity) | _given(entity, values)
    row["id"] = values.get("id") or company.seeded_id(entity, row["code"])
    if "exchangeRate" in values:
        row["_rate"] = Decimal(values["exchangeRate"])
    for hidden in ("_percent", "_sales_tax", "_taxable"):
        if hidden in values:
            row[hidden] = values[hidden]
    known = company.by_code(entity, row["code"])
    if known is not None:
        company.table(entity).remove(known["id"])
    _add(company, entity, row)


def _load_item(company: Company, values: Row) -> None:
    row = company.blank_row("items") | {"_entries": False} | _given("items", values)
    row["id"] = values.get("id") or company.seeded_id("items", row["number"])
    for id_field, code_field, target in (
        ("itemCategoryId", "itemCategoryCode", "itemCategories"),
        ("baseUnitOfMeasureId", "baseUnitOfMeasureCode", "unitsOfMeasure"),
    ):
        found = company.by_code(target, row[code_field]) if row[code_field] else None
        row[id_field] = found["id"] if found is not None else BLANK_GUID
    apply_item_template(company, row)
    _add(company, "items", row)
    units: list[dict[str, Any]] = [{"code": row["baseUnitOfMeasureCode"], "quantity": 1}]
    units += values.get("units", [])
    for unit in units:
        _add(
            company,
            "_item_units",
            {
                "id": company.seeded_id("item unit", row["number"], unit["code"]),
                "itemId": row["id"],
                "code": unit["code"],
                "quantity": Decimal(unit["quantity"]),
            },
        )


def _load_customer(company: Company, values: Row) -> None:
    row = company.blank_row("customers")
    row |= {"_group": "", "_sales": Decimal(0), "_contact": ""} | _given("customers", values)
    row["id"] = values.get("id") or company.seeded_id("customers", row["number"])
    if row["currencyCode"] == company.identity.local_currency:
        row["currencyCode"] = ""
    currency = company.by_code("currencies", row["currencyCode"]) if row["currencyCode"] else None
    row["currencyId"] = currency["id"] if currency is not None else BLANK_GUID
    if values.get("template", True):
        apply_customer_template(company, row, set(values))
    contact = company.blank_row("contacts")
    contact |= {name: row[name] for name in SHARED_WITH_CONTACT}
    contact |= {
        "id": company.seeded_id("contact of customer", row["number"]),
        "number": company.take_number("contacts"),
        "type": "Company",
        "companyName": row["displayName"],
        "searchName": row["displayName"].upper()[:100],
        "contactBusinessRelation": "Customer",
        "_customer": row["id"],
    }
    contact["companyNumber"] = contact["number"]
    row["_contact"] = contact["id"]
    _add(company, "contacts", contact)
    _add(company, "customers", row)


def _load_contact(company: Company, values: Row) -> None:
    row = company.blank_row("contacts") | {"_customer": ""} | _given("contacts", values)
    if not row["number"]:
        row["number"] = company.take_number("contacts")
    row["id"] = values.get("id") or company.seeded_id("contacts", row["number"])
    row["contactBusinessRelation"] = option("None")
    if "companyOfCustomer" in values:
        code = str(values["companyOfCustomer"]).strip().upper()
        customer = company.table("customers").first("number", code)
        if customer is None:
            raise ValueError(f"contact {row['number']}: there is no customer {code}")
        main = company.table("contacts").rows[customer["_contact"]]
        row["companyNumber"], row["companyName"] = main["number"], main["displayName"]
        row["contactBusinessRelation"] = "Customer"
    elif row["type"] == "Company":
        row["companyNumber"], row["companyName"] = row["number"], row["displayName"]
    row["searchName"] = row["displayName"].upper()[:100]
    _add(company, "contacts", row)


def _load_order(company: Company, values: Row) -> None:
    """An order with its lines, as a client would create it; `invoiced` ships and invoices it."""
    body = {name: value for name, value in values.items() if name != "invoiced"}
    with company.unnoticed():
        row = services.create(company, "salesOrders", body, None)
        if values.get("invoiced"):
            post_order(company, row, ship=True, invoice=True)


_LOADERS: dict[str, Callable[[Company, Row], None]] = {
    "items": _load_item,
    "customers": _load_customer,
    "contacts": _load_contact,
    "salesOrders": _load_order,
}
