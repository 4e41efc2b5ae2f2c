"""Lines of orders, draft invoices and draft credit memos."""

from decimal import Decimal
from typing import Any

from ml_connector.sandbox.business_central.company import ZERO, Company, is_blank
from ml_connector.sandbox.business_central.documents import (
    KINDS,
    check_open,
    lines_of,
    total_document,
    total_line,
)
from ml_connector.sandbox.business_central.entities import BLANK_GUID, HEADERS
from ml_connector.sandbox.business_central.entry import Validate, enter, only_id
from ml_connector.sandbox.business_central.faults import business_rule, field_rule
from ml_connector.sandbox.business_central.masters import check_item_groups, item_unit
from ml_connector.sandbox.business_central.tables import Row
from ml_connector.sandbox.business_central.values import Entered

_UNIT_STEP = Decimal("0.00001")
GOODS = ("Item", "Account")


def _header(company: Company, line: Row) -> Row:
    return company.tables[HEADERS[line["_lines"]]].rows[line["documentId"]]


def choose_item(company: Company, line: Row, item: Row) -> None:
    """Put an item on the line: text, unit, price and tax follow."""
    if item["blocked"]:
        raise field_rule(f"Blocked must be equal to 'No' in Item: No.={item['number']}.")
    check_item_groups(item)
    line["lineType"], line["itemId"], line["accountId"] = "Item", item["id"], BLANK_GUID
    line["lineObjectNumber"] = item["number"]
    line["description"], line["description2"] = item["displayName"], item["displayName2"]
    line["unitOfMeasureCode"] = item["baseUnitOfMeasureCode"]
    line["unitOfMeasureId"] = item["baseUnitOfMeasureId"]
    line["taxCode"] = item["taxGroupCode"]
    _set_tax(company, line)
    price_line(company, line)


def _choose_account(company: Company, line: Row, account: Row) -> None:
    if account["blocked"] or not account["directPosting"]:
        raise field_rule(f"Account {account['number']} takes no direct posting.")
    line["lineType"], line["accountId"], line["itemId"] = "Account", account["id"], BLANK_GUID
    line["lineObjectNumber"] = account["number"]
    line["description"] = account["displayName"]
    line["taxCode"] = "TAXABLE"
    _set_tax(company, line)


def _set_tax(company: Company, line: Row) -> None:
    group = company.by_code("taxGroups", line["taxCode"])
    taxable = group is not None and group["_taxable"]
    line["taxPercent"] = _header(company, line)["_tax_percent"] if taxable else ZERO


def price_line(company: Company, line: Row) -> None:
    """Set the unit price from the item's, in the document's currency and the line's unit."""
    item = company.row("items", line["itemId"])
    if item is None:
        return
    header = _header(company, line)
    unit = item_unit(company, item, line["unitOfMeasureCode"])
    price = Decimal(item["unitPrice"]) * (Decimal(unit["quantity"]) if unit else 1)
    price /= company.rate(header["currencyCode"])
    factor = 1 + Decimal(line["taxPercent"]) / 100
    if item["priceIncludesTax"] and not header["pricesIncludeTax"]:
        price /= factor
    elif header["pricesIncludeTax"] and not item["priceIncludesTax"]:
        price *= factor
    line["unitPrice"] = price.quantize(_UNIT_STEP)
    line["discountPercent"] = line["discountAmount"] = ZERO
    line["_discount_by"] = "percent"


def _item(company: Company, line: Row, value: str, seen: set[str]) -> None:
    if is_blank(value):
        return
    if "accountId" in seen and not is_blank(line["accountId"]):
        raise business_rule(
            'Both "itemId" and "accountId" are specified. Specify only one of them.'
        )
    item = company.row("items", value)
    if item is None:
        raise business_rule("Item does not exist.")
    choose_item(company, line, item)


def _account(company: Company, line: Row, value: str, seen: set[str]) -> None:
    if is_blank(value):
        return
    if "itemId" in seen and not is_blank(line["itemId"]):
        raise business_rule(
            'Both "itemId" and "accountId" are specified. Specify only one of them.'
        )
    account = company.row("accounts", value)
    if account is None:
        raise business_rule("Account does not exist.")
    _choose_account(company, line, account)


def _line_type(_company: Company, line: Row, value: str, seen: set[str]) -> None:
    chosen = {"itemId": "Item", "accountId": "Account"}
    for field, own in chosen.items():
        if field in seen and not is_blank(line[field]) and value != own:
            raise business_rule("The line type does not fit the object of the line.")
    if line.get("_v") and value != line["lineType"]:
        line["itemId"] = line["accountId"] = BLANK_GUID
        line["lineObjectNumber"] = ""
    line["lineType"] = value


