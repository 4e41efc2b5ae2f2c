"""How far behind each feed is, and whether it is alive."""

from __future__ import annotations

from collections.abc import Container
from datetime import UTC, datetime, timedelta
from typing import Any

from ml_connector.exchange.collect import confirmation_of
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.records import Checkpoint

EVENTS = "/events"
NOTIFICATIONS = "notifications"
_NOTIFICATIONS_SILENT = timedelta(hours=2)
_STREAM_OWNER = "capture-changes"
_NEVER_CONFIRMED = (
    "The subscriptions were never all confirmed; see what `renew-subscriptions` says of them."
)


def instant_text(at: datetime | None) -> str | None:
    """Return an instant as ISO-8601 with `Z`; None for none."""
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def feeds(systems: Systems) -> list[dict[str, Any]]:
    """Return each feed with its lag: now minus the moment up to which everything is known.

    A feed that never came up lags since it was first tried, and has nothing confirmed; a stream
    that nobody ever tried is left out.

    `state` is `polled`, or of a stream: live, connecting, reconnecting, paused, stopped, silent
    (no sign of life for longer than the policy allows) or not_listening (nobody runs it).
    """
    now = systems.clock.now()
    listened = systems.ledger.lease_held_until(_STREAM_OWNER) is not None
    confirmed = {
        checkpoint.feed: _confirmed_at(systems, checkpoint)
        for checkpoint in systems.ledger.checkpoints()
        if not _is_left(systems, checkpoint.feed)
    }
    tried = _never_up(systems, confirmed)
    rows = []
    for feed, since in sorted((tried | confirmed).items()):
        lag = max(timedelta(), now - since)
        row: dict[str, Any] = {
            "name": feed,
            "lag_seconds": int(lag.total_seconds()),
            "last_confirmed_at": instant_text(confirmed.get(feed)),
            "state": "polled",
        }
        if feed.endswith(EVENTS):
            row |= _stream_state(systems, feed, lag, listened=listened)
        elif feed == NOTIFICATIONS:
            row |= _notifications_state(lag, is_up=feed in confirmed)
        rows.append(row)
    return rows


def note_try(systems: Systems, feed: str) -> None:
    """Remember that *feed* is tried from now on; does nothing when it was tried before."""
    if systems.ledger.recall(_try_of(feed)) is None:
        with systems.ledger.transaction() as tx:
            tx.remember(_try_of(feed), systems.clock.now().isoformat())


def _try_of(feed: str) -> str:
    return f"first try of {feed}"


def _never_up(systems: Systems, confirmed: Container[str]) -> dict[str, datetime]:
    """Return the feeds that were tried, or are configured, and have no checkpoint; since when."""
    found: dict[str, datetime] = {}
    wanted = [f"salesforce/{entity}{EVENTS}" for entity in systems.policy.feeds.entities]
    if systems.settings.business_central.notification_url:
        wanted.append(NOTIFICATIONS)
    for feed in wanted:
        if feed in confirmed:
            continue
        began = systems.ledger.recall(_try_of(feed))
        if began is not None:
            found[feed] = datetime.fromisoformat(str(began))
        elif feed == NOTIFICATIONS:
            found[feed] = systems.clock.now()
    return found


def _is_left(systems: Systems, feed: str) -> bool:
    """Tell whether *feed* is of an object the policy does not listen to any more."""
    system, _, rest = feed.partition("/")
    entity, _, kind = rest.partition("/")
    return system == "salesforce" and bool(kind) and entity not in systems.policy.feeds.entities


def _confirmed_at(systems: Systems, checkpoint: Checkpoint) -> datetime:
    text = systems.ledger.recall(confirmation_of(checkpoint.feed))
    complete = datetime.fromisoformat(text) if isinstance(text, str) else checkpoint.confirmed_at
    return max(complete, checkpoint.confirmed_at)


def _notifications_state(lag: timedelta, *, is_up: bool) -> dict[str, Any]:
    state = "silent" if lag > _NOTIFICATIONS_SILENT else "live"
    if is_up:
        return {"state": state}
    return {"state": "connecting" if state == "live" else state, "message": _NEVER_CONFIRMED}


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
