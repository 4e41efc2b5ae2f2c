"""Change events in Avro: the schema of an entity, its fields in order, the bitmaps over them."""

import base64
import hashlib
import io
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import fastavro
from fastavro.types import Schema as AvroSchema

from ml_connector.sandbox.salesforce.ids import record_id
from ml_connector.sandbox.salesforce.schema import Field, SObject

NAMESPACE = "com.sforce.eventbus"
CHANGE_TYPES = (
    "CREATE",
    "UPDATE",
    "DELETE",
    "UNDELETE",
    "GAP_CREATE",
    "GAP_UPDATE",
    "GAP_DELETE",
    "GAP_UNDELETE",
    "GAP_OVERFLOW",
    "SNAPSHOT",
)

_ABSENT = frozenset(
    {
        "Id",
        "IsDeleted",
        "SystemModstamp",
        "MasterRecordId",
        "LastViewedDate",
        "LastReferencedDate",
        "LastActivityDate",
        "PhotoUrl",
    }
)
_AVRO_TYPES = {
    "boolean": "boolean",
    "int": "int",
    "double": "double",
    "currency": "double",
    "percent": "double",
    "datetime": "long",
    "date": "long",
}
_HINTS = {
    "boolean": "Data:Boolean",
    "int": "Data:Integer",
    "double": "Data:Double",
    "currency": "Data:Currency",
    "percent": "Data:Percent",
    "datetime": "Data:DateTime",
    "date": "Data:DateOnly",
    "picklist": "Data:DynamicEnum",
    "multipicklist": "Data:MultiEnum",
    "phone": "Data:Phone",
    "email": "Data:Email",
    "url": "Data:Url",
    "reference": "ForeignKey:EntityId",
}
_ADDRESS_PARTS = (
    ("Street", "string"),
    ("City", "string"),
    ("State", "string"),
    ("PostalCode", "string"),
    ("Country", "string"),
    ("StateCode", "string"),
    ("CountryCode", "string"),
    ("Latitude", "double"),
    ("Longitude", "double"),
    ("GeocodeAccuracy", "string"),
)
_PERSON_PARTS = (("Salutation", "string"), ("FirstName", "string"), ("LastName", "string"))
_HEADER_FIELDS: tuple[tuple[str, Any], ...] = (
    ("entityName", "string"),
    ("recordIds", {"type": "array", "items": "string"}),
    ("changeType", {"type": "enum", "name": "ChangeType", "symbols": list(CHANGE_TYPES)}),
    ("changeOrigin", "string"),
    ("transactionKey", "string"),
    ("sequenceNumber", "int"),
    ("commitTimestamp", "long"),
    ("commitNumber", "long"),
    ("commitUser", "string"),
    ("nulledFields", {"type": "array", "items": "string"}),
    ("diffFields", {"type": "array", "items": "string"}),
    ("changedFields", {"type": "array", "items": "string"}),
)


@dataclass(frozen=True, slots=True)
class EventField:
    """One field after the header: a column, or a compound of several columns."""

    name: str
    kind: str
    columns: tuple[str, ...]
    """The columns it carries; of a compound in the order of its nested record, "" where the org
    has no such column."""

    @property
    def is_compound(self) -> bool:
        """Whether the value is a nested record."""
        return len(self.columns) > 1


class EventSchema:
    """How the change events of one entity are written, as long as its fields stay the same."""

    def __init__(self, entity: str, fields: tuple[EventField, ...], document: str) -> None:
        self.entity = entity
        self.fields = fields
        self.document = document
        digest = hashlib.md5(document.encode(), usedforsecurity=False).digest()
        self.schema_id = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        self._places = {
            column: (top, nested if field.is_compound else None)
            for top, field in enumerate(fields, start=1)
            for nested, column in enumerate(field.columns)
            if column
        }
        self._avro: AvroSchema = fastavro.parse_schema(json.loads(document))

    def __reduce__(self) -> tuple[Any, ...]:
        return (EventSchema, (self.entity, self.fields, self.document))

    @property
    def columns(self) -> Iterable[str]:
        """The columns that events of this entity can carry."""
        return self._places.keys()

    def carries(self, column: str) -> bool:
        """Whether events of this entity can carry this column."""
        return column in self._places

    def bitmaps(self, columns: Iterable[str]) -> list[str]:
        """The bitmaps that name these columns: the top level first, then one per compound."""
        top = 0
        nested: dict[int, int] = {}
        for column in columns:
            place = self._places.get(column)
            if place is None:
                continue
            position, part = place
            if part is None:
                top |= 1 << position
            else:
                nested[position] = nested.get(position, 0) | 1 << part
        maps = [hex_bitmap(top)] if top else []
        maps.extend(f"{position}-{hex_bitmap(nested[position])}" for position in sorted(nested))
        return maps

    def encode(self, header: Mapping[str, Any], values: Mapping[str, Any]) -> bytes:
        """The bare Avro payload of a header and the column values that are not null."""
        record: dict[str, Any] = {"ChangeEventHeader": header}
        for field in self.fields:
            if not field.is_compound:
                value = values.get(field.columns[0])
                record[field.name] = None if value is None else wire_value(value, field.kind)
                continue
            parts = [values.get(column) if column else None for column in field.columns]
            if any(part is not None for part in parts):
                names = _ADDRESS_PARTS if field.kind == "address" else _PERSON_PARTS
                record[field.name] = {
                    name: None if part is None else wire_value(part, kind)
                    for (name, kind), part in zip(names, parts, strict=True)
                }
            else:
                record[field.name] = None
        buffer = io.BytesIO()
        fastavro.schemaless_writer(buffer, self._avro, record)
        return buffer.getvalue()

    def decode(self, payload: bytes) -> dict[str, Any]:
        """The record inside a payload written with this schema."""
        record = fastavro.schemaless_reader(io.BytesIO(payload), self._avro, None)
        if not isinstance(record, dict):
            raise TypeError("a change event is a record")
        return record


