"""What a body may hold: property names, types, lengths, enum values."""

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from ml_connector.sandbox.business_central.entities import (
    BLANK_DATE,
    BLANK_GUID,
    BLANK_TIME,
    Entity,
    Field,
    decode_option,
    encode_option,
)
from ml_connector.sandbox.business_central.faults import (
    Refusal,
    bad_request,
    read_only,
)

GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,12}))?(Z|[+-]\d\d:\d\d)?")

Entered = list[tuple[Field, Any]]


def read_body(entity: Entity, body: Any) -> tuple[Entered, dict[str, list[Any]]]:
    """The entered fields in the order of the JSON, and the nested collections."""
    if not isinstance(body, dict):
        raise bad_request("The request body is not a JSON object.")
    entered: Entered = []
    nested: dict[str, list[Any]] = {}
    for name, value in body.items():
        if name.startswith("@") or "@odata." in name:
            continue
        field = entity.fields.get(name)
        if field is not None:
            entered.append((field, _typed(field, value)))
        elif name in entity.navigation and not entity.navigation[name].single:
            if not isinstance(value, list):
                raise bad_request(f"The property '{name}' holds a collection.")
            nested[name] = value
        else:
            raise bad_request(
                f"The type 'Microsoft.NAV.{entity.type_name}' has no property '{name}'."
            )
    for field, _ in entered:
        if field.read_only:
            raise read_only(field.name)
    return entered, nested


def stored(field: Field, value: Any) -> Any:
    """A typed value as it is stored: codes folded, lengths and enum values checked."""
    if field.type == "enum":
        return _option(field, value)
    if field.type in ("code", "text", "formula"):
        text: str = value.strip().upper() if field.type == "code" else value
        if len(text) > field.length:
            raise Refusal(
                400,
                "Application_StringExceededLength",
                f"The text has {len(text)} characters; {field.name} takes "
                f"{field.length} at most. Value: {text}",
            )
        return text
    return value


def _option(field: Field, value: str) -> str:
    caption = decode_option(value) or " "
    for option in field.options:
        if option == caption:
            return encode_option(option)
    raise Refusal(
        400,
        "Unknown",
        f"'{value}' is no option of {field.name}. There are: {', '.join(field.options)}",
    )


def _typed(field: Field, value: Any) -> Any:
    """The JSON value as the field's type; what the deserializer of the service would refuse."""
    kind = field.type
    if value is None:
        return {"decimal": 0, "int": 0, "bool": False}.get(
            kind, {"guid": BLANK_GUID, "date": BLANK_DATE, "datetime": BLANK_TIME}.get(kind, "")
        )
    if kind in ("code", "text", "formula", "enum"):
        if isinstance(value, str):
            return value
    elif kind == "guid":
        if isinstance(value, str):
            if GUID.fullmatch(value):
                return value.lower()
            raise Refusal(400, "Application_InvalidGUID", f"'{value}' is no GUID.")
    elif kind == "bool":
        if isinstance(value, bool):
            return value
    elif kind == "int":
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    elif kind == "decimal":
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            return Decimal(value)
    elif kind == "date" and isinstance(value, str):
        return read_date(value)
    elif kind == "datetime" and isinstance(value, str):
        return read_instant(value)
    raise bad_request(f"The value of '{field.name}' cannot be read as {kind}.")


def read_date(text: str) -> str:
    """A date of the wire, checked."""
    if len(text) == 10:
        try:
            return date.fromisoformat(text).isoformat()
        except ValueError:
            pass
    raise bad_request(f"'{text}' cannot be read as a Date.")


def read_instant(text: str) -> str:
    """An instant in UTC with at least three digits of fraction, for comparing and storing."""
    match = _INSTANT.fullmatch(text)
    if match is None or match[3] is None:
        raise bad_request(f"'{text}' cannot be read as a DateTimeOffset.")
    try:
        moment = datetime.fromisoformat(match[1] + match[3].replace("Z", "+00:00"))
    except ValueError as error:
        raise bad_request(f"'{text}' cannot be read as a DateTimeOffset.") from error
    offset = moment.utcoffset()
    if moment.year > 1 or not offset:
        moment -= offset if offset is not None else moment - moment
    fraction = (match[2] or "").rstrip("0").ljust(3, "0")
    return f"{moment.replace(tzinfo=None).isoformat(timespec='seconds')}.{fraction}Z"
