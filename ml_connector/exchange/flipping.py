"""Pairs that go back and forth: two automations that overwrite each other through us.

The audit tells what was written to a pair within the hour. A write that brings back a value the
field had before is a flip; with more of them than the policy bears, the field is held and its pair
parked with both values. It stays so until the sides agree, somebody gives the field another value,
or the pair is replayed. A BC_ field takes its values from BC, whose state may come and go by
itself: there only what was overwritten in Salesforce and written again counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from ml_connector.domain.causes import Cause
from ml_connector.domain.decision import Park
from ml_connector.domain.identifiers import Kind
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.records import AuditEntry, Direction, Record
from ml_connector.wire_json import decode, encode

WINDOW = timedelta(hours=1)
NAMED = 3
"""Fields a message names; the audit has all of them."""

_FACT = "flipping"
_CARRIED_OUT = ("done", "adopted")
_SIDES: Mapping[Direction, tuple[str, str]] = {
    "to_business_central": ("Salesforce", "Business Central"),
    "to_salesforce": ("Business Central", "Salesforce"),
}


def written_lately(
    systems: Systems, kind: Kind, keys: Iterable[str]
) -> Mapping[str, Sequence[AuditEntry]]:
    """Return the audit of the last hour per key, oldest entry first; {} when nothing is held."""
    if not systems.policy.feeds.flips_per_hour:
        return {}
    return systems.ledger.audit_since(kind, keys, systems.clock.now() - WINDOW)


def hold(
    systems: Systems,
    record: Record,
    lately: Sequence[AuditEntry],
    direction: Direction,
    changes: Mapping[str, tuple[Any, Any]],
) -> Park | None:
    """Return why *changes* (field → value now, value to be written) must wait; None when not.

    Effect: the record remembers, in memory, which fields are held with which values.
    """
    limit = systems.policy.feeds.flips_per_hour
    known = record.facts.get(_FACT) or {}
    if not limit or not changes:
        return None
    now = systems.clock.now()
    told = [
        entry
        for entry in lately
        if entry.direction == direction
        and entry.outcome in _CARRIED_OUT
        and entry.at > _instant(known.get("released"), now - WINDOW)
    ]
    still = record.cause == Cause.FLIPPING or _instant(known.get("at"), now - WINDOW) > now - WINDOW
    fields: dict[str, dict[str, Any]] = {}
    for name, (present, value) in changes.items():
        before = (known.get("fields") or {}).get(name) if still else None
        flips = _flips(name, told, value)
        if before is not None and _plain(value) in before["values"]:
            fields[name] = before
        elif flips > limit:
            fields[name] = {"flips": flips, "values": [_plain(value), _plain(present)]}
    if not fields:
        return None
    record.facts[_FACT] = {"at": now.isoformat(), "fields": fields}
    return Park(Cause.FLIPPING, _message(record, direction, fields), fields=tuple(fields))


def held_fields(record: Record) -> frozenset[str]:
    """Return the fields that are not to be written now."""
    if record.cause != Cause.FLIPPING:
        return frozenset()
    return frozenset((record.facts.get(_FACT) or {}).get("fields") or ())


def release(systems: Systems, kind: Kind, keys: Iterable[str]) -> None:
    """Let held fields of *keys* be written again: somebody asked for it. Effect: ledger only."""
    now = systems.clock.now().isoformat()
    records = systems.ledger.records(kind, keys).values()
    held = [record for record in records if record.facts.get(_FACT)]
    for record in held:
        record.facts[_FACT] = {"released": now}
    with systems.ledger.transaction() as tx:
        tx.save_all(held)


def _flips(name: str, told: Sequence[AuditEntry], value: Any) -> int:
    """Count how often *name* went back to what it was, the write of *value* included."""
    writes = [entry for entry in told if name in (entry.after or {})]
    written = [_plain((entry.after or {})[name]) for entry in writes] + [_plain(value)]
    if name.startswith("BC_"):
        return sum(later == earlier for earlier, later in pairwise(written))
    first = (writes[0].before if writes else None) or {}
    seen = [_plain(first[name])] if name in first else []
    flips = 0
    for each in written:
        flips += each in seen
        seen.append(each)
    return flips


def _plain(value: Any) -> Any:
    """Return *value* as the audit gives it back, blanks alike and ETags left out."""
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items() if name != "etag"}
    return "" if value is None else decode(encode(value))


def _instant(text: Any, otherwise: datetime) -> datetime:
    return datetime.fromisoformat(text) if isinstance(text, str) else otherwise


def _message(record: Record, direction: Direction, fields: Mapping[str, Mapping[str, Any]]) -> str:
    ours, theirs = _SIDES[direction]
    name = record.salesforce_number or record.bc_number or record.key
    told = "; ".join(
        f"{field} went back and forth {each['flips']} times within an hour, {ours} says "
        f"{_shown(each['values'][0])}, {theirs} has {_shown(each['values'][1])}"
        for field, each in list(fields.items())[:NAMED]
    )
    return f"{str(record.kind).capitalize()} {name}: {told}."


def _shown(value: Any) -> str:
    return "nothing" if value == "" else f'"{value}"' if isinstance(value, str) else str(value)
