"""The feed gets on with any service that keeps to the contract, however it words things."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any

import grpc
import pytest
from pydantic import SecretStr

from ml_connector.changes import event_feed
from ml_connector.changes.event_feed import FeedState
from ml_connector.changes.feed_lease import FeedLease
from ml_connector.changes.listener import Listener
from ml_connector.exchange.feed_checks import feed_lines
from ml_connector.exchange.feed_report import feeds
from ml_connector.exchange.systems import Systems
from ml_connector.pubsub_stubs import pubsub_api_pb2 as pb2
from ml_connector.salesforce.event_stream import MOST_OUTSTANDING
from tests.integration.exchange.conftest import Connected
from tests.integration.feeds.both_feeds import ClockAhead
from tests.integration.feeds.conftest import wait_for
from tests.integration.feeds.other_service import OtherService, Stream, other_service

TOPIC = "/data/AccountChangeEvent"
FEED = "salesforce/Account/events"


@pytest.fixture
def service() -> Iterator[OtherService]:
    """A service of another make, with one schema."""
    with other_service() as service:
        service.add_schema("first", "Name", "Phone")
        yield service


@pytest.fixture
def elsewhere(connected: Connected, service: OtherService) -> Connected:
    """The connection with its events from that service; everything else is the sandbox."""
    salesforce = connected.settings.salesforce
    redirected = salesforce.model_copy(
        update={
            "pubsub_endpoint": service.endpoint,
            "ca_pem": salesforce.ca_pem + "\n" + service.ca_pem,
        }
    )
    return Connected(
        connected.sandbox, connected.settings.model_copy(update={"salesforce": redirected})
    )


@contextmanager
def listening(connected: Connected) -> Iterator[tuple[Systems, Listener]]:
    """Listen to Accounts alone."""
    with Systems.open(connected.settings) as systems:
        lease = FeedLease.take(systems)
        assert lease is not None
        with lease, Listener(systems, lease, entities=["Account"]) as listener:
            yield systems, listener


def position(systems: Systems) -> str:
    """Return where the stream would go on from."""
    checkpoint = systems.ledger.checkpoint(FEED)
    return checkpoint.position if checkpoint is not None else ""


def by_event(systems: Systems, record_id: str) -> list[Any]:
    """Return the changes of a record that came by events."""
    return [each for each in systems.ledger.changes_of(record_id) if each.source == "event"]


def responding(*responses: Any) -> Any:
    """Return a speech: these responses, then silence."""

    def speech(stream: Stream) -> Iterable[Any]:
        yield from responses
        stream.idle()

    return speech


def accounts(connected: Connected, count: int) -> list[str]:
    """Return ids of Accounts."""
    return [row["Id"] for row in connected.salesforce("Account")[:count]]


def test_schemas_may_change_from_event_to_event(
    elsewhere: Connected, service: OtherService
) -> None:
    """Each event is read by the schema it names, and each schema is fetched once."""
    service.add_schema("second", "Site", "Fax", "Name")
    one, other = accounts(elsewhere, 2)
    events = [
        service.event("first", b"\x00\xff", recordIds=[one], changedFields=["0x04"]),
        service.event("second", b"arbitrary", recordIds=[one, other], changedFields=["0x0C"]),
        service.event("first", b"\x01" * 40, recordIds=[other[:15]], changedFields=["0x02"]),
    ]
    service.speeches.append(responding(pb2.FetchResponse(events=events)))
    with listening(elsewhere) as (systems, _):
        wait_for(lambda: len(by_event(systems, other)) == 2)

        assert [each.payload["fields"] for each in by_event(systems, one)] == [
            ["Phone"],
            ["Fax", "Name"],
        ]
        assert [each.payload["fields"] for each in by_event(systems, other)] == [
            ["Fax", "Name"],
            ["Name"],
        ]
        assert position(systems) == (b"\x01" * 40).hex()
        assert sorted(service.schema_calls) == ["first", "second"]


def test_a_keep_alive_moves_the_position_and_an_empty_one_leaves_it(
    elsewhere: Connected, service: OtherService
) -> None:
    """An empty response carries a position to go on from; one without any keeps the last."""
    service.speeches.append(
        responding(pb2.FetchResponse(latest_replay_id=b"alive"), pb2.FetchResponse())
    )
    with listening(elsewhere) as (systems, listener):
        wait_for(lambda: position(systems) == b"alive".hex())
        wait_for(lambda: listener.states()["Account"] is FeedState.LIVE)
    service.speeches.append(responding(pb2.FetchResponse()))
    with listening(elsewhere) as (systems, listener):
        wait_for(lambda: listener.states()["Account"] is FeedState.LIVE)

        assert service.subscriptions[TOPIC][-1].replay_id == b"alive"
        assert position(systems) == b"alive".hex()


@pytest.mark.parametrize(
    "code",
    [
        "subscription.fetch.replayid.corrupted",
        "subscription.fetch.replayid.validation.failed",
        "subscription.fetch.replayid.of.tomorrow",
        "",
    ],
)
def test_a_refused_position_is_given_up_whatever_the_service_calls_it(
    elsewhere: Connected, service: OtherService, code: str
) -> None:
    """The stream starts anew without a position, and the object is polled."""
    service.speeches.append(responding(pb2.FetchResponse(latest_replay_id=b"old")))
    with listening(elsewhere) as (systems, _):
        wait_for(lambda: position(systems) == b"old".hex())
        wait_for(lambda: systems.ledger.checkpoint("salesforce/Account/poll"))

    def refusing(stream: Stream) -> Iterable[Any]:
        stream.refuse(grpc.StatusCode.INVALID_ARGUMENT, code)

    edited = accounts(elsewhere, 1)[0]
    edit = {"sobject": "Account", "record": edited, "fields": {"Phone": "+1 555 0900"}}
    elsewhere.act("salesforce", "edit", **edit)
    service.speeches.extend([refusing, responding(pb2.FetchResponse(latest_replay_id=b"new"))])
    with listening(elsewhere) as (systems, _):
        wait_for(lambda: position(systems) == b"new".hex())
        wait_for(lambda: edited in systems.ledger.pending_ids("salesforce", "Account"))
        first, asked_anew = service.subscriptions[TOPIC][-2:]

        assert first.replay_id == b"old"
        assert asked_anew.replay_preset == pb2.ReplayPreset.LATEST
        assert not asked_anew.replay_id


def test_a_bad_request_without_a_position_stops_the_feed(
    elsewhere: Connected, service: OtherService
) -> None:
    """Nothing is left to give up: the topic is not asked again and again."""

    def refusing(stream: Stream) -> Iterable[Any]:
        stream.refuse(grpc.StatusCode.INVALID_ARGUMENT)

    service.speeches.extend([refusing] * 5)
    with listening(elsewhere) as (_, listener):
        wait_for(lambda: listener.states()["Account"] is FeedState.STOPPED)

        assert len(service.subscriptions[TOPIC]) == 1


def test_a_stream_that_ends_normally_is_opened_again(
    elsewhere: Connected, service: OtherService
) -> None:
    """A service may close a stream without any error; the feed goes on where it was."""
    one = accounts(elsewhere, 1)[0]

    response = pb2.FetchResponse(events=[service.event("first", b"1", recordIds=[one])])

    def ending(stream: Stream) -> Iterable[Any]:
        del stream
        yield response

    service.speeches.extend([ending, ending])
    with listening(elsewhere) as (systems, _):
        wait_for(lambda: len(service.subscriptions[TOPIC]) >= 3)

        assert [each.replay_id for each in service.subscriptions[TOPIC][:3]] == [b"", b"1", b"1"]
        assert len(by_event(systems, one)) == 1


def test_no_more_is_asked_for_than_may_be_outstanding(
    elsewhere: Connected, service: OtherService
) -> None:
    """Demand never passes a hundred, and grows only by what was stored."""
    one = accounts(elsewhere, 1)[0]
    outstanding: list[int] = []

    def counting(stream: Stream) -> Iterable[Any]:
        number = 0
        for size in (1, 60, 39, 100):
            yield pb2.FetchResponse(
                events=[
                    service.event("first", f"{number + each}".encode(), recordIds=[one])
                    for each in range(size)
                ]
            )
            number += size
            stream.demand -= size
            stream.asked()
            outstanding.append(stream.demand)
        stream.idle()

    service.speeches.append(counting)
    with listening(elsewhere) as (systems, _):
        wait_for(lambda: len(by_event(systems, one)) == 200)
        wait_for(lambda: len(outstanding) == 4)

    assert service.subscriptions[TOPIC][0].num_requested == MOST_OUTSTANDING
    assert outstanding == [MOST_OUTSTANDING] * 4


def test_changes_without_a_transaction_key_are_told_apart(
    elsewhere: Connected, service: OtherService
) -> None:
    """Two changes of a record are two even when the service numbers neither."""
    one = accounts(elsewhere, 1)[0]
    blank = {"transactionKey": "", "sequenceNumber": 0, "commitTimestamp": 1_767_225_600_000}
    events = [service.event("first", key, recordIds=[one], **blank) for key in (b"1", b"2", b"2")]
    service.speeches.append(responding(pb2.FetchResponse(events=events)))
    with listening(elsewhere) as (systems, _):
        wait_for(lambda: position(systems) == b"2".hex())

        assert len(by_event(systems, one)) == 2


def test_an_event_about_another_object_is_put_aside_and_the_topic_s_own_is_polled(
    elsewhere: Connected, service: OtherService
) -> None:
    """What a topic should never carry goes where nobody would look for it; it is not stored so."""
    one = accounts(elsewhere, 1)[0]
    events = [
        service.event("first", b"1", recordIds=[one], entityName="Asset"),
        service.event("first", b"2", recordIds=[one]),
    ]
    service.speeches.append(responding(pb2.FetchResponse(events=events)))
    with listening(elsewhere) as (systems, _):
        wait_for(lambda: position(systems) == b"2".hex())
        (aside,) = systems.ledger.pending_changes("quarantine", "Account", limit=10)

        assert aside.payload["reason"] == "the event names no record of Account"
        assert [each.entity for each in by_event(systems, one)] == ["Account"]


@pytest.mark.parametrize(
    "refusal",
    [
        (grpc.StatusCode.INVALID_ARGUMENT, "schema.validation.failed"),
        (grpc.StatusCode.NOT_FOUND, ""),
        (grpc.StatusCode.INTERNAL, ""),
    ],
)
def test_a_schema_that_nobody_has_does_not_hold_the_feed_up(
    elsewhere: Connected,
    service: OtherService,
    refusal: tuple[grpc.StatusCode, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The event is put aside with its reason, its object is polled, and the next one is read."""
    monkeypatch.setattr(event_feed, "LONGEST_PAUSE", 0.2)
    one = accounts(elsewhere, 1)[0]
    service.add_schema("lost", "Name")
    events = [
        service.event("lost", b"1", recordIds=[one]),
        service.event("first", b"2", recordIds=[one]),
    ]
    del service.schemas["lost"]
    service.schema_refusal = refusal
    service.speeches.extend([responding(pb2.FetchResponse(events=events))] * 20)
    with listening(elsewhere) as (systems, listener):
        wait_for(lambda: position(systems) == b"2".hex(), 90)
        wait_for(lambda: listener.states()["Account"] is FeedState.LIVE)
        (aside,) = systems.ledger.pending_changes("quarantine", "Account", limit=10)

        assert "schema" in aside.payload["reason"]
        assert len(by_event(systems, one)) == 1


