"""Customers, contacts and items."""

from decimal import Decimal
from typing import Any

from ml_connector.sandbox.business_central.company import Company, is_blank, option
from ml_connector.sandbox.business_central.entities import BLANK, BLANK_GUID
from ml_connector.sandbox.business_central.entry import (
    Validate,
    commit_entered,
    country,
    currency_rules,
    email,
    enter,
    linked,
    only_id,
    phone,
)
from ml_connector.sandbox.business_central.faults import business_rule, field_rule, relation
from ml_connector.sandbox.business_central.tables import Row
from ml_connector.sandbox.business_central.values import Entered

SHARED_WITH_CONTACT = (
    "displayName",
    "addressLine1",
    "addressLine2",
    "city",
    "state",
    "country",
    "postalCode",
    "phoneNumber",
    "email",
    "website",
    "taxRegistrationNumber",
)
POSTING_GROUP = "DOMESTIC"
_AREA_OF_COUNTRY = {"US": "ATLANTA, GA", "GB": "GB-VAT", "DE": "DE-VAT", "CA": "CA-GST"}
_EXPORT = "EXPORT"


def _salesperson(company: Company, row: Row, value: str, _seen: set[str]) -> None:
    if value and company.by_code("salespeoplePurchasers", value) is None:
        raise relation("salespersonCode", value, "Salesperson/Purchaser")
    row["salespersonCode"] = value


def _name(_company: Company, row: Row, value: str, _seen: set[str]) -> None:
    if not value.strip():
        if row.get("_v"):
            raise business_rule('The blank "displayName" is not allowed.')
        raise business_rule('A "displayName" must be provided.')
    row["displayName"] = value


def _area(company: Company, row: Row, value: str, _seen: set[str]) -> None:
    if not is_blank(value) and company.row("taxAreas", value) is None:
        raise business_rule('The "taxAreaId" does not match to a Tax Area.')
    row["taxAreaId"] = value


_CUSTOMER_RULES: dict[str, Validate] = {
    "displayName": _name,
    "country": country,
    "phoneNumber": phone("phoneNumber"),
    "email": email,
    "salespersonCode": _salesperson,
    "taxAreaId": _area,
    "paymentTermsId": only_id("paymentTerms", "paymentTermsId", "Payment Terms"),
    "shipmentMethodId": only_id("shipmentMethods", "shipmentMethodId", "Shipment Method"),
    "paymentMethodId": only_id("paymentMethods", "paymentMethodId", "Payment Method"),
    **currency_rules(),
}


def create_customer(company: Company, entered: Entered, _parent: Row | None = None) -> Row:
    """Create a customer, with its company contact."""
    row = company.blank_row("customers")
    row |= {"_group": "", "_sales": Decimal(0), "_contact": ""}
    enter(company, row, entered, _CUSTOMER_RULES)
    if not row["displayName"].strip():
        raise business_rule('A "displayName" must be provided.')
    row["number"] = company.manual_number("customers", row["number"])
    if company.switches["templates"]:
        names = {field.name for field, _ in entered}
        apply_customer_template(company, row, names)
    company.insert("customers", row)
    if company.switches["customers_get_contacts"]:
        add_company_contact(company, row)
    return row


def apply_customer_template(company: Company, row: Row, given: set[str]) -> None:
    """What the company's template fills on a new customer: posting groups and tax."""
    row["_group"] = POSTING_GROUP
    if "taxAreaId" not in given:
        home = row["country"] or "US"
        area = company.by_code("taxAreas", _AREA_OF_COUNTRY.get(home, _EXPORT))
        row["taxAreaId"] = area["id"] if area is not None else BLANK_GUID
    if "taxLiable" not in given:
        row["taxLiable"] = True
    if "paymentTermsId" not in given:
        terms = company.by_code("paymentTerms", "1M(8D)")
        row["paymentTermsId"] = terms["id"] if terms is not None else BLANK_GUID


def add_company_contact(company: Company, customer: Row, *, number: str = "") -> Row:
    """The company contact of a customer."""
    contact = company.blank_row("contacts")
    contact |= {name: customer[name] for name in SHARED_WITH_CONTACT}
    contact |= {
        "number": number or company.take_number("contacts"),
        "type": "Company",
        "companyName": customer["displayName"],
        "searchName": customer["displayName"].upper()[:100],
        "contactBusinessRelation": "Customer",
        "_customer": customer["id"],
    }
    contact["companyNumber"] = contact["number"]
    company.insert("contacts", contact)
    company.update_silently("customers", customer, {"_contact": contact["id"]})
    return contact


