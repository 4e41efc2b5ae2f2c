"""Counters of what a system was asked: by kind, by status, and how much at once."""

from collections import Counter, defaultdict
from typing import Any


class Traffic:
    """Counts requests from their first byte to the end of their answer."""

    def __init__(self) -> None:
        self._current = 0
        self._highest = 0
        self._kinds: Counter[str] = Counter()
        self._statuses: defaultdict[str, Counter[str]] = defaultdict(Counter)

    @property
    def current(self) -> int:
        """How many requests are under way now."""
        return self._current

    def begin(self, kind: str) -> None:
        """Count a request that has come in."""
        self._kinds[kind] += 1
        self._current += 1
        self._highest = max(self._highest, self._current)

    def end(self, kind: str, status: int | str) -> None:
        """Count how it was answered; a cut connection has the status "dropped"."""
        self._current -= 1
        self._statuses[kind][str(status)] += 1

    def reset(self) -> None:
        """Start counting anew; requests under way stay counted as current."""
        self._highest = self._current
        self._kinds.clear()
        self._statuses.clear()

    def snapshot(self) -> dict[str, Any]:
        """All counters: total, current and highest concurrency, kinds and their statuses."""
        return {
            "total": self._kinds.total(),
            "current": self._current,
            "highest": self._highest,
            "kinds": dict(self._kinds),
            "statuses": {kind: dict(counts) for kind, counts in self._statuses.items()},
        }
