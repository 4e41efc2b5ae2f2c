"""Ids of both systems and the kinds of records the connector keeps in agreement."""

from __future__ import annotations

from enum import StrEnum

BLANK_ID = "00000000-0000-0000-0000-000000000000"
"""How BC spells "no record" in an id field."""

_CHECKSUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


class Kind(StrEnum):
    """What a ledger record is about; the Salesforce side names it."""

    ITEM = "item"
    CUSTOMER = "customer"
    CONTACT = "contact"
    ORDER = "order"
    INVOICE = "invoice"
    STATUS = "status"


class State(StrEnum):
    """Where a record stands; every record seen is in exactly one."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    WAITING = "waiting"
    PARKED = "parked"
    EXCLUDED = "excluded"


class Owner(StrEnum):
    """Who can cure what keeps a record from being written."""

    SALES = "sales"
    FINANCE = "finance"
    IT = "it"


def eighteen(salesforce_id: str) -> str:
    """Return the 18-character form of a Salesforce id given in 15 or 18 characters.

    Raises: ValueError when it is neither.
    """
    if len(salesforce_id) == 18:
        return salesforce_id
    if len(salesforce_id) != 15:
        raise ValueError(f"a Salesforce id has 15 or 18 characters: {salesforce_id!r}")
    suffix = ""
    for start in (0, 5, 10):
        chunk = salesforce_id[start : start + 5]
        suffix += _CHECKSUM[sum(1 << i for i, c in enumerate(chunk) if "A" <= c <= "Z")]
    return salesforce_id + suffix


def folded(code: str | None) -> str:
    """Return a BC Code value as BC stores it: trimmed and upper case; "" for none."""
    return (code or "").strip().upper()


def same_id(left: str | None, right: str | None) -> bool:
    """Tell whether two BC ids name the same record, whatever their case."""
    return bool(left) and bool(right) and str(left).lower() == str(right).lower()
