"""Who creates, changes and deletes the rows of each set."""

from collections.abc import Callable
from typing import Any

from ml_connector.sandbox.business_central import code_tables, document_lines, documents, masters
from ml_connector.sandbox.business_central import payment_journals as journals
from ml_connector.sandbox.business_central.company import Company, is_blank
from ml_connector.sandbox.business_central.entities import ENTITIES, HEADERS, LINES
from ml_connector.sandbox.business_central.faults import (
    Refusal,
    bad_request,
    business_rule,
)
from ml_connector.sandbox.business_central.tables import Row
from ml_connector.sandbox.business_central.values import Entered, read_body

Create = Callable[[Company, Entered, Row | None], Row]
Change = Callable[[Company, Row, Entered], None]
Remove = Callable[[Company, Row], None]

_CREATE: dict[str, Create] = {
    "customers": masters.create_customer,
    "contacts": masters.create_contact,
    "items": masters.create_item,
    "itemVariants": code_tables.create_variant,
    "defaultDimensions": code_tables.create_default_dimension,
    "dimensionSetLines": code_tables.create_dimension_set_line,
    "customerPayments": journals.create_payment,
    **{entity: code_tables.creator(entity) for entity in code_tables.CODED},
}
_CHANGE: dict[str, Change] = {
    "customers": masters.change_customer,
    "contacts": masters.change_contact,
    "items": masters.change_item,
    "itemVariants": code_tables.plain_changer("itemVariants"),
    "companyInformation": code_tables.plain_changer("companyInformation"),
    "defaultDimensions": code_tables.change_default_dimension,
    "dimensionSetLines": code_tables.change_dimension_set_line,
    "customerPayments": journals.change_payment,
    **{entity: code_tables.changer(entity) for entity in code_tables.CODED},
}
_REMOVE: dict[str, Remove] = {
    "customers": masters.delete_customer,
    "contacts": masters.delete_contact,
    "items": masters.delete_item,
    "itemVariants": code_tables.remove_plain("itemVariants"),
    "defaultDimensions": code_tables.remove_plain("defaultDimensions"),
    "dimensionSetLines": code_tables.remove_plain("dimensionSetLines"),
    "customerPayments": code_tables.remove_plain("customerPayments"),
    **{entity: code_tables.remover(entity) for entity in code_tables.CODED},
}


def check_verb(entity: str, verb: str, method: str) -> None:
    """Refuse a verb the set does not have."""
    if verb not in ENTITIES[entity].verbs:
        raise Refusal(
            405,
            "BadRequest_MethodNotAllowed",
            f"'{method}' requests for '{entity}' of EdmType 'Entity' are not allowed.",
        )


def create(company: Company, entity: str, body: Any, parent: Row | None) -> Row:
    """Create a row, with its nested rows, all or nothing."""
    check_verb(entity, "P", "POST")
    entered, nested = read_body(ENTITIES[entity], body)
    with company.transaction():
        if entity in documents.KINDS:
            row = documents.create_header(company, entity, entered)
        elif entity in HEADERS:
            row = _create_line(company, entity, entered, parent)
        else:
            row = _CREATE[entity](company, entered, parent)
        for name, bodies in nested.items():
            _create_nested(company, entity, row, name, bodies)
        if nested.get(LINES.get(entity, "")):
            documents.total_document(company, row)
    return row


def _create_nested(
    company: Company, entity: str, parent: Row, name: str, bodies: list[Any]
) -> None:
    target = ENTITIES[entity].navigation[name].target
    if not target or "P" not in ENTITIES[target].verbs:
        raise bad_request(f"'{name}' cannot be created with its parent.")
    for body in bodies:
        if target in HEADERS:
            entered, inner = read_body(ENTITIES[target], body)
            line = document_lines.create_line(company, parent, entered, total=False)
            for inner_name, inner_bodies in inner.items():
                _create_nested(company, target, line, inner_name, inner_bodies)
        else:
            create(company, target, body, parent)


def _create_line(company: Company, entity: str, entered: Entered, parent: Row | None) -> Row:
    header = parent
    if header is None:
        named = next((value for field, value in entered if field.name == "documentId"), "")
        if is_blank(named):
            raise business_rule("Give an Id or a Document Id to write lines.")
        header = documents.require_document(company, HEADERS[entity], named)
    return document_lines.create_line(company, header, entered)


def change(company: Company, entity: str, row: Row, body: Any) -> None:
    """Change a row field by field, all or nothing."""
    check_verb(entity, "M", "PATCH")
    entered, nested = read_body(ENTITIES[entity], body)
    if nested:
        raise bad_request("Nested collections cannot be changed with their parent.")
    with company.transaction():
        if entity in documents.KINDS:
            documents.change_header(company, row, entered, document_lines.reprice_document)
        elif entity in HEADERS:
            document_lines.change_line(company, row, entered)
        else:
            _CHANGE[entity](company, row, entered)


def remove(company: Company, entity: str, row: Row) -> None:
    """Delete a row, all or nothing."""
    check_verb(entity, "D", "DELETE")
    with company.transaction():
        if entity in documents.KINDS:
            documents.delete_document(company, row)
        elif entity in HEADERS:
            document_lines.delete_line(company, row)
        else:
            _REMOVE[entity](company, row)
