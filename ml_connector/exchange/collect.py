"""Find what changed on both sides since the last run, and store it before anything is decided.

A checkpoint moves only in the transaction that stores the changes it covers. Rows whose content
the ledger already knows are not stored: re-reading the overlap costs no further call.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from ml_connector.domain.identifiers import Kind, State, eighteen, folded
from ml_connector.errors import FeedError
from ml_connector.exchange.again import again_when_stale
from ml_connector.exchange.resting import resting
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.records import NewChange, Record
from ml_connector.salesforce.soql import instant, select
from ml_connector.wire_json import encode

log = logging.getLogger("ml_connector")

OVERLAP = timedelta(minutes=5)
"""How far a poll reaches back behind its checkpoint: rows committed late carry an older stamp."""

POLL_PAGE = 2000

_NOT_CONTENT = {"attributes", "SystemModstamp", "LastModifiedById", "LastModifiedDate"}


def content_digest(row: Mapping[str, Any]) -> str:
    """Return a digest of what a person can change in *row*: no stamps, none of our BC_ fields.

    An empty field is no content, whether the answer says null or leaves it out.
    """
    content = {
        name: value
        for name, value in row.items()
        if value is not None and name not in _NOT_CONTENT and not name.startswith("BC_")
    }
    return hashlib.sha256(encode(dict(sorted(content.items())))).hexdigest()[:32]


def shown_fields(row: Mapping[str, Any], wanted: Collection[str]) -> dict[str, Any]:
    """Return what a Salesforce row shows of BC: the BC_ fields, and the mapped ones in *wanted*."""
    return {name: value for name, value in row.items() if name.startswith("BC_") or name in wanted}


def polled_ahead(systems: Systems, *feeds: str) -> None:
    """Note that *feeds* were just polled: the next poll of each in this run is left out."""
    ahead: set[str] = systems.remembered.get(_POLLED_AHEAD, set)
    ahead.update(feeds)


def _was_polled_ahead(systems: Systems, feed: str) -> bool:
    ahead: set[str] = systems.remembered.get(_POLLED_AHEAD, set)
    if feed not in ahead:
        return False
    ahead.discard(feed)
    return True


_POLLED_AHEAD = "polled_ahead"


def poll_salesforce(
    systems: Systems,
    sobject: str,
    fields: Sequence[str],
    kind: Kind,
    on_page: Callable[[list[dict[str, Any]], dict[str, Record]], None] | None = None,
) -> None:
    """Store the ids of every row of *sobject* that changed since the checkpoint.

    *on_page* sees each page with the ledger's records of its rows; what it stores is stored
    together with the checkpoint. A person's edit of a BC_ field on a linked record is noticed here:
    it is marked to be shown again.
    """
    feed = f"salesforce/{sobject}"
    if _was_polled_ahead(systems, feed):
        return
    began = systems.clock.now()
    for page in pages_since(systems, sobject, fields, feed):
        again_when_stale(partial(_store_page, systems, (sobject, kind, feed), page, on_page))
    with systems.ledger.transaction() as tx:
        tx.remember(confirmation_of(feed), began.isoformat())


def confirmation_of(feed: str) -> str:
    """Return the name under which the ledger remembers when *feed* was last read to its end.

    Everything up to then is known, however old the newest row is.
    """
    return f"confirmed {feed}"


def _store_page(
    systems: Systems,
    source: tuple[str, Kind, str],
    page: list[dict[str, Any]],
    on_page: Callable[[list[dict[str, Any]], dict[str, Record]], None] | None,
) -> None:
    sobject, kind, feed = source
    keys = [eighteen(row["Id"]) for row in page]
    records = systems.ledger.records(kind, keys)
    changes: list[NewChange] = []
    reshown: list[Record] = []
    for key, row in zip(keys, page, strict=True):
        record = records.get(key)
        digest = content_digest(row)
        if record is None or record.source_stamp != digest:
            changes.append(_change(sobject, key, row, digest))
        if record is not None and (record.show_pending or _looks_different(record, row)):
            record.shown = shown_fields(row, record.wanted)
            record.show_pending = True
            reshown.append(record)
    with systems.ledger.transaction() as tx:
        tx.add_changes(changes)
        tx.save_all(reshown)
        if on_page is not None:
            on_page(page, records)
        tx.move_checkpoint(feed, page[-1]["SystemModstamp"], _stamp(page[-1]))


def _looks_different(record: Record, row: Mapping[str, Any]) -> bool:
    return any(
        name in row and not same_value(row[name], wanted) for name, wanted in record.wanted.items()
    )


def pages_since(
    systems: Systems, sobject: str, fields: Sequence[str], feed: str
) -> Iterator[list[dict[str, Any]]]:
    """Yield pages from the checkpoint of *feed* on, oldest first; one that dies starts again there.

    The caller moves the checkpoint with each page it stores.
    """
    for attempt in range(3):
        checkpoint = systems.ledger.checkpoint(feed)
        where = ""
        if checkpoint is not None:
            since = checkpoint.confirmed_at - (OVERLAP if attempt == 0 else timedelta())
            where = f"SystemModstamp >= {instant(since)}"
        soql = select(sobject, fields, where=where, order_by="SystemModstamp, Id")
        try:
            for page in systems.salesforce.query(soql, batch_size=POLL_PAGE):
                if page:
                    yield page
        except FeedError:
            if attempt == 2:
                raise
            log.warning("the query over %s expired; going on from the last stored page", sobject)
        else:
            return


def _change(sobject: str, key: str, row: Mapping[str, Any], digest: str) -> NewChange:
    return NewChange(
        system="salesforce",
        entity=sobject,
        record_id=key,
        change_type="UPDATE",
        changed_at=_stamp(row),
        source="poll",
        dedupe_key=f"poll:{sobject}:{key}:{row['SystemModstamp']}:{digest}",
    )


def _stamp(row: Mapping[str, Any]) -> datetime:
    return parse_instant(row["SystemModstamp"])


def parse_instant(text: str) -> datetime:
    """Parse either vendor's date-time (`+0000`, `Z`, up to 7 fractional digits) to aware UTC."""
    body = text.strip()
    if body.endswith("Z"):
        body, zone = body[:-1], "+00:00"
    else:
        body, zone = body[:-5] if body[-5] in "+-" else body[:-6], body[-5:]
        zone = zone if ":" in zone else f"{zone[:3]}:{zone[3:]}"
    if "." in body:
        whole, fraction = body.split(".", 1)
        body = f"{whole}.{fraction[:6].ljust(6, '0')}"
    return datetime.fromisoformat(body + zone).astimezone(UTC)


