"""All change feeds of a connection in one process: streams, the poll of holes, supervision."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from types import TracebackType

from ml_connector.changes.event_feed import SILENCE_SECONDS, EventFeed, FeedState
from ml_connector.changes.feed_lease import FeedLease
from ml_connector.changes.poll_feed import poll_entity
from ml_connector.errors import AuthenticationError, ConnectorError, StaleClaim, TransientError
from ml_connector.exchange.audit_report import apply_retention
from ml_connector.exchange.systems import Systems
from ml_connector.salesforce.change_event import EventDecoder
from ml_connector.salesforce.event_stream import EventStream

log = logging.getLogger("ml_connector")

_JOIN_SECONDS = 10.0
_TICK_SECONDS = 0.5
_POLL_PAUSE, _LONGEST_POLL_PAUSE = 1.0, 60.0


class Listener:
    """Runs one stream per object while the lease is held, and polls what the streams miss.

    `wait` tells when there is something new in the inbox.
    """

    def __init__(
        self,
        systems: Systems,
        lease: FeedLease,
        entities: Sequence[str] | None = None,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        self._systems = systems
        self._lease = lease
        self._silence_seconds = silence_seconds
        self._stored = threading.Event()
        self._stopping = threading.Event()
        self._wanted: dict[str, str] = {}
        self._wanted_lock = threading.Lock()
        self._stream = EventStream(systems.settings.salesforce, systems.salesforce.auth)
        decoder = EventDecoder(self._stream.schema)
        names = entities or systems.policy.feeds.entities
        self.feeds = [
            EventFeed(systems, self._stream, decoder, each, lease, self._stored.set, self._want)
            for each in names
        ]
        self._threads = [
            threading.Thread(target=each.run, name=f"feed {each.entity}", daemon=True)
            for each in self.feeds
        ]
        self._threads.append(threading.Thread(target=self._supervise, name="feeds", daemon=True))
        self._threads.append(threading.Thread(target=self._poll_holes, name="poll", daemon=True))
        self._failure: Exception | None = None

    def __enter__(self) -> Listener:
        """Start; every object is polled once, since nobody listened before."""
        try:
            apply_retention(self._systems)
        except TransientError as fault:
            log.warning("old changes are deleted another time: %s", fault)
        for feed in self.feeds:
            self._want(feed.entity, "the listener starts")
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End every stream; what was received is stored, or is delivered again next time."""
        self._stopping.set()
        for feed in self.feeds:
            feed.stop()
        deadline = time.monotonic() + _JOIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.1, deadline - time.monotonic()))
        self._stream.close()

    @property
    def is_over(self) -> bool:
        """Whether the lease was lost or nothing is left to listen to."""
        return self._lease.is_lost or self._ended_by() is not None

    def raise_failure(self) -> None:
        """Raise what ended the listener for good, such as refused credentials."""
        failure = self._ended_by()
        if failure is not None:
            raise failure

    def _ended_by(self) -> Exception | None:
        failures = [self._failure, *(feed.failure for feed in self.feeds)]
        return next((each for each in failures if each is not None), None)

    def wait(self, seconds: float) -> bool:
        """Wait for changes that were stored since the last wait; False when none came in time."""
        came = self._stored.wait(seconds)
        self._stored.clear()
        return came

    def states(self) -> dict[str, FeedState]:
        """Return where each stream stands, by object."""
        return {feed.entity: feed.state for feed in self.feeds}

    def _want(self, entity: str, reason: str) -> None:
        with self._wanted_lock:
            self._wanted[entity] = reason

    def _supervise(self) -> None:
        while not self._stopping.wait(_TICK_SECONDS):
            for feed in self.feeds:
                feed.cut_when_silent(self._silence_seconds)
            if self._lease.is_lost:
                for feed in self.feeds:
                    feed.stop()
                return

    def _poll_holes(self) -> None:
        try:
            self._poll_wanted()
        except Exception as error:  # the outermost loop: whoever waits raises it
            log.exception("an unexpected error ended the poll")
            self._failure = error

    def _poll_wanted(self) -> None:
        failures = 0
        while not self._stopping.wait(min(_LONGEST_POLL_PAUSE, _POLL_PAUSE * 2**failures) / 10):
            with self._wanted_lock:
                wanted, self._wanted = self._wanted, {}
            for entity, reason in wanted.items():
                try:
                    log.info("polling %s: %s", entity, reason)
                    if poll_entity(self._systems, entity):
                        self._stored.set()
                    failures = 0
                except StaleClaim:
                    self._want(entity, reason)
                except AuthenticationError as error:
                    self._failure = error
                    return
                except ConnectorError as error:
                    log.warning("poll of %s failed, trying again: %s", entity, error)
                    self._want(entity, reason)
                    failures = min(failures + 1, 10)
                if self._stopping.is_set():
                    return