def test_old_events_are_a_lag_and_no_silence(elsewhere: Connected, service: OtherService) -> None:
    """A stream that just told of an old change is alive; only one that says nothing is silent."""
    one = accounts(elsewhere, 1)[0]
    old = int((time.time() - 3 * 3600) * 1000)
    event = service.event("first", b"1", recordIds=[one], commitTimestamp=old)
    service.speeches.append(responding(pb2.FetchResponse(events=[event])))
    with listening(elsewhere) as (systems, _):
        wait_for(lambda: position(systems) == b"1".hex())
        alive = feed_row(systems)
        with Systems.open(elsewhere.settings, clock=ClockAhead(timedelta(minutes=20))) as later:
            with later.ledger.transaction() as tx:
                tx.take_lease("capture-changes", "somebody", 30)
            silent = feed_row(later)

    assert alive["lag_seconds"] >= 3 * 3600
    assert alive["state"] == "live"
    assert silent["state"] == "silent"


def feed_row(systems: Systems) -> dict[str, Any]:
    """Return what `status` says of the stream."""
    return next(row for row in feeds(systems) if row["name"] == FEED)


def test_a_topic_that_may_not_be_subscribed_is_named_by_the_checks(
    elsewhere: Connected, service: OtherService
) -> None:
    """A topic that is there and closed to the user is a warning with its remedy."""
    service.can_subscribe = False
    with Systems.open(elsewhere.settings) as systems:
        lines = {line.code: line for line in feed_lines(systems)}

    assert "View All" in lines["salesforce_events_account"].remedy
    assert "salesforce_events" not in lines