def row_stamp(row: Mapping[str, Any]) -> str:
    """Return a BC row's lastModifiedDateTime as the ledger keeps stamps."""
    return parse_instant(row["lastModifiedDateTime"]).isoformat()


def mark_changed(systems: Systems, sobject: str, keys: Iterable[str], reason: str) -> None:
    """Put *keys* into the inbox so that the next preparation reads them again."""
    now = systems.clock.now().isoformat()
    mark_versions(systems, sobject, [(key, now) for key in dict.fromkeys(keys)], reason)


def mark_versions(
    systems: Systems, sobject: str, versions: Iterable[tuple[str, str]], reason: str
) -> None:
    """Put the keys of *versions* (key, what moved) into the inbox.

    A version that was put there before is ignored, so that an overlap costs no second look.
    """
    now = systems.clock.now()
    changes = [
        NewChange(
            system="salesforce",
            entity=sobject,
            record_id=key,
            change_type="UPDATE",
            changed_at=now,
            source=reason,
            dedupe_key=f"{reason}:{sobject}:{key}:{version}",
        )
        for key, version in dict.fromkeys(versions)
    ]
    if changes:
        with systems.ledger.transaction() as tx:
            tx.add_changes(changes)


def due_keys(systems: Systems, sobject: str, kind: Kind) -> list[str]:
    """Return the keys to decide now: changed ones as they came, then waiting and parked ones.

    One with a write whose answer is lost is among them, whatever was decided about it since; one
    that BC keeps refusing is left out until its next try is due.
    """
    changed = systems.ledger.pending_ids("salesforce", sobject)
    now = systems.clock.now()
    parked = systems.ledger.iterate(kind=kind, states=(State.PARKED,))
    rest = {key for page in parked for key in resting(page, now)}
    stuck = systems.ledger.keys(kind, states=(State.WAITING, State.PARKED))
    due = [key for key in stuck if key not in rest]
    return list(dict.fromkeys([*changed, *due, *unanswered(systems, kind)]))