def _object_number(company: Company, line: Row, value: str, _seen: set[str]) -> None:
    if line.get("_v"):
        raise business_rule("The lineObjectNumber of a line cannot be changed.")
    if not value:
        return
    if line["lineObjectNumber"] and line["lineObjectNumber"] != value:
        raise business_rule("The lineObjectNumber does not fit the object of the line.")
    if line["lineType"] == "Item":
        item = company.table("items").first("number", value)
        if item is None:
            raise business_rule("Item does not exist.")
        if line["itemId"] != item["id"]:
            choose_item(company, line, item)
    elif line["lineType"] == "Account":
        account = company.table("accounts").first("number", value)
        if account is None:
            raise business_rule("Account does not exist.")
        if line["accountId"] != account["id"]:
            _choose_account(company, line, account)
    else:
        raise business_rule("Give the lineType before the lineObjectNumber.")


def _needs_object(line: Row) -> None:
    if line["lineType"] == "Comment":
        raise field_rule("Type must have a value in Sales Line. It cannot be empty.")


def _quantity(company: Company, line: Row, value: Decimal, _seen: set[str]) -> None:
    if value:
        _needs_object(line)
    value = Decimal(value).quantize(_UNIT_STEP).normalize() + 0
    value = value.quantize(Decimal(1)) if value == value.to_integral_value() else value
    if line["_lines"] == "salesOrderLines":
        if abs(value) < abs(line["shippedQuantity"]):
            raise field_rule("The quantity cannot be less than what was shipped.")
        line["shipQuantity"] = value - line["shippedQuantity"]
        line["invoiceQuantity"] = value - line["invoicedQuantity"]
    priced = line["lineType"] == "Item" and line["_priced"] and value != line["quantity"]
    if priced and company.switches["quantity_resets_price"]:
        price_line(company, line)
    line["quantity"] = value


def _unit_price(_company: Company, line: Row, value: Decimal, _seen: set[str]) -> None:
    if value:
        _needs_object(line)
    line["unitPrice"], line["_priced"] = value, True


def _discount_percent(_company: Company, line: Row, value: Decimal, _seen: set[str]) -> None:
    if not 0 <= value <= 100:
        raise field_rule("discountPercent must lie between 0 and 100.")
    if value:
        _needs_object(line)
    line["discountPercent"], line["_discount_by"] = value, "percent"


def _discount_amount(_company: Company, line: Row, value: Decimal, _seen: set[str]) -> None:
    if value:
        _needs_object(line)
    if abs(value) > abs(Decimal(line["quantity"]) * Decimal(line["unitPrice"])):
        raise field_rule("discountAmount must not exceed the amount of the line.")
    line["discountAmount"], line["_discount_by"] = value, "amount"


def _unit_id(company: Company, line: Row, value: str, seen: set[str]) -> None:
    if is_blank(value):
        return
    unit = company.row("unitsOfMeasure", value)
    if unit is None:
        raise business_rule('The "unitOfMeasureId" does not match to a Unit of Measure.')
    if "unitOfMeasureCode" in seen and line["unitOfMeasureCode"] != unit["code"]:
        raise business_rule("The unit of measure values do not match to a Unit of Measure.")
    _set_unit(company, line, unit)


def _unit_code(company: Company, line: Row, value: str, seen: set[str]) -> None:
    if not value:
        return
    unit = company.by_code("unitsOfMeasure", value)
    if unit is None:
        raise business_rule('The "unitOfMeasureCode" does not match to a Unit of Measure.')
    if "unitOfMeasureId" in seen and line["unitOfMeasureId"] != unit["id"]:
        raise business_rule("The unit of measure values do not match to a Unit of Measure.")
    _set_unit(company, line, unit)


def _set_unit(company: Company, line: Row, unit: Row) -> None:
    _needs_object(line)
    if line["lineType"] == "Item":
        item = company.row("items", line["itemId"])
        if item is None or item_unit(company, item, unit["code"]) is None:
            raise business_rule(
                f"{unit['code']} is no unit of measure of item {line['lineObjectNumber']}."
            )
    if unit["code"] != line["unitOfMeasureCode"]:
        line["unitOfMeasureCode"], line["unitOfMeasureId"] = unit["code"], unit["id"]
        price_line(company, line)


def _tax_code(company: Company, line: Row, value: str, _seen: set[str]) -> None:
    if value and company.by_code("taxGroups", value) is None:
        raise business_rule('The "taxCode" does not match to a Tax Group.')
    line["taxCode"] = value
    _set_tax(company, line)


def _sequence(company: Company, line: Row, value: int, _seen: set[str]) -> None:
    if line.get("_v"):
        if value == line["sequence"]:
            return
        raise business_rule(
            "The value for sequence cannot be modified. Delete and insert the line again."
        )
    for other in company.table(line["_lines"]).find("documentId", line["documentId"]):
        if other["sequence"] == value:
            raise business_rule("You cannot insert a line because a line already exists.")
    line["sequence"] = value


