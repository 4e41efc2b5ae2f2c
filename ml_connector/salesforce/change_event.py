"""Decoding of change events: Avro with the schema each event names, bitmaps to field names.

Only the header is kept, which every schema begins with: it tells which records changed, and those
are read again. What comes after it is skipped, which shows whether it fits the schema.
"""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import fastavro

from ml_connector.domain.identifiers import eighteen
from ml_connector.salesforce.event_stream import RawEvent, Reaction, StreamFault

HEADER = "ChangeEventHeader"
GAP_PREFIX = "GAP_"
OVERFLOW = "GAP_OVERFLOW"
_CLIENT = "client="
_EXPANSIONS_KEPT = 10_000
_SCHEMA_TRIES = 6
"""How often a schema that cannot be had now is asked for, before its events are put aside."""


@dataclass(frozen=True, slots=True)
class ChangeEvent:
    """One change of one or more records. Values are not kept: the records are read again.

    Attributes:
        entity: The object, such as "Order".
        record_ids: 18-character ids; empty when the event names none.
        change_type: CREATE, UPDATE, DELETE, UNDELETE or GAP_ and one of these, or GAP_OVERFLOW.
        client: What the writer called itself, "" when it did not.
        committed_at: When the transaction was committed.
        user_id: Who did it.
        changed_fields: Names of changed fields, nested ones as "BillingAddress.City".
    """

    entity: str
    record_ids: tuple[str, ...]
    change_type: str
    client: str
    transaction_key: str
    sequence_number: int
    committed_at: datetime
    user_id: str
    changed_fields: tuple[str, ...]

    @property
    def is_gap(self) -> bool:
        """Whether the event only tells that something was left out."""
        return self.change_type.startswith(GAP_PREFIX)

    @property
    def concerns_all(self) -> bool:
        """Whether it is about records it does not name: an overflow, or a wildcard id."""
        return self.change_type == OVERFLOW or any("*" in each for each in self.record_ids)


