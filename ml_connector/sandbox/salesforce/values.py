"""Field values: what the org accepts, how it keeps them, and how it writes them out."""

import re
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from dateutil.parser import isoparse

from ml_connector.sandbox.salesforce.faults import SalesforceFault
from ml_connector.sandbox.salesforce.ids import normal_id
from ml_connector.sandbox.salesforce.schema import NUMBER_KINDS, TEXT_KINDS, Field

Value = str | bool | int | Decimal | date | datetime
Row = dict[str, Value]

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}\Z")
_EMAIL = re.compile(r"[^@\s,;:<>()\[\]\"]+@[^@\s.,;:]+(\.[^@\s.,;:]+)+\Z", re.ASCII)


def unreadable(column: Field, value: object) -> SalesforceFault:
    """The refusal of a JSON value that cannot be of the field's type."""
    kind = type(value).__name__
    return SalesforceFault("JSON_PARSER_ERROR", f"{column.name}: {kind} given for {column.kind}")


def accept(column: Field, value: Any) -> Value | None:
    """The value as the org keeps it; raises SalesforceFault when it refuses."""
    if value is None:
        if column.kind == "boolean":
            raise SalesforceFault(
                "INVALID_TYPE_ON_FIELD_IN_RECORD", f"{column.name} cannot be null", (column.name,)
            )
        return None
    if column.kind in TEXT_KINDS:
        return _accept_text(column, value)
    if column.kind in NUMBER_KINDS:
        return _accept_number(column, value)
    if column.kind == "reference":
        return _accept_reference(column, value)
    if column.kind == "boolean":
        if not isinstance(value, bool):
            raise unreadable(column, value)
        return value
    if column.kind == "int":
        return _accept_int(column, value)
    if column.kind == "date":
        return accept_date(column, value)
    return accept_instant(column, value)


def _accept_text(column: Field, value: Any) -> str | None:
    if not isinstance(value, str):
        raise unreadable(column, value)
    text = value.strip()
    if not text:
        return None
    if len(text.encode("utf-16-le")) // 2 > column.length > 0:
        raise SalesforceFault(
            "STRING_TOO_LONG",
            f"{column.label or column.name} takes at most {column.length} characters: {text[:80]}",
            (column.name,),
        )
    if column.restricted and text not in column.picklist:
        folded = {choice.lower(): choice for choice in column.picklist}
        if text.lower() not in folded:
            raise SalesforceFault(
                "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
                f"{column.name} does not offer {text}",
                (column.name,),
            )
        text = folded[text.lower()]
    if column.kind == "email" and not _EMAIL.match(text):
        raise SalesforceFault(
            "INVALID_EMAIL_ADDRESS", f"{column.name} is no mail address: {text}", (column.name,)
        )
    return text


def _accept_number(column: Field, value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise unreadable(column, value)
    try:
        number = Decimal(value)
    except InvalidOperation as error:
        raise unreadable(column, value) from error
    if not number.is_finite():
        raise unreadable(column, value)
    if number.adjusted() >= column.precision - column.scale and number:
        raise SalesforceFault(
            "NUMBER_OUTSIDE_VALID_RANGE",
            f"{column.name} takes {column.precision - column.scale} digits before the point",
            (column.name,),
        )
    return rounded(number, column.scale)


def rounded(number: Decimal, scale: int) -> Decimal:
    """The number rounded half-up to this many decimals."""
    return number.quantize(Decimal(1).scaleb(-scale), rounding=ROUND_HALF_UP)


def _accept_int(column: Field, value: Any) -> int:
    if isinstance(value, Decimal) and value == value.to_integral_value():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise unreadable(column, value)
    if abs(value) >= 10**column.precision:
        raise SalesforceFault(
            "NUMBER_OUTSIDE_VALID_RANGE", f"{column.name} is too large", (column.name,)
        )
    return value


def _accept_reference(column: Field, value: Any) -> str | None:
    if not isinstance(value, str):
        raise unreadable(column, value)
    text = value.strip()
    if not text:
        return None
    found = normal_id(text)
    if found is None:
        raise SalesforceFault(
            "MALFORMED_ID", f"{column.name} is given no id: {text}", (column.name,)
        )
    return found


def accept_date(column: Field, value: Any) -> date | None:
    """A day; only the plain form of a date is taken."""
    if isinstance(value, str) and not value.strip():
        return None
    if not isinstance(value, str) or not _DATE.match(value):
        raise unreadable(column, value)
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise unreadable(column, value) from error


def accept_instant(column: Field, value: Any) -> datetime | None:
    """An instant with its zone, kept in UTC to the second."""
    if isinstance(value, str) and not value.strip():
        return None
    if not isinstance(value, str):
        raise unreadable(column, value)
    found = instant(value)
    if found is None:
        raise unreadable(column, value)
    return found.replace(microsecond=0)


def instant(text: str) -> datetime | None:
    """The instant an ISO text with a zone names, or None."""
    try:
        found = isoparse(text)
    except ValueError:
        return None
    if "T" not in text or found.tzinfo is None:
        return None
    return found.astimezone(UTC)


def show_instant(moment: datetime) -> str:
    """An instant as the REST API writes it."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}+0000"


def show_number(number: Decimal) -> Decimal:
    """A number that goes out with a decimal point and no idle zeros."""
    plain = number.normalize()
    exponent = plain.as_tuple().exponent
    if isinstance(exponent, int) and exponent >= 0:
        return plain.quantize(Decimal("0.1"))
    return plain if "E" not in str(plain) else Decimal(format(plain, "f"))


def show(value: Value | None) -> Any:
    """A kept value as JSON."""
    if isinstance(value, Decimal):
        return show_number(value)
    if isinstance(value, datetime):
        return show_instant(value)
    if isinstance(value, date):
        return value.isoformat()
    return value


_ADDRESS_PARTS = (
    ("city", "City"),
    ("country", "Country"),
    ("geocodeAccuracy", "GeocodeAccuracy"),
    ("latitude", "Latitude"),
    ("longitude", "Longitude"),
    ("postalCode", "PostalCode"),
    ("state", "State"),
    ("street", "Street"),
)


def show_address(row: Row, column: Field) -> dict[str, Any] | None:
    """A compound address, or null when no part is filled."""
    prefix = column.name.removesuffix("Address")
    shown = {key: show(row.get(prefix + part)) for key, part in _ADDRESS_PARTS}
    return shown if any(value is not None for value in shown.values()) else None


def show_field(row: Row, column: Field) -> Any:
    """One field of a row as JSON."""
    if column.kind == "address":
        return show_address(row, column)
    return show(row.get(column.name))