def awaited(systems: Systems, kind: Kind) -> list[str]:
    """Return the keys of *kind* that waiting orders lack: no partner has been linked to them."""
    found: list[str] = []
    for page in systems.ledger.iterate(kind=Kind.ORDER, states=(State.WAITING,)):
        needed = {
            str(need["salesforce_id"])
            for record in page
            for need in record.waits_for
            if need["kind"] == str(kind)
        }
        known = systems.ledger.records(kind, sorted(needed))
        rest = resting(known.values(), systems.clock.now())
        lacking = {key for key in needed if not (key in known and known[key].bc_id)}
        found += sorted(lacking - rest)
    return list(dict.fromkeys(found))


def unanswered(systems: Systems, kind: Kind) -> list[str]:
    """Return the keys of *kind* with a write whose end is not known."""
    found = systems.ledger.unresolved_intents(systems.clock.now())
    return [intent.key for intent in found if intent.kind is kind]


def poll_bc(
    systems: Systems, entity_set: str, select_fields: Sequence[str]
) -> tuple[list[dict[str, Any]], Callable[[], None]]:
    """Return the rows of a BC set changed since its checkpoint, and how to confirm them.

    The first poll of a connection reads no history: it starts at BC's newest stamp, since whatever
    the connector links is read in full at that moment. Call the returned function once the rows'
    effects are stored; it moves the checkpoint.
    """
    feed = f"business_central/{entity_set}"
    if _was_polled_ahead(systems, feed):
        return [], lambda: None
    began = systems.clock.now()
    checkpoint = systems.ledger.checkpoint(feed)
    rows: list[dict[str, Any]] = []
    if checkpoint is None:
        start = _newest_stamp(systems, entity_set)
    else:
        start = checkpoint.confirmed_at
        since = (checkpoint.confirmed_at - OVERLAP).astimezone(UTC)
        rows.extend(
            systems.business_central.rows(
                entity_set,
                filter=f"lastModifiedDateTime gt {since:%Y-%m-%dT%H:%M:%S}Z",
                select=select_fields,
                orderby="lastModifiedDateTime",
            )
        )

    def confirm() -> None:
        newest = max((parse_instant(row["lastModifiedDateTime"]) for row in rows), default=start)
        with systems.ledger.transaction() as tx:
            tx.move_checkpoint(feed, newest.isoformat(), newest)
            tx.remember(confirmation_of(feed), began.isoformat())

    return rows, confirm


_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def poll_partners(systems: Systems, entity_set: str, sobject: str, kind: Kind) -> int:
    """Put the records of *kind* into the inbox that BC's changed rows concern; returns how many."""
    rows, confirm = poll_bc(systems, entity_set, ("id", "number", "lastModifiedDateTime"))
    keys = concerned(systems, kind, rows)
    mark_changed(systems, sobject, keys, entity_set)
    confirm()
    return len(keys)


def concerned(systems: Systems, kind: Kind, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the records of *kind* that BC's *rows* have news for.

    They are linked to a row that changed since it was last read, or stuck and named by the number
    of a row that nothing is linked to.
    """
    linked = systems.ledger.records_by_bc_id(kind, [str(row["id"]).lower() for row in rows])
    moved = [
        record.key
        for row in rows
        for record in linked.get(str(row["id"]).lower(), ())
        if record.bc_stamp != row_stamp(row)
    ]
    numbers = {folded(row["number"]) for row in rows if str(row["id"]).lower() not in linked}
    if not numbers:
        return moved
    stuck = [
        record.key
        for page in systems.ledger.iterate(kind=kind, states=(State.WAITING, State.PARKED))
        for record in page
        if folded(record.salesforce_number) in numbers
    ]
    return [*moved, *stuck]


def _newest_stamp(systems: Systems, entity_set: str) -> datetime:
    """Return the newest lastModifiedDateTime of a BC set; long ago when it has none."""
    newest = next(
        systems.business_central.rows(
            entity_set,
            select=("id", "lastModifiedDateTime"),
            orderby="lastModifiedDateTime desc",
            page_size=1,
        ),
        None,
    )
    if newest is None:
        return _LONG_AGO
    return max(parse_instant(newest["lastModifiedDateTime"]), _LONG_AGO)


def same_value(left: Any, right: Any) -> bool:
    """Tell whether Salesforce takes two values for equal: blank is null, times are instants."""
    if left in ("", None) or right in ("", None):
        return left in ("", None) and right in ("", None)
    if isinstance(left, str) and isinstance(right, str):
        if left.strip() == right.strip():
            return True
        return (
            _is_instant(left) and _is_instant(right) and parse_instant(left) == parse_instant(right)
        )
    return bool(left == right)


def _is_instant(text: str) -> bool:
    return len(text) >= 20 and text[10:11] == "T" and text[4:5] == "-"
