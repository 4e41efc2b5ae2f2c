"""How far behind each feed is, and whether it is alive."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ml_connector.exchange.collect import confirmation_of
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.records import Checkpoint

EVENTS = "/events"
NOTIFICATIONS = "notifications"
_NOTIFICATIONS_SILENT = timedelta(hours=2)
_STREAM_OWNER = "capture-changes"


def instant_text(at: datetime | None) -> str | None:
    """Return an instant as ISO-8601 with `Z`; None for none."""
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def feeds(systems: Systems) -> list[dict[str, Any]]:
    """Return each feed with its lag: now minus the moment up to which everything is known.

    `state` is `polled`, or of a stream: live, connecting, reconnecting, paused, stopped, silent
    (no sign of life for longer than the policy allows) or not_listening (nobody runs it).
    """
    now = systems.clock.now()
    listened = systems.ledger.lease_held_until(_STREAM_OWNER) is not None
    rows = []
    for checkpoint in systems.ledger.checkpoints():
        if _is_left(systems, checkpoint.feed):
            continue
        confirmed = _confirmed_at(systems, checkpoint)
        lag = max(timedelta(), now - confirmed)
        row: dict[str, Any] = {
            "name": checkpoint.feed,
            "lag_seconds": int(lag.total_seconds()),
            "last_confirmed_at": instant_text(confirmed),
            "state": "polled",
        }
        if checkpoint.feed.endswith(EVENTS):
            row |= _stream_state(systems, checkpoint.feed, lag, listened=listened)
        elif checkpoint.feed == NOTIFICATIONS:
            row["state"] = "silent" if lag > _NOTIFICATIONS_SILENT else "live"
        rows.append(row)
    return rows


def _is_left(systems: Systems, feed: str) -> bool:
    """Tell whether *feed* is of an object the policy does not listen to any more."""
    system, _, rest = feed.partition("/")
    entity, _, kind = rest.partition("/")
    return system == "salesforce" and bool(kind) and entity not in systems.policy.feeds.entities


def _confirmed_at(systems: Systems, checkpoint: Checkpoint) -> datetime:
    text = systems.ledger.recall(confirmation_of(checkpoint.feed))
    complete = datetime.fromisoformat(text) if isinstance(text, str) else checkpoint.confirmed_at
    return max(complete, checkpoint.confirmed_at)


def _stream_state(systems: Systems, feed: str, lag: timedelta, *, listened: bool) -> dict[str, Any]:
    known = systems.ledger.recall(f"feed {feed}") or {}
    state = str(known.get("state") or "connecting")
    if state == "stopped":
        return {"state": state, "message": str(known.get("message", ""))}
    if not listened:
        return {"state": "not_listening"}
    quiet = lag
    if state == "live":
        heard = datetime.fromisoformat(str(known.get("heard_at") or known["since"]))
        quiet = min(lag, systems.clock.now() - heard)
    if quiet > timedelta(minutes=systems.policy.feeds.silent_minutes):
        return {"state": "silent", "message": str(known.get("message", ""))}
    return {"state": state}
