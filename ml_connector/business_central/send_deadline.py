"""How late a write may still leave: another worker may have given it up meanwhile.

A write is noted in the ledger, then sent. Whoever takes over later looks for it, waits until it has
settled, and writes again. A process that was frozen in between would send it all the same when it
wakes up; so the age of the note is checked once more when its first byte is about to leave.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from typing import Any

from ml_connector.domain.clock import Clock
from ml_connector.errors import OutcomeUnknown, TransientError

SEND_WITHIN_SECONDS = 30.0
"""Longer than opening a connection takes, far shorter than a write takes to settle (600 s)."""

SHORTEST_SECONDS = 5.0

TOO_LATE = "sent_too_late"

_HEADERS, _BODY = "http11.send_request_headers.started", "http11.send_request_body.started"

_UNACKNOWLEDGED = getattr(socket, "TCP_USER_TIMEOUT", None)

SOCKET_OPTIONS: list[tuple[int, int, int]] = (
    []
    if _UNACKNOWLEDGED is None
    else [(socket.IPPROTO_TCP, _UNACKNOWLEDGED, int(SEND_WITHIN_SECONDS * 1000))]
)
"""The system gives up bytes nobody acknowledges, so that they do not arrive after an outage."""


class SendDeadline:
    """Told by the transport of each step; raises when a noted write is about to leave too late."""

    def __init__(self, clock: Clock, settle_seconds: float, operation: str) -> None:
        self._clock = clock
        self._within = min(SEND_WITHIN_SECONDS, max(SHORTEST_SECONDS, settle_seconds))
        self._operation = operation
        self._noted = clock.now()
        self._started = time.monotonic()

    def __call__(self, step: str, _details: Mapping[str, Any]) -> None:
        """Let the step happen.

        Raises: TransientError before anything was sent; OutcomeUnknown between head and body.
        """
        if step not in (_HEADERS, _BODY) or self._age() <= self._within:
            return
        text = f"{self._operation} was held up for too long before it was sent"
        if step == _HEADERS:
            raise TransientError(
                f"{text}; it was not sent.",
                system="business_central",
                code=TOO_LATE,
                operation=self._operation,
            )
        raise OutcomeUnknown(
            f"{text}; it was cut off.", system="business_central", operation=self._operation
        )

    def _age(self) -> float:
        """Return the seconds since the note, by the clock that counts more of them.

        The wall clock counts a computer's sleep, the monotonic one cannot be set back.
        """
        slept = (self._clock.now() - self._noted).total_seconds()
        return max(slept, time.monotonic() - self._started)