@pytest.fixture
def impatient(elsewhere: Connected, monkeypatch: pytest.MonkeyPatch) -> Connected:
    """The connection, whose ledger counts as busy after a tenth of a second."""
    monkeypatch.setattr(event_feed, "LONGEST_PAUSE", 0.2)
    url = SecretStr(f"{elsewhere.settings.ledger_url_text()}?timeout=0.1")
    return Connected(elsewhere.sandbox, elsewhere.settings.model_copy(update={"ledger_url": url}))


@contextmanager
def busy_ledger(connected: Connected) -> Iterator[None]:
    """Let another process keep the ledger locked for as long as the block lasts."""
    file = connected.settings.ledger_url_text().removeprefix("sqlite:///").partition("?")[0]
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def tried_in_vain(caplog: pytest.LogCaptureFixture, times: int = 3) -> None:
    """Wait until a feed could not store its state a few times."""
    wait_for(lambda: caplog.text.count("could not be stored yet") >= times)


def test_a_busy_ledger_does_not_end_the_feed(
    impatient: Connected, service: OtherService, caplog: pytest.LogCaptureFixture
) -> None:
    """What could not be stored comes again and is stored once; `status` catches up."""
    one = accounts(impatient, 1)[0]
    response = pb2.FetchResponse(events=[service.event("first", b"1", recordIds=[one])])
    may_end = threading.Event()

    def ending(stream: Stream) -> Iterable[Any]:
        del stream
        yield response
        may_end.wait(30)

    service.speeches.extend([ending, *[responding(response)] * 100])
    with listening(impatient) as (systems, listener):
        wait_for(lambda: position(systems) == b"1".hex())
        with busy_ledger(impatient):
            may_end.set()
            tried_in_vain(caplog)
        wait_for(lambda: listener.states()["Account"] is FeedState.LIVE)
        wait_for(lambda: feed_row(systems)["state"] == "live")

        assert not listener.is_over
        assert len(by_event(systems, one)) == 1


