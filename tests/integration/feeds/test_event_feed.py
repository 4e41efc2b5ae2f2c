"""Change events of the org arrive in the inbox: all of them, once each, whatever happens."""

from __future__ import annotations

import base64
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from ml_connector.changes import event_feed
from ml_connector.changes.event_feed import FeedState
from ml_connector.changes.feed_alarm import turned
from ml_connector.changes.feed_lease import FeedLease
from ml_connector.changes.listener import Listener
from ml_connector.exchange.feed_report import feeds
from ml_connector.exchange.systems import Systems
from tests.integration.exchange.conftest import Connected
from tests.integration.feeds.both_feeds import ClockAhead
from tests.integration.feeds.conftest import Listening, listening_to, wait_for


def quiet(here: Listening) -> None:
    """Forget what the first poll found, so that a test sees its own changes alone."""
    wait_for(lambda: here.systems.ledger.checkpoint("salesforce/Product2/poll"))
    time.sleep(0.3)
    with here.systems.ledger.transaction() as tx:
        for system, entity in here.systems.ledger.change_counts():
            tx.finish_changes(system, entity, here.systems.ledger.pending_ids(system, entity))


def edit(connected: Connected, record: dict[str, Any], **fields: Any) -> None:
    """Let a rep change a record."""
    connected.act(
        "salesforce",
        "edit",
        sobject="Account",
        record=record["Id"],
        fields=fields,
    )


def positioned(here: Listening) -> None:
    """Let an event come, so that the stream has a position to go on from."""
    other = here.connected.salesforce("Account")[-1]
    edit(here.connected, other, Phone="+1 555 0999")
    wait_for(lambda: event_of(here, other["Id"]))


def event_of(here: Listening, record_id: str) -> Any:
    """Return the newest change of a record that came by an event."""
    changes = here.systems.ledger.changes_of(record_id)
    return next((each for each in reversed(changes) if each.source == "event"), None)


def test_an_edit_by_a_rep_arrives_within_seconds(connected: Connected) -> None:
    """An edit is in the inbox soon, with the names of the changed fields and no values."""
    account = connected.salesforce("Account")[0]
    with listening_to(connected) as here:
        quiet(here)
        edit(connected, account, Phone="+1 555 0100", BillingCity="Springfield")
        change = wait_for(lambda: event_of(here, account["Id"]))

        assert {"Phone", "BillingAddress.City"} <= set(change.payload["fields"])
        assert "Springfield" not in str(change.payload)


def test_nothing_is_lost_or_doubled_while_nobody_listens(connected: Connected) -> None:
    """What happens between two listeners arrives with the second, once per change."""
    accounts = connected.salesforce("Account")[:3]
    with listening_to(connected) as here:
        quiet(here)
        edit(connected, accounts[0], Phone="+1 555 0101")
        wait_for(lambda: accounts[0]["Id"] in here.pending("Account"))
    edit(connected, accounts[1], Phone="+1 555 0102")
    with listening_to(connected) as here:
        wait_for(lambda: accounts[1]["Id"] in here.pending("Account"))
        changes = here.systems.ledger.changes_of(accounts[0]["Id"])

        assert sum(each.source == "event" for each in changes) == 1


def test_streams_come_back_after_every_kind_of_end(connected: Connected) -> None:
    """An aborted stream, a lost connection, dead sessions, a restart: the feed goes on after."""
    account = connected.salesforce("Account")[0]
    ends: list[dict[str, Any]] = [
        {"act": "pubsub_abort", "code": "service.unavailable"},
        {"act": "pubsub_abort", "code": "connection.lost"},
        {"act": "pubsub_abort", "code": "subscription.fetch.replay.repeated"},
        {"act": "pubsub_abort", "code": "topic.api.unavailable"},
        {"act": "pubsub_expire_sessions"},
        {"act": "pubsub_restart", "down_seconds": 0.5},
    ]
    with listening_to(connected) as here:
        quiet(here)
        edit(connected, account, Phone="+1 555 0199")
        wait_for(lambda: event_of(here, account["Id"]))
        for number, end in enumerate(ends, start=1):
            connected.act("salesforce", **end)
            edit(connected, account, Phone=f"+1 555 02{number:02d}")
            wait_for(
                lambda number=number: (
                    sum(
                        each.source == "event"
                        for each in here.systems.ledger.changes_of(account["Id"])
                    )
                    > number
                )
            )
        wait_for(lambda: len(here.open_streams()) == len(here.listener.feeds))


