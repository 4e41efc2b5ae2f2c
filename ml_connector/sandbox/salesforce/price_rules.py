"""Price books: one standard book, prices once per product, book and currency."""

from ml_connector.sandbox.salesforce.faults import SalesforceFault
from ml_connector.sandbox.salesforce.org import SalesforceOrg
from ml_connector.sandbox.salesforce.transactions import Transaction
from ml_connector.sandbox.salesforce.values import Row


def before_book(old: Row | None, row: Row) -> None:
    """Keeps a custom book from ever being the standard one."""
    row["IsStandard"] = bool(old and old.get("IsStandard"))


def before_entry(org: SalesforceOrg, old: Row | None, row: Row) -> None:
    """Refuses a second price, and a custom price without a standard one."""
    if old is not None:
        return
    standard = org.ensure_standard_price_book()
    has_standard = False
    for found in org.table("PricebookEntry").live("Product2Id", row["Product2Id"]):
        other = org.table("PricebookEntry").rows[found]
        if other.get("CurrencyIsoCode") != row.get("CurrencyIsoCode"):
            continue
        if other["Pricebook2Id"] == row["Pricebook2Id"]:
            raise SalesforceFault("DUPLICATE_VALUE", f"The price exists already: {found}")
        has_standard = has_standard or other["Pricebook2Id"] == standard
    if row["Pricebook2Id"] != standard and not has_standard:
        raise SalesforceFault(
            "STANDARD_PRICE_NOT_DEFINED", "The product has no standard price in this currency"
        )
    if row["Pricebook2Id"] == standard and row.get("UseStandardPrice"):
        raise SalesforceFault(
            "FIELD_INTEGRITY_EXCEPTION", "A standard price cannot use itself", ("UseStandardPrice",)
        )


def derive_entry(org: SalesforceOrg, row: Row) -> None:
    """Fills the name and code that a price takes from its product."""
    product = org.table("Product2").rows.get(str(row["Product2Id"]), {})
    for name in ("Name", "ProductCode"):
        value = product.get(name)
        if value is None:
            row.pop(name, None)
        else:
            row[name] = value


def rename_entries(org: SalesforceOrg, transaction: Transaction, product: Row) -> None:
    """Shows a product's new name and code on its prices."""
    table = org.table("PricebookEntry")
    for found in list(table.having("Product2Id", product["Id"])):
        row = dict(table.rows[found])
        derive_entry(org, row)
        if row != table.rows[found]:
            transaction.put("PricebookEntry", table, found, row)


def before_delete(org: SalesforceOrg, sobject: str, row: Row) -> None:
    """Refuses to delete what orders use, and the standard price book."""
    if sobject == "Pricebook2":
        if row.get("IsStandard"):
            raise SalesforceFault("DELETE_FAILED", "The standard price book stays")
        if org.table("PricebookEntry").live("Pricebook2Id", row["Id"]):
            raise SalesforceFault("DELETE_FAILED", "The price book has prices")
        return
    field = "Product2Id" if sobject == "Product2" else "PricebookEntryId"
    if "OrderItem" in org.schema.objects and org.table("OrderItem").live(field, row["Id"]):
        raise SalesforceFault("DELETE_FAILED", f"Order products use {row['Id']}")