def _document(_company: Company, line: Row, value: str, _seen: set[str]) -> None:
    if value != line["documentId"]:
        raise business_rule(
            "The value for documentId cannot be modified. Delete and insert the line again."
        )


def _variant(company: Company, line: Row, value: str, _seen: set[str]) -> None:
    if not is_blank(value):
        variant = company.row("itemVariants", value)
        if variant is None or variant["itemId"] != line["itemId"]:
            raise business_rule('The "itemVariantId" does not match to a variant of the item.')
        line["description"] = variant["description"]
    line["itemVariantId"] = value


def _to_handle(field: str, done: str) -> Validate:
    def rule(_company: Company, line: Row, value: Decimal, _seen: set[str]) -> None:
        outstanding = line["quantity"] - line[done]
        if abs(value) > abs(outstanding) or value * outstanding < 0:
            raise business_rule(f"{field} cannot be more than {outstanding}.")
        line[field] = value

    return rule


def _result(field: str) -> Validate:
    def rule(_company: Company, line: Row, value: Decimal, _seen: set[str]) -> None:
        if value != line[field]:
            raise business_rule(f"{field} is a result of posting and cannot be entered.")

    return rule


_RULES: dict[str, Validate] = {
    "itemId": _item,
    "accountId": _account,
    "lineType": _line_type,
    "lineObjectNumber": _object_number,
    "quantity": _quantity,
    "unitPrice": _unit_price,
    "discountPercent": _discount_percent,
    "discountAmount": _discount_amount,
    "unitOfMeasureId": _unit_id,
    "unitOfMeasureCode": _unit_code,
    "taxCode": _tax_code,
    "sequence": _sequence,
    "documentId": _document,
    "itemVariantId": _variant,
    "locationId": only_id("locations", "locationId", "Location"),
    "shipQuantity": _to_handle("shipQuantity", "shippedQuantity"),
    "invoiceQuantity": _to_handle("invoiceQuantity", "invoicedQuantity"),
    "shippedQuantity": _result("shippedQuantity"),
    "invoicedQuantity": _result("invoicedQuantity"),
}


def new_line(company: Company, lines: str, document_id: str) -> Row:
    """A line before anything is entered."""
    line = company.blank_row(lines)
    line |= {
        "documentId": document_id,
        "lineType": "Comment",
        "shipmentDate": company.today(),
        "_lines": lines,
        "_discount_by": "percent",
        "_priced": False,
        "_order_line": "",
    }
    return line


def next_sequence(company: Company, lines: str, document_id: str) -> int:
    """The line number after the last one."""
    found = company.table(lines).find("documentId", document_id)
    last: int = found[-1]["sequence"] if found else 0
    return last + 10000


def create_line(company: Company, header: Row, entered: Entered, *, total: bool = True) -> Row:
    """Insert a line; the header's totals and tag follow."""
    kind = KINDS[header["_kind"]]
    check_open(header)
    line = new_line(company, kind.lines, header["id"])
    enter(company, line, entered, _RULES)
    if not line["sequence"]:
        line["sequence"] = next_sequence(company, kind.lines, header["id"])
    if line["lineType"] in GOODS and not line["lineObjectNumber"] and line["quantity"]:
        raise field_rule("No. must have a value in Sales Line. It cannot be empty.")
    total_line(company, header, line)
    company.insert(kind.lines, line)
    if total:
        total_document(company, header)
    return line


def change_line(company: Company, line: Row, entered: Entered) -> None:
    """PATCH of a line."""
    header = _header(company, line)
    check_open(header)
    work = dict(line)
    if work["lineType"] == "Item" and not is_blank(work["itemId"]):
        item = company.row("items", work["itemId"])
        if item is not None and item["blocked"]:
            raise field_rule(f"Blocked must be equal to 'No' in Item: No.={item['number']}.")
    enter(company, work, entered, _RULES)
    total_line(company, header, work)
    changed = {name: value for name, value in work.items() if line.get(name) != value}
    company.update(line["_lines"], line, changed)
    total_document(company, header)


def delete_line(company: Company, line: Row) -> None:
    """Delete a line nothing was shipped or invoiced of."""
    header = _header(company, line)
    check_open(header)
    if line["_lines"] == "salesOrderLines" and (
        line["shippedQuantity"] or line["invoicedQuantity"]
    ):
        raise business_rule("A line of which something was shipped cannot be deleted.")
    company.delete(line["_lines"], line)
    total_document(company, header)


def reprice_document(company: Company, header: Row) -> None:
    """Fetch every line's price again after the currency changed."""
    kind = KINDS[header["_kind"]]
    for line in lines_of(company, kind, header["id"]):
        work = dict(line)
        price_line(company, work)
        changed: dict[str, Any] = {k: v for k, v in work.items() if line[k] != v}
        if changed:
            company.update(kind.lines, line, changed)