def test_a_refused_position_is_covered_by_the_poll(connected: Connected) -> None:
    """After a stream reset the gap is polled, deletions included, and the stream goes on."""
    accounts = connected.salesforce("Account")
    with listening_to(connected) as here:
        quiet(here)
        edit(connected, accounts[0], Phone="+1 555 0300")
        wait_for(lambda: accounts[0]["Id"] in here.pending("Account"))
    made = connected.act("salesforce", "create", sobject="Account", fields={"Name": "Short Life"})
    edit(connected, accounts[1], Phone="+1 555 0301")
    connected.act("salesforce", "delete", sobject="Account", record=made["Id"])
    connected.act("salesforce", "pubsub_reset_stream")
    with listening_to(connected) as here:
        wait_for(lambda: accounts[1]["Id"] in here.pending("Account"))
        wait_for(
            lambda: any(
                each.change_type == "DELETE" for each in here.systems.ledger.changes_of(made["Id"])
            )
        )
        edit(connected, accounts[2], Phone="+1 555 0302")
        wait_for(
            lambda: any(
                each.source == "event" for each in here.systems.ledger.changes_of(accounts[2]["Id"])
            )
        )


def test_a_topic_that_is_refused_for_good_is_not_asked_again(connected: Connected) -> None:
    """A topic nobody selected stops its feed, says why, and leaves the others alone."""
    connected.act(
        "salesforce", "pubsub_select", entities=["Account", "Contact", "Order", "Product2"]
    )
    with Systems.open(connected.settings) as systems:
        lease = FeedLease.take(systems)
        assert lease is not None
        with lease, Listener(systems, lease) as listener:
            wait_for(lambda: listener.states()["Opportunity"] is FeedState.STOPPED)
            state = wait_for(lambda: systems.ledger.recall("feed salesforce/Opportunity/events"))

            assert state["code"] == "topic.not.found"
            assert listener.states()["Account"] is not FeedState.STOPPED
            row = feed_row(systems, "Opportunity")
            assert (row["state"], row["last_confirmed_at"]) == ("stopped", None)
            assert row["message"]
            assert row["name"] in [each["name"] for each in turned(systems, feeds(systems)).silent]


def feed_row(systems: Systems, entity: str) -> dict[str, Any]:
    """Return what `status` says of an object's stream."""
    return next(row for row in feeds(systems) if row["name"] == f"salesforce/{entity}/events")


def test_a_service_that_was_never_reached_is_silent_in_time(connected: Connected) -> None:
    """The lag counts from the first try, however often the feed was tried again since."""
    salesforce = connected.settings.salesforce.model_copy(update={"pubsub_endpoint": "localhost:9"})
    settings = connected.settings.model_copy(update={"salesforce": salesforce})

    def tried(ahead: timedelta) -> dict[str, Any]:
        with Systems.open(settings, clock=ClockAhead(ahead)) as systems:
            lease = FeedLease.take(systems)
            assert lease is not None
            with lease, Listener(systems, lease, entities=["Account"]) as listener:
                wait_for(lambda: listener.states()["Account"] is FeedState.RECONNECTING)
                wait_for(lambda: systems.ledger.recall("feed salesforce/Account/events"))
                return feed_row(systems, "Account")

    first = tried(timedelta())
    second = tried(timedelta(minutes=10))
    last = tried(timedelta(minutes=20))

    assert [each["state"] for each in (first, second, last)] == [
        "reconnecting",
        "reconnecting",
        "silent",
    ]
    assert first["last_confirmed_at"] is last["last_confirmed_at"] is None
    assert first["lag_seconds"] < 60
    assert last["lag_seconds"] >= 20 * 60
    assert last["message"]


