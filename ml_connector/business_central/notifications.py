"""What a notification of BC says: pointers to records or collections, never their content."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from urllib.parse import unquote

from ml_connector.errors import ContractError

LONGEST_RESOURCE = 1_000

_GUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_RESOURCE = re.compile(
    rf"(?:https://[^\s?#%]{{1,400}}/|/)?(?:api/v2\.0/)?companies\(({_GUID})\)/([A-Za-z]{{1,60}})/?"
    rf"(?:\(({_GUID})\))?"
)
_FILTER = re.compile(
    r"\$filter=(?:lastModifiedDateTime|lastDateTimeModified) (?:gt|ge)"
    r" (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z"
)
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|\+00:00)")


class ChangeType(StrEnum):
    """What happened; a collection stands for more changes than BC would name."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    COLLECTION = "collection"


@dataclass(frozen=True, slots=True)
class Resource:
    """Where a notification points: one record, or a collection, perhaps since a time.

    Ids are in lower case; `record_id` is "" for a collection, `since` None when it says none.
    """

    company_id: str
    entity_set: str
    record_id: str = ""
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Notification:
    """One item of a notification, its proof of origin left out."""

    subscription_id: str
    resource: Resource
    change_type: ChangeType
    changed_at: datetime | None


def read_notification(item: Mapping[str, Any]) -> Notification:
    """Return what one item says.

    Raises: ContractError whose code names what does not fit: `resource`, `change_type`.
    """
    resource = read_resource(item.get("resource"))
    try:
        change_type = ChangeType(str(item.get("changeType")))
    except ValueError:
        raise _unfit("change_type") from None
    if (change_type is ChangeType.COLLECTION) == bool(resource.record_id):
        raise _unfit("change_type")
    return Notification(
        subscription_id=str(item.get("subscriptionId") or "")[:150],
        resource=resource,
        change_type=change_type,
        changed_at=read_instant(item.get("lastModifiedDateTime")),
    )


def read_resource(text: Any) -> Resource:
    """Return where *text* points, with or without a leading slash or a host.

    Nothing in it is ever called: only ids, a name and a time are taken out of it. Raises:
    ContractError (code `resource`) for anything else, escapes in the path included.
    """
    if not isinstance(text, str) or len(text) > LONGEST_RESOURCE:
        raise _unfit("resource")
    path, mark, query = text.partition("?")
    match = _RESOURCE.fullmatch(path)
    if match is None or "/../" in path or "/./" in path:
        raise _unfit("resource")
    company_id, entity_set, record_id = match.groups()
    since: datetime | None = None
    if mark:
        found = _FILTER.fullmatch(unquote(query).replace("+", " "))
        if found is None or record_id:
            raise _unfit("resource")
        since = _instant(found[1], found[2])
    return Resource(company_id.lower(), entity_set, (record_id or "").lower(), since)


def read_instant(text: Any) -> datetime | None:
    """Return the time BC names; None for none, for BC's blank time and for anything else."""
    match = _INSTANT.fullmatch(text) if isinstance(text, str) else None
    return None if match is None else _instant(match[1], match[2])


def _instant(whole: str, fraction: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(f"{whole}.{(fraction or '0')[:6].ljust(6, '0')}")
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.year > 1 else None


def _unfit(code: str) -> ContractError:
    return ContractError(
        f"A notification of Business Central has a {code} that is none of ours.",
        system="business_central",
        operation="read a notification",
        code=code,
    )