def change_customer(company: Company, row: Row, entered: Entered) -> None:
    """PATCH of a customer; a new number renames it everywhere."""
    work = dict(row)
    enter(company, work, entered, _CUSTOMER_RULES)
    before = row["number"]
    if work["number"] != before:
        if not work["number"]:
            raise business_rule("The number of a customer cannot be emptied.")
        company.manual_number("customers", work["number"])
    changed = commit_entered(company, "customers", row, work)
    if row["number"] != before:
        _rename_customer(company, row)
    shared = {name: row[name] for name in changed if name in SHARED_WITH_CONTACT}
    contact = company.row("contacts", row["_contact"]) if row["_contact"] else None
    if shared and contact is not None:
        if "displayName" in shared:
            shared["companyName"] = shared["displayName"]
        company.update("contacts", contact, shared)


def _rename_customer(company: Company, row: Row) -> None:
    for entity in ("salesOrders", "salesInvoices", "salesCreditMemos", "salesShipments"):
        for document in company.table(entity).find("customerId", row["id"]):
            values = {"customerNumber": row["number"]}
            if document["billToCustomerId"] == row["id"]:
                values["billToCustomerNumber"] = row["number"]
            company.update_silently(entity, document, values)


def merge_customer(company: Company, row: Row, into: Row) -> None:
    """Give the documents and entries of a duplicate to another customer; the duplicate goes."""
    named = {"customerId": into["id"], "customerNumber": into["number"]}
    billed = {"billToCustomerId": into["id"], "billToCustomerNumber": into["number"]}
    for entity in ("salesOrders", "salesInvoices", "salesCreditMemos", "salesShipments"):
        for document in list(company.table(entity).find("customerId", row["id"])):
            is_billed = document["billToCustomerId"] == row["id"]
            company.update(entity, document, named | (billed if is_billed else {}))
    for entry in list(company.table("_ledger").find("customerId", row["id"])):
        company.update_silently("_ledger", entry, {"customerId": into["id"]})
    delete_customer(company, row)


def delete_customer(company: Company, row: Row) -> None:
    """A customer without documents and entries can go."""
    for entity in ("salesOrders", "salesInvoices", "salesCreditMemos", "salesShipments"):
        if company.table(entity).first("customerId", row["id"]) is not None:
            raise business_rule(f"Customer {row['number']} has documents and cannot be deleted.")
    if company.table("_ledger").first("customerId", row["id"]) is not None:
        raise business_rule(f"Customer {row['number']} has ledger entries; it cannot be deleted.")
    contact = company.row("contacts", row["_contact"]) if row["_contact"] else None
    if contact is not None:
        company.update("contacts", contact, {"contactBusinessRelation": BLANK, "_customer": ""})
    company.delete("customers", row)


# -- contacts -------------------------------------------------------------------------------


def _company_number(company: Company, row: Row, value: str, _seen: set[str]) -> None:
    if value:
        parent = company.table("contacts").first("number", value)
        if parent is None or parent["type"] != "Company":
            raise relation("companyNumber", value, "Contact")
        row["companyName"] = parent["displayName"]
    else:
        row["companyName"] = ""
    row["companyNumber"] = value


def _company_name(_company: Company, row: Row, value: str, _seen: set[str]) -> None:
    if row["companyNumber"] and value != row["companyName"]:
        raise business_rule("The company name follows from the company number.")
    row["companyName"] = value


_CONTACT_RULES: dict[str, Validate] = {
    "displayName": _name,
    "country": country,
    "phoneNumber": phone("phoneNumber"),
    "mobilePhoneNumber": phone("mobilePhoneNumber"),
    "email": email,
    "companyNumber": _company_number,
    "companyName": _company_name,
}


