"""Storing what arrives: requests of one moment share a transaction, each answered after it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ml_connector.domain.clock import Clock
from ml_connector.errors import TransientError
from ml_connector.exchange.notified import FEED
from ml_connector.ledger.ledger import ConnectionLedger
from ml_connector.ledger.records import NewChange

REQUESTS_PER_TRANSACTION = 200
MOST_WAITING = 2_000
"""Requests that may wait for the ledger; more are asked to come again, which BC does."""


class InboxWriter:
    """Writes to the inbox of one connection from one event loop."""

    def __init__(self, ledger: ConnectionLedger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._waiting: list[tuple[Sequence[NewChange], asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def store(self, changes: Sequence[NewChange]) -> None:
        """Return when *changes* are durable.

        Raises: TransientError when the ledger does not take them now; nothing is stored then.
        """
        if len(self._waiting) >= MOST_WAITING:
            raise TransientError("Too many notifications wait for the ledger.", code="ledger_busy")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((changes, done))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_waiting())
        await done

    async def _write_waiting(self) -> None:
        while self._waiting:
            batch = self._waiting[:REQUESTS_PER_TRANSACTION]
            del self._waiting[: len(batch)]
            rows = [change for changes, _ in batch for change in changes]
            try:
                await asyncio.to_thread(self._write, rows)
            except Exception as error:  # noqa: BLE001  # each request reports it to its caller
                for _, done in batch:
                    if not done.done():
                        done.set_exception(error)
            else:
                for _, done in batch:
                    if not done.done():
                        done.set_result(None)

    def _write(self, rows: Sequence[NewChange]) -> None:
        now = self._clock.now()
        with self._ledger.transaction() as tx:
            tx.add_changes(rows)
            tx.move_checkpoint(FEED, "", now)
