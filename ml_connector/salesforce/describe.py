"""What an org says about one of its objects: which fields the run-as user sees and may write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from ml_connector.errors import ContractError


class PicklistValue(BaseModel):
    """One value of a picklist."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, validate_by_name=True
    )

    value: str
    active: bool = True


class FieldDescribe(BaseModel):
    """One field as the run-as user sees it."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, validate_by_name=True
    )

    name: str
    type: str = ""
    label: str = ""
    length: int = 0
    precision: int = 0
    scale: int = 0
    nillable: bool = True
    defaulted_on_create: bool = False
    createable: bool = False
    updateable: bool = False
    external_id: bool | None = None
    """None where the answer does not say it."""
    unique: bool | None = None
    case_sensitive: bool | None = None
    calculated: bool = False
    restricted_picklist: bool = False
    picklist_values: tuple[PicklistValue, ...] = ()
    reference_to: tuple[str, ...] = ()


class Describe(BaseModel):
    """One object as the run-as user sees it; hidden fields are absent."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, validate_by_name=True
    )

    name: str
    label: str = ""
    key_prefix: str | None = None
    createable: bool | None = None
    """Whether the user may create records; None where the answer does not say it."""
    updateable: bool | None = None
    deletable: bool = False
    queryable: bool = False
    replicateable: bool = False
    fields: dict[str, FieldDescribe] = Field(default_factory=dict)

    def has(self, field: str) -> bool:
        """Tell whether the user sees the field named *field*."""
        return field in self.fields


def parse_describe(raw: Any) -> Describe:
    """Return the answer of a describe call.

    Raises: ContractError when it does not have the documented shape.
    """
    try:
        if not isinstance(raw, Mapping) or not isinstance(raw.get("fields"), list):
            raise TypeError("no list of fields")
        described = [
            FieldDescribe.model_validate({k: v for k, v in field.items() if v is not None})
            for field in raw["fields"]
        ]
        rest = {k: v for k, v in raw.items() if k != "fields"}
        return Describe.model_validate({**rest, "fields": {f.name: f for f in described}})
    except (ValidationError, TypeError, AttributeError) as error:
        raise ContractError(
            "Salesforce's describe does not have the documented shape.",
            system="salesforce",
            operation="describe",
        ) from error