def hex_bitmap(bits: int) -> str:
    """A bitmap as the wire has it: upper case, whole bytes, bit 0 last."""
    size = max(1, (bits.bit_length() + 7) // 8)
    return "0x" + bits.to_bytes(size, "big").hex().upper()


def wire_value(value: Any, kind: str) -> Any:
    """A stored value as its Avro type carries it."""
    if kind == "int":
        return int(value)
    if isinstance(value, Decimal | int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, datetime):
        return int(value.timestamp()) * 1000
    if isinstance(value, date):
        midnight = datetime(value.year, value.month, value.day, tzinfo=UTC)
        return int(midnight.timestamp()) * 1000
    return value


def build_event_schema(sobject: SObject) -> EventSchema:
    """The schema that the object's present fields give."""
    fields = tuple(_event_fields(sobject))
    known: set[str] = set()
    declared: list[dict[str, Any]] = [
        {
            "name": "ChangeEventHeader",
            "type": {
                "type": "record",
                "name": "ChangeEventHeader",
                "fields": [{"name": name, "type": kind} for name, kind in _HEADER_FIELDS],
            },
        }
    ]
    for field in fields:
        column = sobject.fields.get(field.columns[0]) if not field.is_compound else None
        declared.append(
            {
                "name": field.name,
                "type": ["null", *_branches(sobject, field, known)],
                "doc": _hint(sobject, field, column),
                "default": None,
            }
        )
    document = {
        "type": "record",
        "name": f"{sobject.name}ChangeEvent",
        "namespace": NAMESPACE,
        "fields": declared,
    }
    return EventSchema(sobject.name, fields, json.dumps(document, separators=(",", ":")))


def _event_fields(sobject: SObject) -> Iterable[EventField]:
    """The fields in the order of describe, custom ones after the standard ones."""
    person = sobject.name == "Contact"
    inside = {part for part, _ in _PERSON_PARTS} if person else set()
    columns = sorted(sobject.fields.values(), key=lambda column: column.custom)
    for column in columns:
        if column.name in _ABSENT or column.calculated or column.compound or column.name in inside:
            continue
        if column.kind == "address":
            prefix = column.name.removesuffix("Address")
            parts = (f"{prefix}{part}" for part, _ in _ADDRESS_PARTS)
            present = tuple(part if part in sobject.fields else "" for part in parts)
            yield EventField(column.name, "address", present)
        elif person and column.name == "Name":
            yield EventField("Name", "person", tuple(part for part, _ in _PERSON_PARTS))
        else:
            yield EventField(column.name, column.kind, (column.name,))


def _branches(sobject: SObject, field: EventField, known: set[str]) -> list[Any]:
    """The Avro types beside null; a named record is spelled out where it is met first."""
    if field.kind == "address":
        return [_named("Address", _ADDRESS_PARTS, known)]
    if field.kind == "person":
        return [_named("PersonName", _PERSON_PARTS, known)]
    if sobject.name == "Account" and field.name == "Name":
        return ["string", _named("Switchable_PersonName", _PERSON_PARTS, known)]
    return [_AVRO_TYPES.get(field.kind, "string")]


def _named(name: str, parts: Iterable[tuple[str, str]], known: set[str]) -> Any:
    if name in known:
        return name
    known.add(name)
    fields = [
        {"name": part, "type": ["null", kind], "default": None, "doc": "Data:Text"}
        if kind == "string"
        else {"name": part, "type": ["null", kind], "default": None, "doc": "Data:Double"}
        for part, kind in parts
    ]
    return {"type": "record", "name": name, "fields": fields}


def _hint(sobject: SObject, field: EventField, column: Field | None) -> str:
    if field.kind == "address":
        return "Data:Address"
    if field.kind == "person":
        return "Data:Name"
    if sobject.name == "Account" and field.name == "Name":
        return "Data:SwitchablePersonName"
    long_text = column is not None and column.kind == "textarea" and column.length > 255
    hint = _HINTS.get(field.kind, "Data:StringPlusClob" if long_text else "Data:Text")
    if column is not None and column.custom:
        hint = f"{hint}:{_field_id(sobject.name, column.name)}"
    return hint


def _field_id(entity: str, name: str) -> str:
    """The fifteen-character id of a custom field, always the same for the same field."""
    return record_id("00N", zlib.crc32(f"{entity}.{name}".encode()))[:15]
