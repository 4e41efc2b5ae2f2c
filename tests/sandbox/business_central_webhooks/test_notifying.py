"""Notifications: what they say, how changes merge, and what becomes of failed ones."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote


def kinds(items: list[dict[str, Any]], record_id: str) -> list[str]:
    """The kinds of change told about one record."""
    return [item["changeType"] for item in items if record_id in item["resource"]]


def test_a_notification_is_a_pointer(webhooks: Any) -> None:
    """It names subscription, state, resource and time, and carries a correlation id twice."""
    made = webhooks.subscribe("customers")
    webhooks.quick()
    customer = webhooks.tenant.create("customers", displayName="Contoso")

    (item,) = webhooks.receiver.wait(1)

    assert set(item) == {
        "subscriptionId", "clientState", "expirationDateTime", "resource", "changeType",
        "lastModifiedDateTime",
    }  # fmt: skip
    assert item["subscriptionId"] == made["subscriptionId"]
    assert item["clientState"] == "secret"
    assert item["resource"] == f"{webhooks.resource('customers')}({customer['id']})"
    assert item["changeType"] == "created"
    headers = webhooks.receiver.headers[0]
    assert headers["clientrequestid"] == headers["x-ms-correlation-id"]


def test_thirty_seconds_gather_changes_of_all_subscriptions(webhooks: Any) -> None:
    """Nothing leaves before the delay is over; then one call carries every subscription."""
    webhooks.subscribe("customers")
    webhooks.subscribe("items")
    webhooks.tenant.create("customers", displayName="Contoso")
    webhooks.tenant.change(f"items({webhooks.tenant.ids['1000']})", displayName="Bike")
    assert webhooks.state()["waiting"] == 2
    assert webhooks.receiver.bodies == []

    webhooks.tenant.move_clock(31)

    assert len(webhooks.receiver.wait(2)) == 2
    assert len(webhooks.receiver.bodies) == 1


def test_only_consecutive_updates_merge(webhooks: Any) -> None:
    """Created and updated are two items, updated twice is one, updated and deleted are two."""
    webhooks.subscribe("customers")
    tenant = webhooks.tenant
    new = tenant.create("customers", displayName="Contoso")["id"]
    tenant.change(f"customers({new})", displayName="Contoso Ltd.")
    tenant.change(f"customers({new})", displayName="Contoso Limited")
    old = tenant.ids["C200"]
    tenant.change(f"customers({old})", displayName="Gone soon")
    assert tenant.call("DELETE", f"customers({old})").status_code == 204

    tenant.move_clock(31)

    items = webhooks.receiver.wait(4)
    assert kinds(items, new) == ["created", "updated"]
    assert kinds(items, old) == ["updated", "deleted"]


def test_a_change_that_changes_nothing_is_not_told(webhooks: Any) -> None:
    """A write with the values that are there already makes no notification."""
    webhooks.subscribe("customers")
    row = webhooks.tenant.get(f"customers({webhooks.tenant.ids['C100']})")

    webhooks.tenant.change(f"customers({row['id']})", displayName=row["displayName"])

    assert webhooks.state()["waiting"] == 0


def test_a_line_tells_its_header(webhooks: Any) -> None:
    """A changed line is an update of its document."""
    order = webhooks.tenant.order()
    webhooks.subscribe("salesOrders")
    webhooks.quick()

    line = order["salesOrderLines"][0]
    webhooks.tenant.change(f"salesOrderLines({line['id']})", quantity=5)

    items = webhooks.receiver.wait(1)
    assert kinds(items, order["id"]) == ["updated"]


def test_too_many_changes_become_one_collection(webhooks: Any) -> None:
    """Above the limit a single item says since when; with a delete it does not even say that."""
    tenant = webhooks.tenant
    tenant.switch(webhook_most_items=3)
    made = webhooks.subscribe("customers")
    for number in range(4):
        tenant.create("customers", displayName=f"Customer {number}")
    first = instant(tenant.act("webhook_waiting")[0]["at"])

    tenant.move_clock(31)
    (item,) = webhooks.receiver.wait(1)

    assert item["changeType"] == "collection"
    assert item["subscriptionId"] == made["subscriptionId"]
    head, _, text = unquote(item["resource"]).partition("?$filter=lastModifiedDateTime gt ")
    assert head == webhooks.resource("customers")
    assert timedelta(milliseconds=49) <= first - instant(text) <= timedelta(milliseconds=52)

    for number in range(3):
        tenant.create("customers", displayName=f"More {number}")
    tenant.call("DELETE", f"customers({tenant.ids['C200']})")
    tenant.move_clock(31)
    assert webhooks.receiver.wait(2)[1]["resource"] == webhooks.resource("customers")


def instant(text: str) -> datetime:
    """A time of the wire."""
    return datetime.fromisoformat(text)


def test_a_receiver_in_trouble_is_asked_again(webhooks: Any) -> None:
    """After 503 the same notification comes again, after one, one, ten, … minutes."""
    webhooks.subscribe("customers")
    webhooks.receiver.status = 503
    tenant = webhooks.tenant
    tenant.create("customers", displayName="Contoso")
    for seconds in (31, 61, 61):
        tenant.move_clock(seconds)
        had = len(webhooks.receiver.bodies)
        assert webhooks.until(lambda had=had: len(webhooks.receiver.bodies) == had + 1)
        assert webhooks.until(lambda: webhooks.state()["retrying"] == 1)
    webhooks.receiver.status = 200
    tenant.move_clock(601)

    assert webhooks.until(lambda: webhooks.state()["delivered"] == 1)
    assert len(webhooks.listed()) == 1


def test_after_five_more_tries_the_subscription_is_deleted(webhooks: Any) -> None:
    """A receiver that never recovers loses its subscription."""
    webhooks.subscribe("customers")
    webhooks.receiver.status = 500
    webhooks.quick()

    webhooks.tenant.create("customers", displayName="Contoso")

    assert webhooks.until(lambda: webhooks.listed() == [])
    assert len(webhooks.receiver.bodies) == 6


def test_a_wrong_answer_ends_every_subscription_behind_the_address(webhooks: Any) -> None:
    """One 404 deletes them all at once; another address keeps its own."""
    webhooks.subscribe("customers")
    webhooks.subscribe("items")
    other = webhooks.subscribe("customers", notificationUrl=f"{webhooks.receiver.url}/other")
    webhooks.tenant.switch(webhook_scale=0)
    webhooks.receiver.status = 404

    webhooks.tenant.change(f"items({webhooks.tenant.ids['1000']})", displayName="Bike")

    assert webhooks.until(lambda: webhooks.listed() == [other["subscriptionId"]])


def test_resources_come_with_or_without_a_slash(webhooks: Any) -> None:
    """Both readings of the documentation are a switch."""
    webhooks.subscribe("customers")
    webhooks.quick(webhook_resource_style="no_slash")

    webhooks.tenant.create("customers", displayName="Contoso")

    assert webhooks.receiver.wait(1)[0]["resource"].startswith("api/v2.0/companies(")


def test_subscriptions_are_part_of_a_snapshot(webhooks: Any) -> None:
    """A restored company has the subscriptions it had."""
    made = webhooks.subscribe("customers")
    tenant = webhooks.tenant
    tenant.admin.post("/snapshot", json={"name": "subscribed"}).raise_for_status()
    tenant.act("webhook_remove")
    assert webhooks.listed() == []

    tenant.admin.post("/restore", json={"name": "subscribed"}).raise_for_status()
    tenant.sign_in()

    assert webhooks.listed() == [made["subscriptionId"]]
