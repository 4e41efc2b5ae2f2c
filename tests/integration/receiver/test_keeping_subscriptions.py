"""Subscriptions in the sandbox's company, with a receiver that the company really calls."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from ml_connector.changes.notification_feed import has_news, take_notifications
from ml_connector.changes.subscription_keeping import Ending, report_json
from ml_connector.errors import TransientError
from ml_connector.exchange.feed_report import feeds
from ml_connector.exchange.notification_checks import CODE, notification_lines
from ml_connector.exchange.notified import NOTIFIED_SETS
from ml_connector.exchange.systems import Systems
from tests.integration.feeds.both_feeds import ClockAhead
from tests.integration.receiver.conftest import World

DOCUMENTED = tuple(each for each in NOTIFIED_SETS if each != "salesShipments")


def test_what_is_missing_is_created_once(world: World) -> None:
    """Every offered set is subscribed to with a proof; a second run only renews."""
    report = world.keep()

    assert sorted(report.sets(Ending.CREATED)) == sorted(DOCUMENTED)
    assert report.plan.polled == ("salesShipments",)
    assert {row["clientState"] for row in world.subscriptions()} == {"a-random-state"}
    again = world.keep()
    assert sorted(again.sets(Ending.RENEWED)) == sorted(DOCUMENTED)
    assert len(world.subscriptions()) == len(DOCUMENTED)
    assert world.pending() == {}
    assert "a-random-state" not in str(report_json(again))


def test_what_bc_offers_is_asked_at_run_time(world: World) -> None:
    """A service that tells of shipments is subscribed for them as well."""
    world.switch(webhook_more_sets=["salesShipments", "contacts"])

    report = world.keep()

    assert sorted(report.sets(Ending.CREATED)) == sorted(NOTIFIED_SETS)
    assert report.plan.polled == ()


def test_without_a_receiver_nothing_stands_and_it_is_said(world: World) -> None:
    """Each refusal is reported; the feed is not called whole."""
    world.stop()

    report = world.keep()

    assert sorted(report.sets(Ending.REFUSED)) == sorted(DOCUMENTED)
    assert not report.is_complete
    assert world.subscriptions() == []


@pytest.mark.parametrize(
    ("status", "code"), [(403, "Authorization_RequestDenied"), (404, "BadRequest_NotFound")]
)
def test_a_set_that_may_not_be_read_keeps_no_other_from_being_subscribed(
    world: World, status: int, code: str
) -> None:
    """The others stand, and the one that is refused is said, with what BC answered."""
    world.fault(method="POST", path="subscriptions", status=status, code=code, times=1)

    report = world.keep()

    (refused,) = report.sets(Ending.REFUSED)
    assert sorted([*report.sets(Ending.CREATED), refused]) == sorted(DOCUMENTED)
    assert next(each.message for each in report.done if each.ending is Ending.REFUSED)
    assert len(world.subscriptions()) == len(DOCUMENTED) - 1


def test_a_set_without_an_answer_fails_the_run_after_all_others_are_kept(world: World) -> None:
    """The run is tried again; meanwhile no other subscription lapses."""
    world.fault(method="POST", path="subscriptions", status=500, code="Internal_ServerError")

    with pytest.raises(TransientError):
        world.keep()

    assert len(world.subscriptions()) == len(DOCUMENTED) - 1
    assert len(world.keep().sets(Ending.CREATED)) == 1


def test_a_gap_outlives_a_run_that_died_before_it_could_note_it(world: World) -> None:
    """What vanished was made anew, and nothing is known of it: its gap is read all the same."""
    world.keep()
    world.act("webhook_remove", entity_set="salesOrders")
    url = world.settings.business_central.notification_url
    company = world.settings.business_central.company_id
    world.act(
        "webhook_add",
        notification_url=url,
        resource=f"/api/v2.0/companies({company})/salesOrders",
        client_state="a-random-state",
    )

    report = world.keep()

    assert [gap["entity_set"] for gap in report_json(report)["gaps"]] == ["salesOrders"]
    assert world.pending() == {("business_central", "salesOrders"): 1}
    assert world.keep().has_gaps is False


def test_notifications_that_never_came_up_are_silent_in_time(world: World) -> None:
    """They are shown from the first try on, which later ones do not put off."""
    told = feed_row(world, timedelta())
    world.stop()
    world.keep()
    world.keep()
    tried, later = feed_row(world, timedelta()), feed_row(world, timedelta(hours=3))

    assert [row["state"] for row in (told, tried, later)] == ["connecting", "connecting", "silent"]
    assert later["last_confirmed_at"] is None
    assert later["lag_seconds"] >= 3 * 3600
    assert "renew-subscriptions" in later["message"]


def feed_row(world: World, ahead: timedelta) -> dict[str, Any]:
    """Return what `status` says of the notifications, so long from now."""
    with Systems.open(world.settings, clock=ClockAhead(ahead)) as systems:
        return next(row for row in feeds(systems) if row["name"] == "notifications")


def test_a_renewal_counts_from_now(world: World) -> None:
    """Renewed daily, no subscription ever reaches its third day."""
    world.keep()
    for _ in range(4):
        world.sandbox.admin.post("/clock", json={"by_seconds": 86_000}).raise_for_status()
        assert len(world.keep().sets(Ending.RENEWED)) == len(DOCUMENTED)

    assert len(world.subscriptions()) == len(DOCUMENTED)


@pytest.mark.parametrize("act", ["webhook_remove", "webhook_expire"])
def test_what_vanished_is_made_anew_and_its_gap_read_again(world: World, act: str) -> None:
    """The set is marked to be read as a whole, once."""
    world.keep()
    world.act(act, entity_set="salesOrders")

    report = world.keep()

    assert report.sets(Ending.RECREATED) == ["salesOrders"]
    assert world.pending() == {("business_central", "salesOrders"): 1}
    assert [gap["entity_set"] for gap in report_json(report)["gaps"]] == ["salesOrders"]
    world.keep()
    assert world.pending() == {("business_central", "salesOrders"): 1}


def test_orphans_of_ours_go_and_others_stay(world: World) -> None:
    """Ours at an old address goes; another app's at the same company stays untouched."""
    world.keep()
    base = f"/api/v2.0/companies({world.settings.business_central.company_id})"
    old = world.act(
        "webhook_add",
        notification_url="https://old.example/bc",
        resource=f"{base}/salesOrders",
        client_state="a-random-state",
    )
    unwanted = world.act(
        "webhook_add",
        notification_url=world.settings.business_central.notification_url,
        resource=f"{base}/vendors",
        client_state="a-random-state",
    )
    theirs = world.act(
        "webhook_add",
        notification_url="https://another.example/",
        resource=f"{base}/salesOrders",
        client_state="somebody else's",
    )

    report = world.keep()

    left = {row["subscriptionId"] for row in world.subscriptions()}
    assert sorted(report.sets(Ending.DELETED)) == ["salesOrders", "vendors"]
    assert not left & {old["subscriptionId"], unwanted["subscriptionId"]}
    assert theirs["subscriptionId"] in left
    assert report.plan.others == 1