def test_a_position_refused_while_the_ledger_is_busy_is_given_up_later(
    impatient: Connected, service: OtherService, caplog: pytest.LogCaptureFixture
) -> None:
    """The feed asks again, is refused again, and starts anew once that can be stored."""
    may_refuse = threading.Event()

    def speech(stream: Stream) -> Iterable[Any]:
        if stream.first.replay_id == b"old":
            stream.refuse(grpc.StatusCode.INVALID_ARGUMENT, "subscription.fetch.replayid.corrupted")
        yield pb2.FetchResponse(latest_replay_id=b"new" if may_refuse.is_set() else b"old")
        may_refuse.wait(30)
        stream.refuse(grpc.StatusCode.INVALID_ARGUMENT, "subscription.fetch.replayid.corrupted")

    service.speeches.extend([speech] * 100)
    with listening(impatient) as (systems, listener):
        wait_for(lambda: position(systems) == b"old".hex())
        with busy_ledger(impatient):
            may_refuse.set()
            tried_in_vain(caplog)
        wait_for(lambda: position(systems) == b"new".hex())

        assert not listener.is_over


def test_a_topic_refused_while_the_ledger_is_busy_is_shown_as_stopped(
    impatient: Connected, service: OtherService, caplog: pytest.LogCaptureFixture
) -> None:
    """The feed is over, and tells why as soon as the ledger takes it."""
    may_refuse = threading.Event()

    def refusing(stream: Stream) -> Iterable[Any]:
        may_refuse.wait(30)
        stream.refuse(grpc.StatusCode.NOT_FOUND, "topic.not.found")

    service.speeches.append(refusing)
    with listening(impatient) as (systems, listener):
        wait_for(lambda: service.subscriptions[TOPIC])
        with busy_ledger(impatient):
            may_refuse.set()
            tried_in_vain(caplog)
        wait_for(lambda: feed_row(systems)["state"] == "stopped")

        assert not listener.is_over
        assert len(service.subscriptions[TOPIC]) == 1


def test_a_listener_that_starts_while_the_ledger_is_busy_listens_later(
    impatient: Connected, service: OtherService, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither what it deletes first nor its first notes end it."""
    service.speeches.append(responding(pb2.FetchResponse(latest_replay_id=b"1")))
    with Systems.open(impatient.settings) as systems:
        lease = FeedLease.take(systems)
        assert lease is not None
        listener = Listener(systems, lease, entities=["Account"])
        with lease:
            with busy_ledger(impatient):
                listener.__enter__()
                tried_in_vain(caplog)
            wait_for(lambda: position(systems) == b"1".hex())

            assert not listener.is_over
            listener.stop()


def test_a_lease_that_cannot_be_given_back_ends_by_itself(impatient: Connected) -> None:
    """The end of a listener is no fault when the ledger is busy just then."""
    with Systems.open(impatient.settings) as systems:
        lease = FeedLease.take(systems)
        assert lease is not None
        with busy_ledger(impatient):
            lease.release()

        assert systems.ledger.lease_held_until("capture-changes") is not None
