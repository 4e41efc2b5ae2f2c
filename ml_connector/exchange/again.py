"""Do a step again that met something which passes by being begun anew."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from ml_connector.errors import ConnectorError, StaleClaim

log = logging.getLogger("ml_connector")

Value = TypeVar("Value")

TRIES = 5


def again_when_stale(step: Callable[[], Value]) -> Value:
    """Return what *step* returns; one that met another worker's change reads and stores anew.

    Raises: StaleClaim when that happens again and again.
    """
    return again_when(StaleClaim, step, TRIES)


def again_when(fault: type[ConnectorError], step: Callable[[], Value], tries: int) -> Value:
    """Return what *step* returns, begun anew after a *fault*, at most *tries* times in all."""
    for _ in range(tries - 1):
        try:
            return step()
        except fault as met:
            log.info("%s Done again.", met.message)
    return step()
