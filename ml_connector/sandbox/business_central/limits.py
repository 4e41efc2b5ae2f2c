"""Operational limits per app: requests in flight, the queue, and the sliding window."""

import asyncio
import contextlib
import time
from collections import deque

from ml_connector.sandbox.business_central.entra import Entra
from ml_connector.sandbox.business_central.faults import error_body
from ml_connector.sandbox.frame.application import Answer, Asked, Frame


class Limits:
    """Five at once, ninety-five in line, six thousand in five minutes; then 429."""

    def __init__(self, frame: Frame, entra: Entra) -> None:
        self._frame = frame
        self._entra = entra
        self._in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._hits: deque[float] = deque()

    async def enter(self, asked: Asked) -> Answer | None:
        """Wait for a place among the processed requests, or be refused."""
        if not self._counts(asked):
            return None
        if not self._within_rate():
            return self._refused(429, "Application_TooManyRequests", "Too many requests.")
        if self._in_flight < int(self._frame.switches["max_in_flight"]) and not self._waiting:
            self._in_flight += 1
            return None
        if len(self._waiting) >= int(self._frame.switches["max_queued"]):
            return self._refused(429, "Application_TooManyRequests", "The queue is full.")
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await asyncio.wait_for(turn, float(self._frame.switches["queue_timeout_seconds"]))
        except TimeoutError:
            return self._refused(503, "Internal_TenantUnavailable", "Queued for too long.")
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._release()
            raise
        finally:
            with contextlib.suppress(ValueError):
                self._waiting.remove(turn)
        return None

    def leave(self, asked: Asked) -> None:
        """Give the place to the next in line."""
        if self._counts(asked):
            self._release()

    def count_inner(self, number: int) -> None:
        """Count the operations of a batch beyond the request that carries them."""
        if self._frame.switches["batch_counts_inner"]:
            self._hits.extend([time.monotonic()] * number)

    def _release(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._in_flight -= 1

    @staticmethod
    def _counts(asked: Asked) -> bool:
        """Requests of the service count, those of the identity platform do not."""
        return asked.kind not in ("token", "discovery")

    def _within_rate(self) -> bool:
        scale = float(self._frame.switches["rate_scale"])
        if scale <= 0:
            return True
        now = time.monotonic()
        window = float(self._frame.switches["rate_window_seconds"])
        while self._hits and self._hits[0] <= now - window:
            self._hits.popleft()
        if len(self._hits) >= int(self._frame.switches["rate_limit"]) * scale:
            return False
        self._hits.append(now)
        return True

    def _refused(self, status: int, code: str, message: str) -> Answer:
        body, content_type = error_body(status, code, message)
        headers = [(b"content-type", content_type.encode())]
        if status == 503 or self._frame.switches["retry_after_on_429"]:
            seconds = str(self._frame.switches["retry_after_seconds"])
            headers.append((b"retry-after", seconds.encode()))
        return Answer(status, body, headers)
