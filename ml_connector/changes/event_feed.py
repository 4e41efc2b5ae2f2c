"""One topic of change events: receive, decode, store with the position, ask for more, reconnect.

Each response is stored in the transaction that moves the position; only then are as many further
events asked for. So nothing is lost when the process dies at any moment, and what is delivered
again is known by its key.
"""

from __future__ import annotations

import base64
import logging
import random
import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from enum import StrEnum

from ml_connector.changes.feed_lease import FeedLease
from ml_connector.changes.feed_names import SALESFORCE, events_feed, state_of
from ml_connector.changes.own_writes import OwnWrites
from ml_connector.changes.poll_feed import LONG_AGO, widen
from ml_connector.errors import AuthenticationError, StaleClaim, TransientError
from ml_connector.exchange.feed_report import note_try
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.inbox import QUARANTINE
from ml_connector.ledger.records import NewChange
from ml_connector.salesforce.change_event import ChangeEvent, EventDecoder, Undecodable
from ml_connector.salesforce.event_stream import (
    MOST_OUTSTANDING,
    Batch,
    EventStream,
    RawEvent,
    Reaction,
    StreamFault,
    Subscription,
    topic_of,
)

log = logging.getLogger("ml_connector")

SILENCE_SECONDS = 300.0
"""A stream that says nothing for so long is dead: keep-alives come within 270 seconds."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
ALLOWANCE_PAUSE = 300.0
"""Pause when an allowance is used up; the poll covers the time."""

MOST_SESSIONS = 3
"""Fresh sessions refused one after another before the feed gives up."""


class FeedState(StrEnum):
    """Where a feed stands, as `status` shows it."""

    CONNECTING = "connecting"
    LIVE = "live"
    RECONNECTING = "reconnecting"
    PAUSED = "paused"
    STOPPED = "stopped"
    ENDED = "ended"


_NOTE_AGAIN = timedelta(minutes=1)
"""How often a stream that speaks is noted as heard: events may be old, the stream is not silent."""

Need = Callable[[str, str], None]
"""Called with the entity that has to be polled, and why."""

_LONG_TRANSACTION = timedelta(minutes=30)
"""Rows of a transaction carry stamps from before its commit; the largest ones last long."""


class EventFeed:
    """The stream of one object's changes, run by a thread of its own."""

    def __init__(  # everything a stream needs, made by one caller
        self,
        systems: Systems,
        stream: EventStream,
        decoder: EventDecoder,
        entity: str,
        lease: FeedLease,
        on_stored: Callable[[], None],
        need_poll: Need,
    ) -> None:
        self._systems = systems
        self._stream = stream
        self._decoder = decoder
        self.entity = entity
        self._lease = lease
        self._on_stored = on_stored
        self._need_poll = need_poll
        self._own = OwnWrites(systems.salesforce.user_id, systems.policy)
        self._feed = events_feed(entity)
        self._subscription: Subscription | None = None
        self._stopping = threading.Event()
        self._has_hole = False
        self._is_heard = False
        self._failures = 0
        self._refused_sessions = 0
        self._standing: dict[str, str] = {}
        self._noted_at = LONG_AGO
        self.state = FeedState.CONNECTING
        self.failure: Exception | None = None
        """What nobody expected to end the feed; None while it runs as it should."""

    # life

    def run(self) -> None:
        """Subscribe, and subscribe again after every end, until stopped or refused for good."""
        try:
            while not self._stopping.is_set():
                try:
                    if not self._attempt():
                        return
                except TransientError as error:
                    self._note(FeedState.RECONNECTING, error.code, str(error))
                    self._pause()
        except StaleClaim:
            log.warning("%s: another process runs this feed now", self._feed)
        except AuthenticationError as error:
            self._stop_for_good(error.code, f"{error} {error.remedy}")
        except Exception as error:  # the outermost loop: whoever waits raises it
            log.exception("%s: an unexpected error ended the feed", self._feed)
            self.failure = error
        finally:
            if self.state is not FeedState.STOPPED:
                self.state = FeedState.ENDED

    def stop(self) -> None:
        """End the stream soon; what was received is stored or comes again."""
        self._stopping.set()
        subscription = self._subscription
        if subscription is not None:
            subscription.cancel()

    def cut_when_silent(self, seconds: float = SILENCE_SECONDS) -> bool:
        """End a stream that has said nothing for *seconds*; its thread subscribes again."""
        subscription = self._subscription
        if subscription is None or subscription.seconds_silent < seconds:
            return False
        log.warning("%s: nothing was heard for %d s; subscribing again", self._feed, int(seconds))
        subscription.cancel()
        return True

    # receiving

    def _attempt(self) -> bool:
        """Listen until the stream ends, and recover; returns False when the feed is over."""
        try:
            self._listen()
        except StreamFault as fault:
            return self._recover(fault)
        return True

    def _listen(self) -> None:
        position = self._stored_position()
        after = position or None
        self._is_heard = False
        if after is None:
            self._has_hole = True
            self._need_poll(self.entity, "the stream starts without a position")
        subscription = self._stream.subscribe(topic_of(self.entity), after)
        self._subscription = subscription
        try:
            if self._stopping.is_set():
                return
            subscription.ask(MOST_OUTSTANDING)
            for batch in subscription.batches():
                self._heard()
                position = batch.position or position
                self._store(batch, position)
                self._failures = self._refused_sessions = 0
                subscription.ask(len(batch.events))
                if self._stopping.is_set():
                    return
            if not self._stopping.is_set():
                self._note(FeedState.RECONNECTING, "silence", "the stream was cut")
        except StreamFault as fault:
            if fault.reaction is Reaction.NEW_SESSION:
                self._refused_sessions += 1
                if self._refused_sessions <= MOST_SESSIONS:
                    self._stream.renew_session(subscription.session)
            if fault.is_unexplained and after is not None and not self._is_heard:
                self._forget_position(fault)
                return
            raise
        finally:
            self._subscription = None
            subscription.cancel()

    def _stored_position(self) -> bytes:
        """Return where to go on from, b"" for nowhere; a feed that was never up notes its try."""
        checkpoint = self._systems.ledger.checkpoint(self._feed)
        if checkpoint is None:
            note_try(self._systems, self._feed)
            return b""
        return bytes.fromhex(checkpoint.position)

    def _heard(self) -> None:
        """The server spoke: the stream lives, and what lies before it can be read to its end."""
        self._is_heard = True
        if self._has_hole:
            self._has_hole = False
            self._need_poll(self.entity, "the stream is open")
        if self.state is not FeedState.LIVE:
            self._note(FeedState.LIVE)

    def _store(self, batch: Batch, position: bytes) -> None:
        """Store what a response holds and the *position* after it, in one transaction."""
        changes: list[NewChange] = []
        newest: datetime | None = None
        holes: list[tuple[datetime | None, str]] = []
        for event in batch.events:
            try:
                decoded = self._decoder.decode(event)
            except Undecodable as error:
                changes.append(self._quarantined(event, error.reason))
                log.warning("%s: an event could not be decoded: %s", self._feed, error.reason)
                if error.header is None or not error.header.record_ids:
                    holes.append((None, "an event could not be decoded"))
                    continue
                decoded = error.header
            newest = max(newest, decoded.committed_at) if newest else decoded.committed_at
            if decoded.concerns_all:
                holes.append((_hole(decoded), decoded.change_type))
            elif not decoded.record_ids or decoded.entity != self.entity:
                reason = f"the event names no record of {self.entity}"
                changes.append(self._quarantined(event, reason))
                holes.append((decoded.committed_at, reason))
            elif not self._own.made(decoded):
                changes += self._changes(decoded, event)
        now = self._systems.clock.now()
        with self._systems.ledger.transaction() as tx:
            self._lease.check(tx)
            tx.add_changes(changes)
            tx.move_checkpoint(self._feed, position.hex(), newest or now)
            if now - self._noted_at >= _NOTE_AGAIN:
                self._noted_at = now
                tx.remember(state_of(self._feed), {**self._standing, "heard_at": now.isoformat()})
            self._widen(hole for hole, _ in holes)
        for _, reason in holes:
            self._need_poll(self.entity, reason)
        if changes:
            self._on_stored()

    def _widen(self, holes: Iterable[datetime | None]) -> None:
        """Have the next poll begin at the earliest hole; None is where the poll was anyway."""
        known = [hole for hole in holes if hole is not None]
        if known:
            widen(self._systems, self.entity, min(known))

    def _changes(self, event: ChangeEvent, raw: RawEvent) -> list[NewChange]:
        """Return a change per record; delivered again, they have the same keys."""
        kind = event.change_type.removeprefix("GAP_")
        origin = event.transaction_key or raw.replay_id.hex()
        change = f"{origin}:{event.sequence_number}:{event.change_type}"
        at = int(event.committed_at.timestamp() * 1000)
        return [
            NewChange(
                system=SALESFORCE,
                entity=event.entity,
                record_id=record_id,
                change_type=kind,
                changed_at=event.committed_at,
                source="event",
                dedupe_key=f"event:{change}:{at}:{record_id}",
                payload={"fields": list(event.changed_fields), "user": event.user_id},
            )
            for record_id in event.record_ids
        ]

    def _quarantined(self, event: RawEvent, reason: str) -> NewChange:
        return NewChange(
            system=QUARANTINE,
            entity=self.entity,
            record_id=event.replay_id.hex(),
            change_type="UNDECODABLE",
            changed_at=self._systems.clock.now(),
            source="event",
            dedupe_key=f"{event.replay_id.hex()}:{event.id}",
            payload={
                "reason": reason,
                "schema_id": event.schema_id,
                "payload": base64.b64encode(event.payload).decode("ascii"),
            },
        )

    # recovering

    def _recover(self, fault: StreamFault) -> bool:
        """Do what *fault* calls for; returns False when the feed is over."""
        said = f"{fault} {fault.remedy} (rpc id {fault.request_id or 'none'})"
        exhausted = (
            fault.reaction is Reaction.NEW_SESSION and self._refused_sessions > MOST_SESSIONS
        )
        if fault.reaction is Reaction.STOP or exhausted:
            self._need_poll(self.entity, fault.code)
            self._stop_for_good(fault.code, said)
            return False
        if fault.reaction is Reaction.POLL:
            self._forget_position(fault)
            self._pause()
            return True
        if fault.reaction is Reaction.WAIT:
            self._note(FeedState.PAUSED, fault.code, said)
            self._need_poll(self.entity, fault.code)
            self._stopping.wait(ALLOWANCE_PAUSE * random.uniform(0.9, 1.1))  # jitter
            return True
        self._note(FeedState.RECONNECTING, fault.code, said)
        self._pause()
        return True

    def _forget_position(self, fault: StreamFault) -> None:
        """The position is refused: start from now on, and have the hole polled."""
        self._note(FeedState.RECONNECTING, fault.code, f"{fault} The gap is read by the poll.")
        checkpoint = self._systems.ledger.checkpoint(self._feed)
        since = checkpoint.confirmed_at if checkpoint is not None else self._systems.clock.now()
        with self._systems.ledger.transaction() as tx:
            self._lease.check(tx)
            tx.move_checkpoint(self._feed, "", since)

    def _pause(self) -> None:
        """Wait before the next attempt: twice as long each time, up to a minute, with jitter."""
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self._failures, 10))
        self._failures += 1
        self._stopping.wait(longest * random.uniform(0.5, 1.0))  # jitter

    def _stop_for_good(self, code: str, message: str) -> None:
        """Note why the feed is over; nobody would note it later, so wait for the ledger."""
        self._note(FeedState.STOPPED, code, message)
        while self._noted_at == LONG_AGO and not self._stopping.is_set():
            self._pause()
            self._keep_standing()

    def _note(self, state: FeedState, code: str = "", message: str = "") -> None:
        """Log a change of state and keep it for `status`; a ledger that is away gets it later."""
        if state is FeedState.LIVE:
            log.info("%s: live", self._feed)
        else:
            log.warning("%s: %s (%s) %s", self._feed, state, code, message)
        self.state = state
        self._standing = {
            "state": str(state),
            "code": code,
            "message": message,
            "since": self._systems.clock.now().isoformat(),
        }
        self._keep_standing()

    def _keep_standing(self) -> None:
        self._noted_at = LONG_AGO
        try:
            with self._systems.ledger.transaction() as tx:
                tx.remember(state_of(self._feed), self._standing)
        except TransientError as fault:
            log.warning("%s: where it stands could not be stored yet: %s", self._feed, fault)
        else:
            self._noted_at = self._systems.clock.now()


def _hole(event: ChangeEvent) -> datetime:
    """Return from when on records have to be read that *event* does not name."""
    if any("*" in each for each in event.record_ids):
        return LONG_AGO
    return event.committed_at - _LONG_TRANSACTION
