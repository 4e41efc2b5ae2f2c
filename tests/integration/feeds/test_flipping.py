"""A pair that two automations overwrite in turns is parked with both values, and only that pair."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from ml_connector.changes.hand_over import hand_over
from ml_connector.domain.identifiers import Kind
from ml_connector.exchange.collect import mark_changed
from ml_connector.exchange.replay import Selection, replay
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.records import Record
from tests.integration.exchange.conftest import Connected
from tests.integration.exchange.test_edits import edit_line, handed_over
from tests.integration.feeds.both_feeds import ClockAhead

LIMIT = 4
ONE, OTHER = "+1 555 0101", "+1 555 0202"


class Pair:
    """One Account and its customer, changed by people and dealt with at once."""

    def __init__(self, connected: Connected, systems: Systems, account: dict[str, Any]) -> None:
        self.connected = connected
        self.systems = systems
        self.key = str(account["Id"])
        self.customer_id = str(account["BC_Customer_Id__c"])
        self.clock = ClockAhead()

    def edit(self, **fields: Any) -> None:
        """Let somebody in Salesforce change the Account, and deal with it."""
        self.connected.act("salesforce", "edit", sobject="Account", record=self.key, fields=fields)
        self.deal()

    def deal(self) -> None:
        """Deal with the Account as after a change event."""
        mark_changed(self.systems, "Account", [self.key], "test")
        hand_over(self.systems)

    def later(self, **time: float) -> None:
        """Let time pass for the connector."""
        self.clock.ahead += timedelta(**time)

    def record(self) -> Record:
        """Return where the pair stands."""
        record = self.systems.ledger.record(Kind.CUSTOMER, self.key)
        assert record is not None
        return record

    def phone(self) -> str:
        """Return what BC has."""
        (customer,) = self.connected.business_central("customers", id=self.customer_id)
        return str(customer["phoneNumber"])

    def writes(self) -> int:
        """Return how often the connector wrote to the Account."""
        return sum(
            each["client"] == "ml-connector" and each["record_id"] == self.key
            for each in self.connected.writes()
        )

    def flip(self, times: int) -> None:
        """Let the phone number go back and forth, the first change included."""
        for number in range(times):
            self.edit(Phone=OTHER if number % 2 else ONE)


@pytest.fixture
def pair(connected: Connected) -> Iterator[Pair]:
    """A linked pair with a phone number."""
    connected.sync()
    accounts = [row for row in connected.salesforce("Account") if row.get("BC_Customer_Id__c")]
    clock = ClockAhead()
    with Systems.open(connected.settings, clock=clock) as systems:
        pair = Pair(connected, systems, accounts[0])
        pair.clock = clock
        pair.edit(Phone=OTHER)
        yield pair


def test_a_pair_that_flips_too_often_is_parked_with_both_values(pair: Pair) -> None:
    """Flips up to the limit go through; the next one parks the pair; nothing more is written."""
    pair.flip(LIMIT + 1)
    assert pair.record().cause == ""
    assert pair.phone() == ONE
    writes = pair.writes()
    pair.edit(Phone=OTHER)
    record = pair.record()

    assert record.cause == "flipping"
    assert ONE in record.message
    assert OTHER in record.message
    assert pair.phone() == ONE
    shown = pair.writes()
    for phone in (ONE, OTHER, ONE, OTHER):
        pair.edit(Phone=phone)
    assert pair.phone() == ONE
    assert pair.record().cause == "flipping"
    assert shown - writes == 1, "only the reason was shown on the Account"


def test_both_sides_agreeing_ends_it(pair: Pair) -> None:
    """Somebody gives Salesforce the value BC has: the pair is whole again without a replay."""
    pair.flip(LIMIT + 2)
    assert pair.record().cause == "flipping"
    pair.edit(Phone=ONE)

    assert pair.record().cause == ""


def test_another_value_is_a_decision(pair: Pair) -> None:
    """A value that is neither of the two is written at once."""
    pair.flip(LIMIT + 2)
    pair.edit(Phone="+1 555 0999")

    assert pair.phone() == "+1 555 0999"
    assert pair.record().cause == ""


def test_a_replay_writes_it_once_more(pair: Pair) -> None:
    """Who replays the pair has stopped one of the automations: counting begins anew."""
    pair.flip(LIMIT + 2)
    assert pair.phone() == ONE
    replay(pair.connected.settings, Selection(cause="flipping"))

    assert pair.phone() == OTHER
    assert pair.record().cause == ""
    pair.edit(Phone=ONE)
    assert pair.phone() == ONE


def test_the_hour_that_passes_does_not_start_it_again(pair: Pair) -> None:
    """A parked pair stays parked until somebody decides, however long that takes."""
    pair.flip(LIMIT + 2)
    pair.later(hours=3)
    pair.deal()

    assert pair.record().cause == "flipping"
    assert pair.phone() == ONE


def test_flips_of_many_hours_are_no_quarrel(pair: Pair) -> None:
    """The same changes spread over a day go through one and all."""
    for number in range(LIMIT + 3):
        pair.later(hours=3)
        pair.edit(Phone=OTHER if number % 2 else ONE)

    assert pair.record().cause == ""
    assert pair.phone() == ONE


def test_a_field_of_ours_that_is_overwritten_in_salesforce_is_left_in_the_end(pair: Pair) -> None:
    """An automation that spoils our field is answered a few times; the other fields go on."""
    number = pair.record().bc_number
    for _ in range(LIMIT + 3):
        pair.edit(BC_Customer_Number__c="SPOILED")
    (account,) = pair.connected.salesforce("Account", Id=pair.key)
    record = pair.record()
    assert record.cause == "flipping"
    assert "SPOILED" in record.message
    assert number in record.message
    assert account["BC_Customer_Number__c"] == "SPOILED"
    assert account["BC_Sync_Status__c"] == "Parked"
    writes = pair.writes()
    pair.edit(BC_Customer_Number__c="SPOILED")
    pair.edit(BC_Sync_Status__c="Synced")
    (account,) = pair.connected.salesforce("Account", Id=pair.key)

    assert pair.writes() == writes + 1
    assert account["BC_Sync_Status__c"] == "Parked"
    replay(pair.connected.settings, Selection(ids=(pair.key,)))
    (account,) = pair.connected.salesforce("Account", Id=pair.key)
    assert account["BC_Customer_Number__c"] == number
    assert account["BC_Sync_Status__c"] == "Synced"


def test_the_policy_may_bear_any_number(pair: Pair) -> None:
    """With 0 nothing is ever held."""
    free = pair.connected.with_policy(feeds={"flips_per_hour": 0})
    with Systems.open(free.settings) as systems:
        account = {"Id": pair.key, "BC_Customer_Id__c": pair.customer_id}
        unbound = Pair(free, systems, account)
        unbound.flip(LIMIT + 4)

        assert unbound.record().cause == ""
        assert unbound.phone() == OTHER


def test_an_order_that_flips_is_parked_as_well(connected: Connected) -> None:
    """A quantity that goes back and forth after the hand-over stops at the limit."""
    order = handed_over(connected)
    with Systems.open(connected.settings) as systems:
        for number in range(LIMIT + 3):
            edit_line(connected, order, Quantity=21 if number % 2 else 22)
            mark_changed(systems, "Order", [order["Id"]], "test")
            hand_over(systems)
        record = systems.ledger.record(Kind.ORDER, order["Id"])
        writes = [
            entry
            for entry in systems.ledger.audit_entries(Kind.ORDER, order["Id"])
            if entry.direction == "to_business_central" and entry.action == "update"
        ]

    assert record is not None
    assert record.cause == "flipping"
    assert len(writes) == LIMIT + 2
