"""How entered fields go into a row: one at a time, in the order they came."""

from collections.abc import Callable
from typing import Any

from ml_connector.sandbox.business_central.company import Company, is_blank
from ml_connector.sandbox.business_central.entities import BLANK_GUID, ENTITIES
from ml_connector.sandbox.business_central.faults import (
    business_rule,
    field_rule,
    relation,
)
from ml_connector.sandbox.business_central.tables import Row
from ml_connector.sandbox.business_central.values import Entered, stored

Validate = Callable[[Company, Row, Any, set[str]], None]
"""(company, row being filled, stored value, fields entered so far) -> the row is changed."""


def enter(company: Company, row: Row, entered: Entered, rules: dict[str, Validate]) -> None:
    """Validate each field in the order received; a rule sets what the field brings along."""
    seen: set[str] = set()
    for field, raw in entered:
        value = stored(field, raw)
        rule = rules.get(field.name)
        if rule is None:
            row[field.name] = value
        else:
            rule(company, row, value, seen)
        seen.add(field.name)


def linked(target: str, id_field: str, code_field: str, title: str) -> tuple[Validate, Validate]:
    """Rules of an id and a code that mean the same row: they must agree when both are sent."""

    def by_id(company: Company, row: Row, value: str, seen: set[str]) -> None:
        code = ""
        if not is_blank(value):
            found = company.row(target, value)
            if found is None:
                raise business_rule(f'The "{id_field}" does not match to a {title}.')
            code = found["code"]
        if code_field in seen and row[code_field] != code:
            raise business_rule(f"The {title} values do not match to a specific {title}.")
        row[id_field], row[code_field] = value, code

    def by_code(company: Company, row: Row, value: str, seen: set[str]) -> None:
        row_id = BLANK_GUID
        if value:
            found = company.by_code(target, value)
            if found is None:
                raise relation(code_field, value, title)
            row_id = found["id"]
        if id_field in seen and row[id_field] != row_id:
            raise business_rule(f"The {title} values do not match to a specific {title}.")
        row[id_field], row[code_field] = row_id, value

    return by_id, by_code


def only_id(target: str, field: str, title: str) -> Validate:
    """The rule of an id without a code beside it; the blank id clears."""

    def by_id(company: Company, row: Row, value: str, _seen: set[str]) -> None:
        if not is_blank(value) and company.row(target, value) is None:
            raise business_rule(f'The "{field}" does not match to a {title}.')
        row[field] = value

    return by_id


def currency_rules(after: Callable[[Company, Row], None] | None = None) -> dict[str, Validate]:
    """The rules of currencyId and currencyCode; the local currency is stored as blank."""

    def settle(company: Company, row: Row, code: str, row_id: str) -> None:
        before = row["currencyCode"]
        row["currencyCode"], row["currencyId"] = code, row_id
        if after is not None and before != code:
            after(company, row)

    def agree(row: Row, code: str, other: str, seen: set[str]) -> None:
        if other in seen and row["currencyCode"] != code:
            raise business_rule("The currency values do not match to a specific Currency.")

    def by_id(company: Company, row: Row, value: str, seen: set[str]) -> None:
        code = ""
        if not is_blank(value):
            found = company.row("currencies", value)
            if found is None:
                raise business_rule('The "currencyId" does not match to a Currency.')
            code = found["code"]
        agree(row, code, "currencyCode", seen)
        settle(company, row, code, value)

    def by_code(company: Company, row: Row, value: str, seen: set[str]) -> None:
        code = "" if value == company.identity.local_currency else value
        row_id = BLANK_GUID
        if code:
            found = company.by_code("currencies", code)
            if found is None:
                raise business_rule('The "currencyCode" does not match to a Currency.')
            row_id = found["id"]
        agree(row, code, "currencyId", seen)
        settle(company, row, code, row_id)

    return {"currencyId": by_id, "currencyCode": by_code}


def country(company: Company, row: Row, value: str, _seen: set[str]) -> None:
    """A country must be known."""
    check_country(company, "country", value)
    row["country"] = value


def check_country(company: Company, field: str, value: str) -> None:
    """Refuse a country code that the company does not know."""
    if value and company.by_code("countriesRegions", value) is None:
        raise relation(field, value, "Country/Region")


def phone(field: str) -> Validate:
    """The rule of a telephone number: no letters."""

    def check(company: Company, row: Row, value: str, _seen: set[str]) -> None:
        if company.switches["phone_letters_refused"] and any(sign.isalpha() for sign in value):
            raise field_rule(f"{field} must not contain letters.")
        row[field] = value

    return check


def email(_company: Company, row: Row, value: str, _seen: set[str]) -> None:
    """The rule of an e-mail field: addresses divided by semicolons."""
    for address in filter(None, (part.strip() for part in value.split(";"))):
        name, at, domain = address.rpartition("@")
        if not (name and at and domain) or " " in address:
            raise business_rule(f'The email address "{address}" is not valid.')
    row["email"] = value


def commit_entered(company: Company, entity: str, row: Row, work: Row) -> list[str]:
    """Store what a PATCH changed in its working copy; the names of the changed fields."""
    changed = {name: value for name, value in work.items() if row.get(name) != value}
    if changed:
        company.update(entity, row, changed)
    else:
        company.touch(entity, row)
    return [name for name in changed if name in ENTITIES[entity].fields]