class Undecodable(Exception):
    """An event that cannot be read in full; `header` is what could be read of it, if anything."""

    def __init__(self, reason: str, header: ChangeEvent | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.header = header


@dataclass(frozen=True, slots=True)
class _Schema:
    """A schema, parsed whole and up to the header, and the names that bitmaps count."""

    whole: Any
    header: Any
    fields: tuple[str, ...]
    nested: Mapping[int, tuple[str, ...]]
    expanded: dict[tuple[str, ...], tuple[str, ...]]
    """Names by bitmaps: most events of an object change the same few sets of fields."""


class EventDecoder:
    """Decodes events; keeps each schema it met. Safe for several threads."""

    def __init__(self, fetch_schema: Callable[[str], str]) -> None:
        self._fetch = fetch_schema
        self._schemas: dict[str, _Schema] = {}
        self._refused: dict[str, str] = {}
        self._tries: dict[str, int] = {}
        self._lock = threading.Lock()

    def decode(self, event: RawEvent) -> ChangeEvent:
        """Return what *event* says.

        Raises: Undecodable when it does not fit its schema, or the schema could not be had again
        and again; StreamFault when it cannot be had now.
        """
        schema = self._schema(event.schema_id)
        payload = io.BytesIO(event.payload)
        try:
            record: Any = fastavro.schemaless_reader(payload, schema.whole, schema.header)
        except Exception as error:  # fastavro raises whatever the bytes lead it into
            raise self._misfit(schema, event, type(error).__name__) from error
        if payload.tell() != len(event.payload):
            raise self._misfit(schema, event, "it goes on after its end")
        header = record[HEADER]
        if not isinstance(header, dict):
            raise Undecodable("it has no header")
        try:
            names = _names(schema, tuple(header["changedFields"]))
        except (KeyError, TypeError, ValueError) as error:
            raise Undecodable(
                f"the changed fields cannot be told: {error}", _event(header, ())
            ) from error
        return _event(header, names)

    @staticmethod
    def _misfit(schema: _Schema, event: RawEvent, how: str) -> Undecodable:
        """Return what is wrong with the payload of *event*, with its header if that can be read."""
        reason = f"the payload does not fit its schema ({how})"
        try:
            record: Any = fastavro.schemaless_reader(io.BytesIO(event.payload), schema.header, None)
            return Undecodable(reason, _event(record[HEADER], ()))
        except Exception:  # noqa: BLE001  # as above
            return Undecodable(reason)

    def _schema(self, schema_id: str) -> _Schema:
        known = self._schemas.get(schema_id)
        if known is not None:
            return known
        with self._lock:
            refused = self._refused.get(schema_id)
        if refused is not None:
            raise Undecodable(refused)
        try:
            parsed = _parse(self._fetch(schema_id))
        except StreamFault as fault:
            if fault.reaction is not Reaction.STOP:
                if self._is_hopeless(schema_id):
                    raise Undecodable(f"its schema cannot be had now ({fault.code})") from fault
                raise
            raise self._refuse(schema_id, f"its schema cannot be had ({fault.code})") from fault
        except Undecodable as error:
            raise self._refuse(schema_id, error.reason) from error
        with self._lock:
            self._schemas[schema_id] = parsed
            self._tries.pop(schema_id, None)
        return parsed

    def _is_hopeless(self, schema_id: str) -> bool:
        """Count a try; tells whether the feed should go on without this schema for now."""
        with self._lock:
            self._tries[schema_id] = self._tries.get(schema_id, 0) + 1
            return self._tries[schema_id] > _SCHEMA_TRIES

    def _refuse(self, schema_id: str, reason: str) -> Undecodable:
        with self._lock:
            self._refused[schema_id] = reason
        return Undecodable(reason)


def _names(schema: _Schema, bitmaps: tuple[str, ...]) -> tuple[str, ...]:
    names = schema.expanded.get(bitmaps)
    if names is None:
        names = expand(bitmaps, schema.fields, schema.nested)
        if len(schema.expanded) < _EXPANSIONS_KEPT:
            schema.expanded[bitmaps] = names
    return names


def expand(
    bitmaps: Sequence[str], fields: Sequence[str], nested: Mapping[int, Sequence[str]]
) -> tuple[str, ...]:
    """Return the field names that *bitmaps* mark, in the schema's order per bitmap.

    Raises: ValueError when a bitmap is malformed or marks a field the schema does not have.
    """
    names: list[str] = []
    for bitmap in bitmaps:
        place, separator, digits = bitmap.partition("-")
        if not separator:
            names += _marked(bitmap, fields)
            continue
        position = int(place)
        if position not in nested:
            raise ValueError(f"field {position} has no parts")
        names += [f"{fields[position]}.{part}" for part in _marked(digits, nested[position])]
    return tuple(names)


def _marked(bitmap: str, fields: Sequence[str]) -> list[str]:
    if bitmap[:2].lower() != "0x":
        raise ValueError(f"{bitmap!r} is no bitmap")
    bits = int(bitmap[2:] or "0", 16)
    if bits.bit_length() > len(fields):
        raise ValueError(f"a bitmap marks field {bits.bit_length() - 1} of {len(fields)}")
    return [name for place, name in enumerate(fields) if bits >> place & 1]


def _parse(text: str) -> _Schema:
    try:
        raw = json.loads(text)
        fields = raw["fields"]
        if fields[0]["name"] != HEADER:
            raise Undecodable("its schema does not begin with the header")
        records: dict[str, Any] = {}
        _collect_records(raw, records)
        nested = {}
        for place, field in enumerate(fields):
            parts = _parts(field["type"], records)
            if parts and place:
                nested[place] = parts
        header = fastavro.parse_schema({**raw, "fields": fields[:1]})
        whole = fastavro.parse_schema(raw)
    except Undecodable:
        raise
    except Exception as error:  # a schema that is none, in any of the ways that can be
        raise Undecodable(f"its schema cannot be read ({type(error).__name__})") from error
    return _Schema(whole, header, tuple(field["name"] for field in fields), nested, {})


def _collect_records(node: Any, records: dict[str, Any]) -> None:
    if isinstance(node, list):
        for each in node:
            _collect_records(each, records)
    elif isinstance(node, dict):
        if node.get("type") == "record":
            name = str(node["name"])
            records[name] = node
            records[f"{node.get('namespace', 'com.sforce.eventbus')}.{name}"] = node
        for key in ("fields", "type", "items", "values"):
            _collect_records(node.get(key), records)


def _parts(kind: Any, records: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the field names of the record inside *kind*, a type or union; () when it has none."""
    for option in kind if isinstance(kind, list) else [kind]:
        if isinstance(option, dict) and option.get("type") == "record":
            return tuple(field["name"] for field in option["fields"])
        if isinstance(option, str) and option in records:
            return tuple(field["name"] for field in records[option]["fields"])
    return ()


def _event(header: Mapping[str, Any], names: tuple[str, ...]) -> ChangeEvent:
    try:
        return ChangeEvent(
            entity=str(header["entityName"]),
            record_ids=tuple(_record_id(each) for each in header["recordIds"]),
            change_type=str(header["changeType"]),
            client=_client(str(header["changeOrigin"])),
            transaction_key=str(header["transactionKey"]),
            sequence_number=int(header["sequenceNumber"]),
            committed_at=datetime.fromtimestamp(header["commitTimestamp"] / 1000, UTC),
            user_id=str(header["commitUser"]),
            changed_fields=names,
        )
    except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        raise Undecodable(f"its header cannot be read ({type(error).__name__})") from error


def _record_id(text: str) -> str:
    return text if "*" in text else eighteen(text)


def _client(origin: str) -> str:
    """Return the client name of a change origin such as `com/…/rest/65.0;client=name`."""
    for part in origin.split(";"):
        if part.startswith(_CLIENT):
            return part.removeprefix(_CLIENT)
    return ""
