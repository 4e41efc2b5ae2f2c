"""How the changes of one subscription become the items of a notification."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

from ml_connector.sandbox.business_central.company import wire_time

COLLECTION_MARGIN = timedelta(milliseconds=50)


@dataclass(frozen=True, slots=True)
class Noted:
    """A change that waits to be told to one subscription."""

    subscription_id: str
    record_id: str
    kind: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Notice:
    """One item of a notification; `suffix` follows the subscribed resource."""

    subscription_id: str
    suffix: str
    kind: str
    at: datetime


def merged(noted: Sequence[Noted], most: int) -> list[Notice]:
    """The items for one subscription: per record only consecutive updates become one.

    More than `most` items become a single one for the whole collection; it says since when, unless
    a record was deleted, since nobody could find that out by a filter.
    """
    kept: list[Noted] = []
    newest: dict[str, int] = {}
    for change in noted:
        place = newest.get(change.record_id)
        if place is not None and change.kind == "updated" and kept[place].kind == "updated":
            kept[place] = change
            continue
        newest[change.record_id] = len(kept)
        kept.append(change)
    if len(kept) > most:
        return [_collection(noted)]
    return [Notice(c.subscription_id, f"({c.record_id})", c.kind, c.at) for c in kept]


def _collection(noted: Sequence[Noted]) -> Notice:
    suffix = ""
    if all(change.kind != "deleted" for change in noted):
        since = wire_time(min(change.at for change in noted) - COLLECTION_MARGIN)
        suffix = "?$filter=" + quote(f"lastModifiedDateTime gt {since}", safe=":")
    return Notice(
        noted[0].subscription_id, suffix, "collection", max(change.at for change in noted)
    )
