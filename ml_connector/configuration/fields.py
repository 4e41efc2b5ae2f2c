"""Custom fields: which Salesforce field and BC property show one value, and who owns it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from ml_connector.business_central.models import (
    BLANK_DATE,
    ENTITY_SETS,
    PROPERTIES,
    Contact,
    Customer,
    Item,
    PropertyKind,
    SalesOrder,
    WireModel,
    encoded_enum,
    kind_of,
)
from ml_connector.domain.decision import Body
from ml_connector.domain.identifiers import BLANK_ID
from ml_connector.salesforce.models import SObject

PARTNERS: dict[str, str] = {
    "Account": "customers",
    "Contact": "contacts",
    "Product2": "items",
    "Order": "salesOrders",
}
"""The entity set whose records are the partners of an object's records."""

READ_ONLY: dict[type[WireModel], frozenset[str]] = {
    Customer: frozenset({"id", "balanceDue", "taxAreaDisplayName", "lastModifiedDateTime"}),
    Contact: frozenset({"id", "lastInteractionDate", "lastModifiedDateTime"}),
    Item: frozenset({"id", "inventory", "lastModifiedDateTime"}),
    SalesOrder: frozenset(
        {
            "id", "number", "customerName", "billToName", "billToAddressLine1",
            "billToAddressLine2", "billToCity", "billToCountry", "billToState", "billToPostCode",
            "discountAppliedBeforeTax", "totalAmountExcludingTax", "totalTaxAmount",
            "totalAmountIncludingTax", "fullyShipped", "status", "lastModifiedDateTime",
        }
    ),
}  # fmt: skip
"""Properties that BC computes, or whose writing has effects of its own (inventory posts)."""

_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean "x"?` for the known word most like *word*, or ""."""
    by_lower = {name.lower(): name for name in known}
    hits = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.5)
    return f'; did you mean "{by_lower[hits[0]]}"?' if hits else ""


class FieldMapping(BaseModel):
    """One custom field on both sides."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    salesforce: str
    """Object and field, such as "Account.Region__c"."""
    business_central: str
    """Entity set and property, such as "customers.taxAreaDisplayName"."""
    owner: Literal["salesforce", "business_central"]
    """Who wins; the value flows from there."""

    @model_validator(mode="after")
    def _fits(self) -> FieldMapping:
        sobject, dot, field = self.salesforce.partition(".")
        if not dot or not _FIELD_NAME.fullmatch(field):
            raise ValueError(
                f'salesforce = "{self.salesforce}" must be an object and a field such as '
                '"Account.Region__c"'
            )
        if sobject not in PARTNERS:
            raise ValueError(
                f'the connector maps no Salesforce object "{sobject}"{nearest(sobject, PARTNERS)}'
            )
        if field.startswith("BC_"):
            raise ValueError(f"{self.salesforce} is written by the connector itself")
        self._check_property(sobject)
        return self

    def _check_property(self, sobject: str) -> None:
        entity_set, dot, name = self.business_central.partition(".")
        wanted = PARTNERS[sobject]
        if not dot or entity_set != wanted:
            raise ValueError(
                f'business_central = "{self.business_central}" must be a property of {wanted}, the '
                f"partner of {sobject}"
            )
        known = PROPERTIES[ENTITY_SETS[entity_set]]
        if name not in known:
            raise ValueError(f'{entity_set} has no property "{name}"{nearest(name, known)}')
        if self.owner == "salesforce" and name in READ_ONLY[ENTITY_SETS[entity_set]]:
            raise ValueError(
                f"{self.business_central} cannot be written in BC; its owner can only be "
                '"business_central"'
            )

    @property
    def sobject(self) -> str:
        """The Salesforce object."""
        return self.salesforce.partition(".")[0]

    @property
    def field(self) -> str:
        """The Salesforce field."""
        return self.salesforce.partition(".")[2]

    @property
    def entity_set(self) -> str:
        """The BC entity set."""
        return self.business_central.partition(".")[0]

    @property
    def property_name(self) -> str:
        """The BC property, as the API spells it."""
        return self.business_central.partition(".")[2]

    @property
    def target(self) -> str:
        """What the mapping writes."""
        return self.business_central if self.owner == "salesforce" else self.salesforce


def json_value(value: Any) -> Any:
    """Return a field's value as JSON has it: dates and instants as text, the rest as it is."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else value


_EMPTY: Mapping[PropertyKind, Any] = {
    "enum": encoded_enum(""),
    "id": BLANK_ID,
    "number": Decimal(0),
    "flag": False,
    "date": BLANK_DATE,
    "text": "",
}
"""How BC spells "nothing"."""


def _bc_value(kind: PropertyKind, value: Any) -> Any:
    """Return a Salesforce value as a property of *kind* takes it."""
    if value is None:
        return _EMPTY[kind]
    match kind:
        case "enum":
            return encoded_enum(str(value))
        case "id":
            return str(value).strip().lower() or BLANK_ID
        case "text":
            return f"{value:f}" if isinstance(value, Decimal) else str(value)
        case _:
            return json_value(value)


def shown_from(mappings: Iterable[FieldMapping], entity_set: str) -> frozenset[str]:
    """Return the Salesforce fields that take their value from *entity_set*."""
    return frozenset(
        mapping.field
        for mapping in mappings
        if mapping.owner == "business_central" and mapping.entity_set == entity_set
    )


def outgoing(mappings: Iterable[FieldMapping], entity_set: str, record: SObject) -> Body:
    """Return what *record*'s own fields say the BC properties of *entity_set* should be.

    Shape: property → JSON value in the order of the mappings; empty fields as BC spells empty.
    """
    body: dict[str, Any] = {}
    for mapping in mappings:
        if mapping.owner == "salesforce" and mapping.entity_set == entity_set:
            kind = kind_of(ENTITY_SETS[entity_set], mapping.property_name)
            body[mapping.property_name] = _bc_value(kind, record.value(mapping.field))
    return body


def incoming(
    mappings: Iterable[FieldMapping], entity_set: str, entity: WireModel
) -> Mapping[str, Any]:
    """Return what *entity* says the Salesforce fields of its partner should show; empty is None.

    A property that was not read says nothing.
    """
    shown: dict[str, Any] = {}
    for mapping in mappings:
        if mapping.owner == "business_central" and mapping.entity_set == entity_set:
            for name, info in type(entity).model_fields.items():
                if info.alias == mapping.property_name and name in entity.model_fields_set:
                    value = json_value(getattr(entity, name))
                    shown[mapping.field] = None if value == "" else value
    return shown
