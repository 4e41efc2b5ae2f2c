"""Names of feeds and checkpoints in the ledger."""

from __future__ import annotations

SALESFORCE = "salesforce"
"""Inbox system of what Salesforce changed."""


def events_feed(entity: str) -> str:
    """Return the checkpoint of an event stream; its position is a replay id in hex."""
    return f"{SALESFORCE}/{entity}/events"


def poll_feed(entity: str) -> str:
    """Return the checkpoint of the poll.

    Its position is `SystemModstamp|Id` of the last row an unfinished poll stored, else empty.
    """
    return f"{SALESFORCE}/{entity}/poll"


def state_of(feed: str) -> str:
    """Return the name under which the state of *feed* is remembered."""
    return f"feed {feed}"
