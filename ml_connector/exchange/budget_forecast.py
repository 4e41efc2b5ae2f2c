"""Where the use of an allowance leads if it goes on as lately."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

DAY = timedelta(days=1)
LATELY = timedelta(hours=3)
"""The growth of so much time is carried on."""

LEAST_TIME = timedelta(minutes=10)
"""Growth over less says nothing."""

LEAST_AHEAD = timedelta(hours=1)
MOST_SAMPLES = 300


@dataclass(frozen=True, slots=True)
class Sample:
    """What was used of an allowance at a moment."""

    at: datetime
    used: int
    limit: int

    def to_json(self) -> dict[str, Any]:
        """Return the sample as the ledger keeps it."""
        return {"at": self.at.astimezone(UTC).isoformat(), "used": self.used, "limit": self.limit}

    @classmethod
    def of(cls, kept_sample: Mapping[str, Any]) -> Sample:
        """Return a sample that the ledger kept."""
        at = datetime.fromisoformat(str(kept_sample["at"]))
        return cls(at, int(kept_sample["used"]), int(kept_sample["limit"]))


def kept(samples: Sequence[Sample], now: datetime) -> list[Sample]:
    """Return the samples of the last day, the newest last."""
    return [each for each in samples if now - each.at < DAY][-MOST_SAMPLES:]


def forecast(samples: Sequence[Sample], now: datetime) -> int:
    """Return what will be used when the day that began with the oldest sample is over.

    The growth of the last three hours goes on until then, at least for an hour. Less growth than
    none is none: what the rolling day frees is not counted on.
    """
    last = samples[-1]
    recent = [each for each in samples if last.at - each.at <= LATELY]
    span = last.at - recent[0].at
    if span < LEAST_TIME:
        return last.used
    growth = max(0, last.used - recent[0].used)
    ahead = max(LEAST_AHEAD, DAY - (now - samples[0].at))
    return last.used + round(growth * (ahead / span))
