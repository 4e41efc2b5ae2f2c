"""The small tables: units, terms, currencies, locations, dimensions and their like."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal

from ml_connector.sandbox.business_central.company import Company, is_blank
from ml_connector.sandbox.business_central.date_formula import add_formula
from ml_connector.sandbox.business_central.entities import BLANK_GUID
from ml_connector.sandbox.business_central.entry import (
    Validate,
    commit_entered,
    country,
    email,
    enter,
)
from ml_connector.sandbox.business_central.faults import bad_request, business_rule, missing
from ml_connector.sandbox.business_central.tables import Row
from ml_connector.sandbox.business_central.values import Entered

CODED = (
    "itemCategories",
    "unitsOfMeasure",
    "currencies",
    "paymentTerms",
    "paymentMethods",
    "shipmentMethods",
    "taxAreas",
    "taxGroups",
    "locations",
    "salespeoplePurchasers",
    "countriesRegions",
    "customerPaymentJournals",
)

_USED_BY: dict[str, tuple[tuple[str, str], ...]] = {
    "currencies": (("customers", "currencyCode"),),
    "paymentTerms": (("customers", "paymentTermsId"),),
    "countriesRegions": (("customers", "country"),),
    "unitsOfMeasure": (("items", "baseUnitOfMeasureCode"),),
    "itemCategories": (("items", "itemCategoryCode"),),
}


def _formula(field: str) -> Validate:
    def rule(_company: Company, row: Row, value: str, _seen: set[str]) -> None:
        try:
            add_formula(date(2024, 1, 1), value)
        except ValueError as error:
            raise bad_request(f"'{value}' cannot be read as a date formula.") from error
        row[field] = value

    return rule


def _balancing_account(company: Company, row: Row, value: str, _seen: set[str]) -> None:
    account = company.row("accounts", value)
    if account is None and not is_blank(value):
        raise business_rule('The "balancingAccountId" does not match to an Account.')
    row["balancingAccountId"] = value
    row["balancingAccountNumber"] = account["number"] if account else ""


_RULES: dict[str, dict[str, Validate]] = {
    "paymentTerms": {
        "dueDateCalculation": _formula("dueDateCalculation"),
        "discountDateCalculation": _formula("discountDateCalculation"),
    },
    "locations": {"country": country, "email": email},
    "salespeoplePurchasers": {"email": email},
    "customerPaymentJournals": {"balancingAccountId": _balancing_account},
}

HIDDEN: dict[str, Row] = {
    "currencies": {"_rate": Decimal(1)},
    "taxAreas": {"_percent": Decimal(0), "_sales_tax": False},
    "taxGroups": {"_taxable": True},
}


def blank_coded(company: Company, entity: str) -> Row:
    """A row of a small table before anything is entered."""
    row = company.blank_row(entity) | HIDDEN.get(entity, {})
    if entity == "currencies":
        row |= {"amountDecimalPlaces": "2:2", "amountRoundingPrecision": Decimal("0.01")}
    if entity in ("taxAreas", "taxGroups"):
        row["taxType"] = "VAT"
    return row


def creator(entity: str) -> Callable[[Company, Entered, Row | None], Row]:
    """How a row of a small table is created."""

    def create(company: Company, entered: Entered, _parent: Row | None = None) -> Row:
        row = blank_coded(company, entity)
        enter(company, row, entered, _RULES.get(entity, {}))
        if not row["code"]:
            raise missing("code")
        if entity == "currencies" and row["code"] == company.identity.local_currency:
            raise business_rule("The local currency is no row of this table.")
        company.check_unique(entity, "code", row["code"])
        return company.insert(entity, row)

    return create


def changer(entity: str) -> Callable[[Company, Row, Entered], None]:
    """How a row of a small table is changed."""

    def change(company: Company, row: Row, entered: Entered) -> None:
        work = dict(row)
        enter(company, work, entered, _RULES.get(entity, {}))
        if "code" in work:
            if not work["code"]:
                raise missing("code")
            company.check_unique(entity, "code", work["code"], own=row["id"])
        commit_entered(company, entity, row, work)

    return change


def remover(entity: str) -> Callable[[Company, Row], None]:
    """How a row of a small table is deleted."""

    def remove(company: Company, row: Row) -> None:
        for user, field in _USED_BY.get(entity, ()):
            wanted = row["id"] if field.endswith("Id") else row["code"]
            if any(other[field] == wanted for other in company.table(user).rows.values()):
                raise business_rule(f"{row['code']} is in use by {user} and cannot be deleted.")
        if entity == "customerPaymentJournals":
            for payment in company.table("customerPayments").find("journalId", row["id"]):
                company.delete("customerPayments", payment)
        company.delete(entity, row)

    return remove


# -- variants -------------------------------------------------------------------------------


def create_variant(company: Company, entered: Entered, parent: Row | None = None) -> Row:
    """Create a variant of an item."""
    row = company.blank_row("itemVariants")
    if parent is not None:
        row["itemId"], row["itemNumber"] = parent["id"], parent["number"]
    enter(company, row, entered, _VARIANT_RULES)
    if is_blank(row["itemId"]):
        raise missing("itemId")
    if not row["code"]:
        raise missing("code")
    for other in company.table("itemVariants").find("itemId", row["itemId"]):
        if other["code"] == row["code"]:
            company.check_unique("itemVariants", "code", row["code"])
    return company.insert("itemVariants", row)


def _variant_item(by: str) -> Validate:
    def rule(company: Company, row: Row, value: str, _seen: set[str]) -> None:
        item = company.table("items").first(by, value)
        if item is None:
            raise business_rule("Item does not exist.")
        row["itemId"], row["itemNumber"] = item["id"], item["number"]

    return rule


_VARIANT_RULES: dict[str, Validate] = {
    "itemId": _variant_item("id"),
    "itemNumber": _variant_item("number"),
}


# -- dimensions -----------------------------------------------------------------------------


def _dimension(company: Company, row: Row, value: str, _seen: set[str]) -> None:
    dimension = company.row("dimensions", value)
    if dimension is None:
        raise business_rule('The "dimensionId" does not match to a Dimension.')
    row["dimensionId"], row["dimensionCode"] = value, dimension["code"]


def _dimension_value(company: Company, row: Row, value: str, _seen: set[str]) -> None:
    found = company.row("dimensionValues", value)
    if found is None:
        raise business_rule('The "dimensionValueId" does not match to a Dimension Value.')
    if row["dimensionId"] != BLANK_GUID and found["dimensionId"] != row["dimensionId"]:
        raise business_rule(
            'The "dimensionId" and "dimensionValueId" match to different Dimension records.'
        )
    row["dimensionValueId"], row["dimensionValueCode"] = value, found["code"]


_DEFAULT_RULES: dict[str, Validate] = {
    "dimensionId": _dimension,
    "dimensionValueId": _dimension_value,
}


def create_default_dimension(company: Company, entered: Entered, parent: Row | None = None) -> Row:
    """Give a customer or item a default dimension."""
    row = company.blank_row("defaultDimensions")
    if parent is not None:
        row["parentId"] = parent["id"]
        row["parentType"] = "Customer" if "balanceDue" in parent else "Item"
    enter(company, row, entered, _DEFAULT_RULES)
    if is_blank(row["dimensionId"]) or is_blank(row["parentId"]):
        raise missing("dimensionId")
    for other in company.table("defaultDimensions").find("parentId", row["parentId"]):
        if other["dimensionId"] == row["dimensionId"]:
            raise business_rule("The default dimension already exists.")
    return company.insert("defaultDimensions", row)


def change_default_dimension(company: Company, row: Row, entered: Entered) -> None:
    """PATCH of a default dimension."""
    work = dict(row)
    enter(company, work, entered, _DEFAULT_RULES)
    commit_entered(company, "defaultDimensions", row, work)


def _set_value(by: str) -> Validate:
    def rule(company: Company, row: Row, value: str, _seen: set[str]) -> None:
        if by == "id":
            found = company.row("dimensionValues", value)
        else:
            found = next(
                (
                    other
                    for other in company.table("dimensionValues").find("dimensionId", row["id"])
                    if other["code"] == value
                ),
                None,
            )
        if found is None or found["dimensionId"] != row["id"]:
            raise business_rule("The dimension value does not exist in this dimension.")
        row["valueId"], row["valueCode"] = found["id"], found["code"]
        row["valueDisplayName"] = found["displayName"]

    return rule


def _set_dimension(by: str) -> Validate:
    def rule(company: Company, row: Row, value: str, _seen: set[str]) -> None:
        table = company.table("dimensions")
        found = table.rows.get(value) if by == "id" else table.first("code", value)
        if found is None:
            raise business_rule("The dimension does not exist.")
        if row.get("_v") and found["id"] != row["id"]:
            raise business_rule("The dimension of a dimension set line cannot be changed.")
        row["id"], row["code"], row["displayName"] = (
            found["id"],
            found["code"],
            found["displayName"],
        )

    return rule


_SET_RULES: dict[str, Validate] = {
    "id": _set_dimension("id"),
    "code": _set_dimension("code"),
    "valueId": _set_value("id"),
    "valueCode": _set_value("code"),
}


def create_dimension_set_line(company: Company, entered: Entered, parent: Row | None = None) -> Row:
    """Put a dimension on a document or line that is not posted."""
    if parent is None:
        raise business_rule("Give the parent's ID to write its dimensions.")
    if parent.get("_posted"):
        raise business_rule("The dimensions of a posted document cannot be changed.")
    row = company.blank_row("dimensionSetLines")
    row["id"], row["parentId"] = BLANK_GUID, parent["id"]
    enter(company, row, entered, _SET_RULES)
    if is_blank(row["id"]) or is_blank(row["valueId"]):
        raise missing("valueId")
    for other in company.table("dimensionSetLines").find("parentId", parent["id"]):
        if other["id"] == row["id"]:
            raise business_rule("The dimension set line already exists.")
    row["_key"] = f"{parent['id']}|{row['id']}"
    return company.insert("dimensionSetLines", row)


def change_dimension_set_line(company: Company, row: Row, entered: Entered) -> None:
    """PATCH of a dimension set line: only its value."""
    work = dict(row)
    enter(company, work, entered, _SET_RULES)
    commit_entered(company, "dimensionSetLines", row, work)


def remove_plain(entity: str) -> Callable[[Company, Row], None]:
    """Delete without conditions."""

    def remove(company: Company, row: Row) -> None:
        company.delete(entity, row)

    return remove


def plain_changer(entity: str) -> Callable[[Company, Row, Entered], None]:
    """Change without conditions beyond the fields' own."""

    def change(company: Company, row: Row, entered: Entered) -> None:
        work = dict(row)
        enter(company, work, entered, {})
        commit_entered(company, entity, row, work)

    return change
