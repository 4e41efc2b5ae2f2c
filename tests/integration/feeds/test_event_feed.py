"""Change events of the org arrive in the inbox: all of them, once each, whatever happens."""

from __future__ import annotations

import time
from typing import Any

from ml_connector.changes.event_feed import FeedState
from ml_connector.changes.feed_lease import FeedLease
from ml_connector.changes.listener import Listener
from ml_connector.exchange.systems import Systems
from tests.integration.exchange.conftest import Connected
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
            state = systems.ledger.recall("feed salesforce/Opportunity/events")

            assert state["code"] == "topic.not.found"
            assert listener.states()["Account"] is not FeedState.STOPPED


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


def test_what_cannot_be_decoded_is_kept_and_the_feed_goes_on(connected: Connected) -> None:
    """Spoiled events are put aside with their reason; their records are read again anyway."""
    account = connected.salesforce("Account")[0]
    with listening_to(connected) as here:
        quiet(here)
        edit(connected, account, Phone="+1 555 0500")
        wait_for(lambda: account["Id"] in here.pending("Account"))
        reasons = set()
        for number, how in enumerate(("payload", "body", "schema", "bitmap", "record_ids")):
            connected.act("salesforce", "pubsub_spoil", how=how, entity="Account")
            edit(connected, account, Phone=f"+1 555 06{number:02d}")
            wait_for(lambda number=number: len(here.pending("Account", "quarantine")) == number + 1)
        for key in here.pending("Account", "quarantine"):
            reasons.add(here.systems.ledger.changes_of(key)[0].payload["reason"])
        edit(connected, account, Phone="+1 555 0699")
        stored = len(here.systems.ledger.changes_of(account["Id"]))
        wait_for(lambda: len(here.systems.ledger.changes_of(account["Id"])) > stored - 1)

        assert len(reasons) == 5
        assert here.listener.states()["Account"] is FeedState.LIVE


def test_an_overflow_has_the_object_read_again(connected: Connected) -> None:
    """An event that names no records makes the poll read what changed around it."""
    account = connected.salesforce("Account")[0]
    with listening_to(connected) as here:
        quiet(here)
        connected.act("salesforce", "pubsub_hold")
        edit(connected, account, Phone="+1 555 0700")
        connected.act("salesforce", "pubsub_clear")
        connected.act("salesforce", "pubsub_emit", entity="Account", kind="GAP_OVERFLOW")
        wait_for(
            lambda: any(
                each.source == "poll" for each in here.systems.ledger.changes_of(account["Id"])
            )
        )


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
