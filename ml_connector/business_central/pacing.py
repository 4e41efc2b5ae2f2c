"""How fast this process calls one app user's BC: requests in flight, rate, and asked-for pauses."""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

REQUESTS_PER_WINDOW = 6_000
WINDOW_SECONDS = 300.0
VENDOR_IN_FLIGHT = 5


class Pace:
    """Lets at most `in_flight` calls run, at most 6,000 in five minutes, none during a pause.

    A process with fewer than five calls in flight takes that share of the rate as well, so that
    several workers of one app stay within its allowance together.
    """

    def __init__(
        self,
        in_flight: int,
        *,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = in_flight
        self._running = 0
        self._sleep = sleep
        self._now = now
        self._turn = threading.Condition()
        self._sent: deque[float] = deque()
        self._resume_at = 0.0

    def resize(self, in_flight: int) -> None:
        """Let *in_flight* calls run from now on."""
        with self._turn:
            self._limit = in_flight
            self._turn.notify_all()

    def usage(self) -> tuple[int, int]:
        """Return (requests of the last five minutes, how many this process may make)."""
        with self._turn:
            self._forget_old(self._now())
            return len(self._sent), REQUESTS_PER_WINDOW * self._limit // VENDOR_IN_FLIGHT

    @contextmanager
    def slot(self, requests: int = 1, *, share_percent: int = 100) -> Iterator[None]:
        """Hold one place in flight while the body runs; waits for it first.

        *requests* is how many the call counts for, such as the operations of a batch. With a
        *share_percent* it starts only while that share of the rate is not used, whoever used it.
        """
        if share_percent < 100:  # waits without a place, so that those with more share go on
            self._wait(requests, share_percent)
        with self._turn:
            self._turn.wait_for(lambda: self._running < self._limit)
            self._running += 1
        try:
            if share_percent >= 100:
                self._wait(requests, share_percent)
            yield
        finally:
            with self._turn:
                self._running -= 1
                self._turn.notify()

    def pause(self, seconds: float) -> None:
        """Let no call start for *seconds*, whichever thread makes it."""
        with self._turn:
            self._resume_at = max(self._resume_at, self._now() + seconds)

    def _wait(self, requests: int, share_percent: int) -> None:
        pause = self._reserve(requests, share_percent)
        if pause > 0:
            self._sleep(pause)

    def _forget_old(self, now: float) -> None:
        while self._sent and self._sent[0] <= now - WINDOW_SECONDS:
            self._sent.popleft()

    def _reserve(self, requests: int, share_percent: int) -> float:
        with self._turn:
            now = self._now()
            self._forget_old(now)
            start = max(now, self._resume_at)
            allowed = REQUESTS_PER_WINDOW * self._limit // VENDOR_IN_FLIGHT
            allowed = allowed * share_percent // 100
            surplus = len(self._sent) + requests - allowed
            if surplus > 0 and self._sent:
                oldest_to_leave = self._sent[min(surplus, len(self._sent)) - 1]
                start = max(start, oldest_to_leave + WINDOW_SECONDS)
            if self._sent and start < self._sent[-1]:
                place = bisect_right(self._sent, start)
                for _ in range(requests):
                    self._sent.insert(place, start)
            else:
                self._sent.extend([start] * requests)
            return start - now


_PACES: dict[tuple[str, str, str], Pace] = {}
_PACES_LOCK = threading.Lock()


def pace_of(base_url: str, tenant: str, client_id: str, in_flight: int) -> Pace:
    """Return the one pace of this process for an app user, resized to *in_flight*."""
    with _PACES_LOCK:
        pace = _PACES.setdefault((base_url, tenant, client_id), Pace(in_flight))
    pace.resize(in_flight)
    return pace
