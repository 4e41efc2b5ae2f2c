"""The resource `subscriptions`: handshake, life, keys and refusals."""

from datetime import datetime, timedelta
from typing import Any

import pytest


def instant(text: str) -> datetime:
    """A time of the wire."""
    return datetime.fromisoformat(text)


@pytest.mark.parametrize("form", ["/api/v2.0/{}", "{}", "https://api.example/v2.0/x/api/v2.0/{}"])
def test_a_subscription_is_made_after_a_handshake(webhooks: Any, form: str) -> None:
    """Each documented form of the resource is accepted, and lives for three days."""
    plain = webhooks.resource("customers").removeprefix("/api/v2.0/")

    made = webhooks.subscribe("customers", resource=form.format(plain))

    assert webhooks.receiver.handshakes == 1
    assert made["clientState"] == "secret"
    assert made["resource"] == form.format(plain)
    assert made["@odata.etag"]
    life = instant(made["expirationDateTime"]) - instant(made["systemCreatedAt"])
    assert timedelta() <= life - timedelta(days=3) < timedelta(seconds=1)
    assert webhooks.listed() == [made["subscriptionId"]]
    assert webhooks.tenant.get(webhooks.key(made))["notificationUrl"] == webhooks.receiver.url
    inside = f"{webhooks.tenant.company}/subscriptions"
    assert len(webhooks.tenant.values(inside)) == 1


def test_no_subscription_without_the_token_back(webhooks: Any) -> None:
    """A receiver that answers something else, or nothing, gets no subscription."""
    webhooks.receiver.echo = lambda token: token[::-1]

    assert webhooks.tenant.refusal("POST", webhooks.path, webhooks.body("customers"))[0] == 400
    nobody = webhooks.body("customers", notificationUrl="https://127.0.0.1:9/hooks")
    assert webhooks.tenant.refusal("POST", webhooks.path, nobody)[0] == 400
    assert webhooks.listed() == []


@pytest.mark.parametrize(
    "fields",
    [
        {"resource": "/api/v2.0/companies({company})/contacts"},
        {"resource": "/api/v2.0/companies({company})/salesShipments"},
        {"resource": "/api/v2.0/companies({company})/salesOrderLines"},
        {"resource": "/api/v1.0/companies({company})/customers"},
        {"resource": "/api/v2.0/companies(b18aed47-c385-49d2-b954-dbdf8ad71780)/customers"},
        {"resource": "customers"},
        {"notificationUrl": "http://127.0.0.1:8080/hooks"},
        {"notificationUrl": "http://hooks.example/"},
        {"notificationUrl": ""},
        {"clientState": "x" * 2049},
        {"expirationDateTime": "2030-01-01T00:00:00Z"},
    ],
)
def test_what_cannot_be_subscribed_to_is_refused(webhooks: Any, fields: dict[str, str]) -> None:
    """Unsupported sets, foreign companies, plain http and read-only fields are refused."""
    company = webhooks.tenant.line["company_id"]
    named = {name: value.replace("{company}", company) for name, value in fields.items()}

    status, _ = webhooks.tenant.refusal("POST", webhooks.path, webhooks.body("items", **named))

    assert status in (400, 404)
    assert webhooks.receiver.handshakes == 0


def test_sets_beyond_the_documented_ones_are_a_switch(webhooks: Any) -> None:
    """A service that offers shipments says so, and then takes a subscription."""
    runtime = webhooks.tenant.company.replace(
        "/api/v2.0/companies", "/api/microsoft/runtime/beta/companies"
    )
    path = f"{runtime}/webhookSupportedResources?$filter=resource eq 'v2.0*'"
    before = {row["resource"] for row in webhooks.tenant.values(path)}
    webhooks.tenant.switch(webhook_more_sets=["salesShipments"])
    after = {row["resource"] for row in webhooks.tenant.values(path)}

    assert after - before == {"v2.0/salesShipments"}
    assert all(name.startswith("v2.0/") for name in after)
    webhooks.subscribe("salesShipments")


def test_renewing_needs_a_tag_a_body_and_a_handshake(webhooks: Any) -> None:
    """A renewal counts three days from now, and leaves all as it is when the receiver is away."""
    made = webhooks.subscribe("customers")
    key = webhooks.key(made)
    webhooks.tenant.move_clock(86400)
    webhooks.tenant.sign_in()

    assert webhooks.tenant.refusal("PATCH", key, {})[0] == 400
    assert webhooks.tenant.refusal("PATCH", key, None, if_match="*")[0] == 400
    assert webhooks.tenant.refusal("PATCH", key, {}, if_match='W/"stale"')[0] == 409
    renewed = webhooks.tenant.call("PATCH", key, {}, if_match=made["@odata.etag"]).json()
    later = instant(renewed["expirationDateTime"]) - instant(made["expirationDateTime"])
    assert timedelta(days=1) <= later < timedelta(days=1, minutes=1)
    assert webhooks.receiver.handshakes == 2
    webhooks.receiver.echo = lambda _token: ""
    assert webhooks.tenant.refusal("PATCH", key, {}, if_match="*")[0] == 400
    assert webhooks.tenant.get(key)["expirationDateTime"] == renewed["expirationDateTime"]


def test_three_days_later_it_is_gone(webhooks: Any) -> None:
    """An expired subscription can neither be read nor renewed."""
    key = webhooks.key(webhooks.subscribe("customers"))

    webhooks.tenant.move_clock(3 * 86400 + 1)
    webhooks.tenant.sign_in()

    assert webhooks.listed() == []
    assert webhooks.tenant.refusal("PATCH", key, {}, if_match="*")[0] == 404


def test_keys_are_quoted(webhooks: Any) -> None:
    """The key is text in quotes; deleting needs a tag."""
    made = webhooks.subscribe("customers")
    bare = f"{webhooks.path}({made['subscriptionId']})"

    assert webhooks.tenant.refusal("GET", bare)[0] == 400
    assert webhooks.tenant.refusal("DELETE", webhooks.key(made))[0] == 400
    done = webhooks.tenant.call("DELETE", webhooks.key(made), if_match="*")
    assert done.status_code == 204
    assert webhooks.listed() == []


def test_the_same_twice_and_too_many_are_refused(webhooks: Any) -> None:
    """One subscription per set and address (a switch), two hundred in the environment."""
    webhooks.subscribe("customers")
    assert webhooks.tenant.refusal("POST", webhooks.path, webhooks.body("customers"))[0] == 400
    webhooks.tenant.switch(webhook_twice="allowed", webhook_limit=3)
    webhooks.subscribe("customers")
    webhooks.subscribe("items", notificationUrl=f"{webhooks.receiver.url}?from=bc")
    assert webhooks.tenant.refusal("POST", webhooks.path, webhooks.body("vendors"))[0] == 400