def test_a_silent_stream_is_cut_and_opened_again(connected: Connected) -> None:
    """A stream that says nothing, not even keep-alives, is replaced; what it missed arrives."""
    account = connected.salesforce("Account")[0]
    with listening_to(connected, silence_seconds=3.0) as here:
        quiet(here)
        edit(connected, account, Phone="+1 555 0400")
        wait_for(lambda: account["Id"] in here.pending("Account"))
        connected.act("salesforce", "pubsub_silence", on=True)
        edit(connected, account, Phone="+1 555 0401")
        time.sleep(4)
        connected.act("salesforce", "pubsub_silence", on=False)
        wait_for(
            lambda: (
                sum(
                    each.source == "event" for each in here.systems.ledger.changes_of(account["Id"])
                )
                == 2
            )
        )


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("payload", "the payload does not fit its schema"),
        ("body", "the payload does not fit its schema"),
        ("schema", "its schema cannot be had"),
        ("bitmap", "the changed fields cannot be told"),
        ("record_ids", "the event names no record of Account"),
    ],
)
def test_what_cannot_be_decoded_is_kept_and_the_feed_goes_on(
    connected: Connected, how: str, reason: str
) -> None:
    """A spoiled event is put aside with its bytes and reason; its record is read again anyway."""
    spoiled, other = connected.salesforce("Account")[:2]
    with listening_to(connected) as here:
        quiet(here)
        connected.act("salesforce", "pubsub_spoil", how=how, entity="Account")
        edit(connected, spoiled, Phone="+1 555 0600")
        wait_for(lambda: here.pending("Account", "quarantine"))
        (key,) = here.pending("Account", "quarantine")
        (aside,) = here.systems.ledger.changes_of(key)
        wait_for(lambda: spoiled["Id"] in here.pending("Account"))
        edit(connected, other, Phone="+1 555 0699")
        wait_for(lambda: event_of(here, other["Id"]))

        assert aside.payload["reason"].startswith(reason)
        assert base64.b64decode(aside.payload["payload"])
        assert aside.payload["schema_id"]
        assert here.listener.states()["Account"] is FeedState.LIVE


def polled(here: Listening, record_id: str) -> int:
    """Return how often a record came by a poll."""
    return sum(each.source == "poll" for each in here.systems.ledger.changes_of(record_id))


def test_an_overflow_has_the_object_read_again(connected: Connected) -> None:
    """An event that names no records makes the poll read what changed around it, at once."""
    account = connected.salesforce("Account")[0]
    with listening_to(connected) as here:
        quiet(here)
        before = polled(here, account["Id"])
        connected.act("salesforce", "pubsub_silence", on=True, topic="/data/AccountChangeEvent")
        edit(connected, account, Phone="+1 555 0700")
        time.sleep(1)
        assert polled(here, account["Id"]) == before
        connected.act("salesforce", "pubsub_silence", on=False, topic="/data/AccountChangeEvent")
        connected.act("salesforce", "pubsub_emit", entity="Account", kind="GAP_OVERFLOW")
        wait_for(lambda: polled(here, account["Id"]) == before + 1)


