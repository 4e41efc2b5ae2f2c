"""Do a step of the ledger again when another worker changed its records meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from ml_connector.errors import StaleClaim

log = logging.getLogger("ml_connector")

Value = TypeVar("Value")

TRIES = 5


def again_when_stale(step: Callable[[], Value]) -> Value:
    """Return what *step* returns; one that met another worker's change reads and stores anew.

    Raises: StaleClaim when that happens again and again.
    """
    for _ in range(TRIES - 1):
        try:
            return step()
        except StaleClaim as stale:
            log.info("%s Done again.", stale.message)
    return step()