def test_a_new_proof_is_told_to_bc_and_the_gap_read_again(world: World) -> None:
    """After a lost Block the old proof would be taken for forged, so nothing may be missing."""
    world.keep()

    world.keep(notification_client_state=SecretStr("another-state"))

    assert {row["clientState"] for row in world.subscriptions()} == {"another-state"}
    assert sum(world.pending().values()) == len(DOCUMENTED)


def test_a_service_that_hides_the_proof_is_fine(world: World) -> None:
    """Ours are then known by the ledger, and by where they lead to when that is lost."""
    world.switch(webhook_shows_client_state=False)
    world.keep()

    assert len(world.keep().sets(Ending.RENEWED)) == len(DOCUMENTED)
    with Systems.open(world.settings) as systems, systems.ledger.transaction() as tx:
        tx.forget_subscriptions([row["subscriptionId"] for row in world.subscriptions()])
    again = world.keep()

    assert len(again.sets(Ending.RENEWED)) == len(DOCUMENTED)
    assert report_json(again)["gaps"] == []
    assert len(world.subscriptions()) == len(DOCUMENTED)


def test_the_preflight_tells_whether_they_stand(world: World) -> None:
    """Missing or unrenewed subscriptions are warnings; without an address nothing is said."""

    def levels() -> list[str]:
        with Systems.open(world.settings) as systems:
            return [str(line.level) for line in notification_lines(systems) if line.code == CODE]

    assert levels() == ["warning"]
    world.keep()
    assert levels() == ["ok"]
    world.act("webhook_remove", entity_set="items")
    assert levels() == ["warning"]


def test_without_an_address_ours_are_removed(world: World) -> None:
    """A connection that polls only leaves no subscription behind."""
    world.keep()
    central = world.settings.business_central.model_copy(update={"notification_url": ""})

    report = world.keep(business_central=central)

    assert world.subscriptions() == []
    assert report.plan.polled == NOTIFIED_SETS


def test_a_lost_answer_makes_no_second_subscription(world: World) -> None:
    """A create whose answer is lost is found again, not repeated."""
    world.switch(webhook_twice="allowed")
    rule = {"method": "POST", "path": "subscriptions", "drop": "after", "times": 1}
    world.sandbox.admin.post("/business-central/faults", json=rule).raise_for_status()

    report = world.keep()

    assert len(world.subscriptions()) == len(DOCUMENTED)
    assert report.is_complete


def test_a_change_in_bc_reaches_the_inbox(world: World) -> None:
    """What BC tells is stored, taken by the flows, and taken once."""
    world.switch(webhook_scale=0)
    world.keep()
    customer = world.sandbox.admin.get("/business-central/records/customers").json()[0]
    world.act("edit", entity="customers", record=customer["id"], fields={"displayName": "New"})

    assert world.wait_for(lambda: ("business_central", "customers") in world.pending())
    with Systems.open(world.settings) as systems:
        assert has_news(systems)
        taken = take_notifications(systems)
        assert (taken.notifications, taken.accounts) == (1, True)
        assert take_notifications(systems).notifications == 0
    assert world.pending() == {}