def test_a_hole_is_stored_before_its_poll_is_wanted(
    connected: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever polls because of a hole finds the checkpoint moved back, in any other thread."""
    with ThreadPoolExecutor(1) as elsewhere, listening_to(connected) as here:
        quiet(here)
        before = here.systems.ledger.checkpoint("salesforce/Account/poll")
        seen: list[Any] = []

        def want(entity: str, reason: str) -> None:
            if reason == "GAP_OVERFLOW":
                read = here.systems.ledger.checkpoint
                seen.append(elsewhere.submit(read, f"salesforce/{entity}/poll").result())

        (feed,) = (each for each in here.listener.feeds if each.entity == "Account")
        monkeypatch.setattr(feed, "_need_poll", want)
        connected.act("salesforce", "pubsub_emit", entity="Account", kind="GAP_OVERFLOW")
        wait_for(lambda: seen)

        assert before is not None
        assert seen[0].confirmed_at < before.confirmed_at


def test_a_position_refused_in_the_middle_is_polled_for_at_once(connected: Connected) -> None:
    """The org's stream is another one all of a sudden: what lies between is read without delay."""
    account = connected.salesforce("Account")[0]
    with listening_to(connected) as here:
        quiet(here)
        positioned(here)
        before = polled(here, account["Id"])
        connected.act("salesforce", "pubsub_silence", on=True)
        edit(connected, account, Phone="+1 555 0710")
        connected.act("salesforce", "pubsub_reset_stream")
        connected.act("salesforce", "pubsub_silence", on=False)
        connected.act("salesforce", "pubsub_abort", code="service.unavailable")
        wait_for(lambda: polled(here, account["Id"]) == before + 1)


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ({"act": "pubsub_abort", "code": "service.unavailable"}, "service.unavailable"),
        ({"act": "pubsub_abort", "code": "connection.lost"}, "unavailable"),
        ({"act": "pubsub_abort", "code": "topic.api.unavailable"}, "topic.api.unavailable"),
        ({"act": "pubsub_expire_sessions"}, "service.auth.error"),
        ({"act": "pubsub_restart", "down_seconds": 0.3}, "unavailable"),
    ],
)
def test_each_end_of_a_stream_is_in_the_log(
    connected: Connected, caplog: pytest.LogCaptureFixture, end: dict[str, Any], code: str
) -> None:
    """Who reads the log sees which feed ended, by which code, and that it lives again."""
    caplog.set_level("INFO", "ml_connector")
    account = connected.salesforce("Account")[0]
    with listening_to(connected) as here:
        quiet(here)
        positioned(here)
        caplog.clear()
        connected.act("salesforce", **end)
        edit(connected, account, Phone="+1 555 0711")
        wait_for(lambda: event_of(here, account["Id"]))
        lines = [line for line in caplog.messages if line.startswith("salesforce/Account/events")]

    assert f"reconnecting ({code})" in lines[0]
    assert lines[-1].endswith("live")


def test_a_service_that_stays_away_is_asked_ever_less_often(
    connected: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pauses double up to a bound; a stream that opens begins with the shortest again."""
    paused: list[float] = []

    monkeypatch.setattr(event_feed, "LONGEST_PAUSE", 0.4)
    monkeypatch.setattr(event_feed, "FIRST_PAUSE", 0.05)
    account = connected.salesforce("Account")[0]
    with listening_to(connected) as here:
        quiet(here)
        positioned(here)
        wait = here.listener.feeds[0]._stopping.wait
        monkeypatch.setattr(
            here.listener.feeds[0]._stopping,
            "wait",
            lambda seconds: paused.append(seconds) or wait(seconds),
        )
        topic = "/data/AccountChangeEvent"
        connected.act(
            "salesforce", "pubsub_refuse", code="service.unavailable", topic=topic, times=6
        )
        connected.act("salesforce", "pubsub_abort", code="service.unavailable", topic=topic)
        edit(connected, account, Phone="+1 555 0712")
        wait_for(lambda: event_of(here, account["Id"]))
        tried = list(paused)
        connected.act("salesforce", "pubsub_abort", code="service.unavailable", topic=topic)
        wait_for(lambda: len(paused) > len(tried))

    bounds = [0.05, 0.1, 0.2, 0.4, 0.4, 0.4, 0.4]
    assert len(tried) == len(bounds)
    for waited, bound in zip(tried, bounds, strict=True):
        assert bound / 2 <= waited <= bound
    assert paused[len(tried)] <= 0.05


def test_one_listener_owns_the_streams_and_another_takes_over(connected: Connected) -> None:
    """Only one process listens; when it lets go, the next one goes on at once."""
    with Systems.open(connected.settings) as systems:
        first = FeedLease.take(systems)
        assert first is not None
        assert FeedLease.take(systems) is None
        first.release()
        second = FeedLease.take(systems)
        assert second is not None
        second.release()