def create_contact(company: Company, entered: Entered, _parent: Row | None = None) -> Row:
    """Create a contact; a person hangs under its company contact by companyNumber."""
    row = company.blank_row("contacts") | {"_customer": ""}
    row["contactBusinessRelation"] = "None"
    enter(company, row, entered, _CONTACT_RULES)
    if not row["displayName"].strip():
        raise business_rule('A "displayName" must be provided.')
    row["number"] = company.manual_number("contacts", row["number"])
    if row["type"] == "Company":
        row["companyNumber"], row["companyName"] = row["number"], row["displayName"]
    elif row["companyNumber"]:
        parent = company.table("contacts").first("number", row["companyNumber"])
        if parent is not None:
            row["contactBusinessRelation"] = parent["contactBusinessRelation"]
    row["searchName"] = row["searchName"] or row["displayName"].upper()[:100]
    return company.insert("contacts", row)


def change_contact(company: Company, row: Row, entered: Entered) -> None:
    """PATCH of a contact; a customer's company contact hands its address on to the customer."""
    work = dict(row)
    enter(company, work, entered, _CONTACT_RULES)
    before = row["number"]
    if work["number"] != before:
        company.manual_number("contacts", work["number"])
        if work["type"] == "Company":
            work["companyNumber"] = work["number"]
    changed = commit_entered(company, "contacts", row, work)
    if row["number"] != before:
        for person in company.table("contacts").find("companyNumber", before):
            company.update("contacts", person, {"companyNumber": row["number"]})
    shared = {name: row[name] for name in changed if name in SHARED_WITH_CONTACT}
    customer = company.row("customers", row["_customer"]) if row["_customer"] else None
    if shared and customer is not None:
        company.update("customers", customer, shared)


def delete_contact(company: Company, row: Row) -> None:
    """A contact tied to a customer stays."""
    if row["_customer"]:
        raise business_rule(f"Contact {row['number']} belongs to a customer; it stays.")
    company.delete("contacts", row)


# -- items ----------------------------------------------------------------------------------

_CATEGORY = linked("itemCategories", "itemCategoryId", "itemCategoryCode", "Item Category")
_TAX_GROUP = linked("taxGroups", "taxGroupId", "taxGroupCode", "Tax Group")
_BASE_UNIT = linked(
    "unitsOfMeasure", "baseUnitOfMeasureId", "baseUnitOfMeasureCode", "Unit of Measure"
)
_PRODUCT_GROUP = linked(
    "generalProductPostingGroups",
    "generalProductPostingGroupId",
    "generalProductPostingGroupCode",
    "Gen. Product Posting Group",
)
_STOCK_GROUP = linked(
    "inventoryPostingGroups",
    "inventoryPostingGroupId",
    "inventoryPostingGroupCode",
    "Inventory Posting Group",
)


def _item_type(_company: Company, row: Row, value: str, _seen: set[str]) -> None:
    if row.get("_entries") and value != row["type"]:
        raise business_rule(f"Item {row['number']} has entries; its type cannot be changed.")
    row["type"] = value


def _gtin(_company: Company, row: Row, value: str, _seen: set[str]) -> None:
    if value and not value.isdigit():
        raise field_rule("GTIN takes digits only.")
    row["gtin"] = value


def _not_negative(field: str) -> Validate:
    def check(_company: Company, row: Row, value: Any, _seen: set[str]) -> None:
        if value < 0:
            raise field_rule(f"{field} must not be negative.")
        row[field] = value

    return check


_ITEM_RULES: dict[str, Validate] = {
    "type": _item_type,
    "gtin": _gtin,
    "unitPrice": _not_negative("unitPrice"),
    "itemCategoryId": _CATEGORY[0],
    "itemCategoryCode": _CATEGORY[1],
    "taxGroupId": _TAX_GROUP[0],
    "taxGroupCode": _TAX_GROUP[1],
    "baseUnitOfMeasureId": _BASE_UNIT[0],
    "baseUnitOfMeasureCode": _BASE_UNIT[1],
    "generalProductPostingGroupId": _PRODUCT_GROUP[0],
    "generalProductPostingGroupCode": _PRODUCT_GROUP[1],
    "inventoryPostingGroupId": _STOCK_GROUP[0],
    "inventoryPostingGroupCode": _STOCK_GROUP[1],
}


def create_item(company: Company, entered: Entered, _parent: Row | None = None) -> Row:
    """Create an item; its base unit becomes the first of its units."""
    if any(field.name == "inventory" for field, _ in entered):
        raise business_rule("Inventory cannot be changed during on insert.")
    row = company.blank_row("items") | {"_entries": False}
    enter(company, row, entered, _ITEM_RULES)
    row["number"] = company.manual_number("items", row["number"])
    if company.switches["templates"]:
        apply_item_template(company, row)
    company.insert("items", row)
    set_item_unit(company, row, row["baseUnitOfMeasureCode"], Decimal(1))
    return row


