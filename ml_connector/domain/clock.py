"""Source of time, so that rules about time can be tested."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Protocol
from zoneinfo import ZoneInfo


class Clock(Protocol):
    """Anything that tells the time."""

    def now(self) -> datetime:
        """Return the present instant, aware and in UTC."""
        ...


class SystemClock:
    """The computer's clock."""

    def now(self) -> datetime:
        """Return the present instant, aware and in UTC."""
        return datetime.now(UTC)  # the one place


class FixedClock:
    """A clock that stands still until it is moved; for tests."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        """Return the instant it was set to."""
        return self.at


def today_in(clock: Clock, zone: str) -> date:
    """Return the calendar date it is now in the IANA time zone *zone*."""
    return clock.now().astimezone(ZoneInfo(zone)).date()


def clock_offset(date_header: str, sent_at: datetime, answered_at: datetime) -> timedelta | None:
    """Return how far the sender of an HTTP Date header is ahead; None when it is no such date.

    The times of request and answer are this computer's. The header is cut to the second.
    """
    try:
        theirs = parsedate_to_datetime(date_header)
    except (TypeError, ValueError):
        return None
    if theirs.tzinfo is None:
        return None
    between = sent_at + (answered_at - sent_at) / 2
    return theirs + timedelta(milliseconds=500) - between
