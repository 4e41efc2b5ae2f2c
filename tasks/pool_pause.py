"""Whether the work pool of this run is paused, so that a long run ends before its worker does."""

from __future__ import annotations

import logging
import time

from prefect import get_client
from prefect.context import FlowRunContext

log = logging.getLogger("ml_connector")

LOOK_SECONDS = 5.0


class PoolPause:
    """Asks Prefect now and then; a run that no worker started has no pool to look at."""

    def __init__(self) -> None:
        context = FlowRunContext.get()
        run = context.flow_run if context is not None else None
        self._pool = (run.work_pool_name if run is not None else None) or ""
        self._looked = 0.0
        self._is_paused = False

    async def is_on(self) -> bool:
        """Tell whether the pool was paused when it was last looked at, at most 5 s ago.

        A Prefect server that does not answer changes nothing.
        """
        now = time.monotonic()
        if self._pool and not self._is_paused and now - self._looked >= LOOK_SECONDS:
            self._looked = now
            try:
                async with get_client() as client:
                    pool = await client.read_work_pool(self._pool)
            except Exception as error:  # noqa: BLE001  # the feed matters more than the question
                log.debug("could not ask whether the pool is paused: %s", error)
            else:
                self._is_paused = pool.is_paused
        return self._is_paused