def apply_item_template(company: Company, row: Row) -> None:
    """What the company's template fills on a new item when it was not sent."""
    for rule, field, code in (
        (_PRODUCT_GROUP[1], "generalProductPostingGroupCode", "RETAIL"),
        (_TAX_GROUP[1], "taxGroupCode", "TAXABLE"),
        (_STOCK_GROUP[1], "inventoryPostingGroupCode", "RESALE"),
        (_BASE_UNIT[1], "baseUnitOfMeasureCode", "PCS"),
    ):
        if field == "inventoryPostingGroupCode" and row["type"] != "Inventory":
            continue
        if not row[field]:
            rule(company, row, code, set())


def set_item_unit(company: Company, item: Row, code: str, quantity: Decimal) -> None:
    """Give an item a unit of measure, or change how many base units it holds."""
    if not code:
        return
    for unit in company.table("_item_units").find("itemId", item["id"]):
        if unit["code"] == code:
            company.update("_item_units", unit, {"quantity": quantity})
            return
    unit = {"id": company.new_id(), "itemId": item["id"], "code": code, "quantity": quantity}
    company.insert("_item_units", unit)


def item_unit(company: Company, item: Row, code: str) -> Row | None:
    """A unit of an item, None when the item has no such unit."""
    for unit in company.table("_item_units").find("itemId", item["id"]):
        if unit["code"] == code:
            return unit
    return None


def change_item(company: Company, row: Row, entered: Entered) -> None:
    """PATCH of an item."""
    work = dict(row)
    enter(company, work, entered, _ITEM_RULES)
    if work["number"] != row["number"]:
        if not work["number"]:
            raise business_rule("The number of an item cannot be emptied.")
        company.manual_number("items", work["number"])
    unit_changed = work["baseUnitOfMeasureCode"] != row["baseUnitOfMeasureCode"]
    if unit_changed and row["_entries"]:
        raise business_rule(f"Item {row['number']} has entries; its base unit stays.")
    if work["inventory"] != row["inventory"]:
        work["_entries"] = True
    commit_entered(company, "items", row, work)
    if unit_changed:
        set_item_unit(company, row, row["baseUnitOfMeasureCode"], Decimal(1))


def delete_item(company: Company, row: Row) -> None:
    """An item without entries that is on no document can go."""
    used = row["_entries"] or any(
        line["itemId"] == row["id"]
        for lines in ("salesOrderLines", "salesInvoiceLines", "salesCreditMemoLines")
        for line in company.table(lines).rows.values()
    )
    if used:
        raise business_rule(f"Item {row['number']} is in use and cannot be deleted.")
    company.delete("items", row)


def check_customer_groups(customer: Row) -> None:
    """Without posting groups no document can be made for a customer."""
    if not customer["_group"]:
        raise field_rule(
            f"Customer Posting Group must have a value in Customer: No.={customer['number']}. "
            "It cannot be empty."
        )


def check_item_groups(item: Row) -> None:
    """Without posting groups an item goes on no line."""
    for field, title in (
        ("generalProductPostingGroupCode", "Gen. Prod. Posting Group"),
        ("inventoryPostingGroupCode", "Inventory Posting Group"),
    ):
        if field == "inventoryPostingGroupCode" and item["type"] != "Inventory":
            continue
        if not item[field]:
            raise field_rule(
                f"{title} must have a value in Item: No.={item['number']}. It cannot be empty."
            )


_DOCUMENTS_STOPPED_BY = {
    option("All"): {"order", "invoice", "credit memo", "ship"},
    option("Invoice"): {"order", "invoice"},
    option("Ship"): {"order", "ship"},
}


def check_not_blocked(customer: Row, kind: str, *, posting: bool = False) -> None:
    """Refuse a document that the customer's Blocked value stops; kind `ship` is a posting."""
    stopped = _DOCUMENTS_STOPPED_BY.get(customer["blocked"], set())
    if posting and kind == "order":
        return
    if kind in stopped:
        verb = "post" if posting else "create"
        raise business_rule(
            f"This type of document cannot be {verb}ed while customer {customer['number']} is "
            f"blocked with type {customer['blocked']}."
        )
