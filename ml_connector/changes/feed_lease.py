"""Who runs a connection's streams: one owner at a time, by a lease in the ledger."""

from __future__ import annotations

import logging
import threading
from types import TracebackType

from ml_connector.errors import ConnectorError, StaleClaim, TransientError
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.owner import this_process_owner
from ml_connector.ledger.transaction import Transaction

log = logging.getLogger("ml_connector")

NAME = "capture-changes"
SECONDS = 30
RENEW_SECONDS = 8
TRY_SECONDS = 2.0
"""How often a standby looks; with the lease's end the streams change hands within 45 seconds."""


class FeedLease:
    """A held lease, renewed by a thread of its own until it is given back or lost."""

    def __init__(self, systems: Systems, owner: str, fence: int) -> None:
        self._systems = systems
        self._owner = owner
        self._fence = fence
        self._ended = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="feed-lease", daemon=True)
        self._thread.start()

    @classmethod
    def take(cls, systems: Systems) -> FeedLease | None:
        """Become the owner; None while somebody alive is."""
        owner = this_process_owner()
        with systems.ledger.transaction() as tx:
            fence = tx.take_lease(NAME, owner, SECONDS)
        return None if fence is None else cls(systems, owner, fence)

    @property
    def is_lost(self) -> bool:
        """Whether somebody else took over."""
        return self._lost.is_set()

    def check(self, tx: Transaction) -> None:
        """Make sure, inside *tx*, that the lease is still ours. Raises: StaleClaim."""
        try:
            tx.check_lease(NAME, self._fence)
        except StaleClaim:
            self._lost.set()
            raise

    def release(self) -> None:
        """Give the lease back, so that a standby need not wait for its end.

        While the ledger is away it stays, and ends by itself.
        """
        self._ended.set()
        self._thread.join()
        if self._lost.is_set():
            return
        try:
            with self._systems.ledger.transaction() as tx:
                tx.release_lease(NAME, self._owner)
        except TransientError as error:
            log.warning("the lease of the change feeds ends by itself: %s", error)

    def __enter__(self) -> FeedLease:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def _renew(self) -> None:
        while not self._ended.wait(RENEW_SECONDS) and not self._lost.is_set():
            try:
                with self._systems.ledger.transaction() as tx:
                    tx.renew_lease(NAME, self._owner, self._fence, SECONDS)
            except StaleClaim:
                log.warning("another process took over the change feeds")
                self._lost.set()
            except ConnectorError as error:
                log.warning("the lease of the change feeds could not be renewed: %s", error)
