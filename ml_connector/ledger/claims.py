"""Who may write a record: leases with fencing tokens.

The fence of a record counts its claims. Whoever claims gets a higher fence than anybody before, so
a worker that was paused past the end of its lease finds another fence when it wakes up and cannot
commit, whatever its own clock says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, select, tuple_, update

from ml_connector.errors import StaleClaim
from ml_connector.ledger.owner import owner_is_dead
from ml_connector.ledger.record_store import chunks
from ml_connector.ledger.tables import claims
from ml_connector.ledger.upserts import insert_missing

LEASE = "lease"
"""The kind of claims that stand for running a feed."""

_INSERT = insert_missing(claims)
_LOCKED = (
    select(claims.c.key, claims.c.owner, claims.c.fence, claims.c.expires_at)
    .where(
        claims.c.connection == bindparam("name"),
        claims.c.kind == bindparam("of_kind"),
        claims.c.key.in_(bindparam("values", expanding=True)),
    )
    .order_by(claims.c.key)
    .with_for_update()
)

_TAKE = (
    update(claims)
    .where(
        claims.c.connection == bindparam("name"),
        claims.c.kind == bindparam("of_kind"),
        claims.c.key.in_(bindparam("values", expanding=True)),
    )
    .values(owner=bindparam("new_owner"), expires_at=bindparam("until"), fence=claims.c.fence + 1)
)


def claim(
    db: Connection, name: str, kind: str, keys: Iterable[str], owner: str, until: Lease
) -> dict[str, int]:
    """Take those of *keys* that are free, ended, ours, or held by a dead process; key → fence."""
    taken: dict[str, int] = {}
    for chunk in chunks(keys):
        where = {"name": name, "of_kind": str(kind), "values": chunk}
        rows = db.execute(_LOCKED, where).all()
        if len(rows) < len(chunk):
            present = {row.key for row in rows}
            db.execute(
                _INSERT,
                [_free(name, str(kind), key) for key in chunk if key not in present],
            )
            rows = db.execute(_LOCKED, where).all()
        mine = {row.key: row.fence + 1 for row in rows if _is_free(row, owner, until.now)}
        if mine:
            db.execute(
                _TAKE,
                {**where, "values": sorted(mine), "new_owner": owner, "until": until.end},
            )
        taken.update(mine)
    return taken


class Lease:
    """From now until when a claim holds."""

    __slots__ = ("end", "now")

    def __init__(self, now: datetime, seconds: float) -> None:
        self.now = now
        self.end = now + timedelta(seconds=seconds)


def _free(name: str, kind: str, key: str) -> dict[str, Any]:
    return {
        "connection": name,
        "kind": kind,
        "key": key,
        "owner": "",
        "fence": 0,
        "expires_at": None,
    }


def _is_free(row: Any, owner: str, now: datetime) -> bool:
    if row.owner in ("", owner) or row.expires_at is None or row.expires_at <= now:
        return True
    return owner_is_dead(row.owner)


def renew(
    db: Connection, name: str, kind: str, key: str, holder: tuple[str, int], end: datetime
) -> None:
    """Let the lease of *holder* (owner, fence) last until *end*.

    Raises: StaleClaim when somebody else claimed the record since.
    """
    owner, fence = holder
    done = db.execute(
        update(claims)
        .where(
            claims.c.connection == name,
            claims.c.kind == str(kind),
            claims.c.key == key,
            claims.c.owner == owner,
            claims.c.fence == fence,
        )
        .values(expires_at=end)
    )
    if done.rowcount != 1:
        raise _stale(kind, key)


def release(
    db: Connection, name: str, kind: str, keys: Sequence[str] | Mapping[str, int], owner: str
) -> None:
    """Give back what *owner* holds; with fences, only what was claimed with exactly these."""
    for chunk in chunks(keys):
        mine = (
            tuple_(claims.c.key, claims.c.fence).in_([(key, keys[key]) for key in chunk])
            if isinstance(keys, Mapping)
            else claims.c.key.in_(chunk)
        )
        db.execute(
            update(claims)
            .where(
                claims.c.connection == name,
                claims.c.kind == str(kind),
                claims.c.owner == owner,
                mine,
            )
            .values(owner="", expires_at=None)
        )


def check_fences(db: Connection, name: str, kind: str, fences: Mapping[str, int]) -> None:
    """Make sure that nobody claimed the records since, and that nobody can before the commit.

    Raises: StaleClaim naming the first record that was taken over.
    """
    for chunk in chunks(fences):
        where = {"name": name, "of_kind": str(kind), "values": chunk}
        stored = {row.key: row.fence for row in db.execute(_LOCKED, where)}
        for key in chunk:
            if stored.get(key) != fences[key]:
                raise _stale(kind, key)


def held_until(db: Connection, name: str, kind: str, key: str, now: datetime) -> datetime | None:
    """Return until when somebody alive holds the record; None when it is free."""
    query = select(claims.c.owner, claims.c.expires_at).where(
        claims.c.connection == name, claims.c.kind == str(kind), claims.c.key == key
    )
    row = db.execute(query).one_or_none()
    if row is None or _is_free(row, "", now):
        return None
    expires_at: datetime = row.expires_at
    return expires_at


def _stale(kind: str, key: str) -> StaleClaim:
    return StaleClaim(f"Another worker took over {kind} {key}.", system="ledger", record_id=key)
