"""Subscriptions to BC's notifications: what can be subscribed to, and what we have there.

BC asks the receiver for a handshake inside each create and each renewal: it has to be up before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from pydantic import SecretStr

from ml_connector.business_central import faults, odata
from ml_connector.business_central.client import BusinessCentralClient
from ml_connector.business_central.notifications import Resource, read_instant, read_resource
from ml_connector.business_central.wire import Call
from ml_connector.errors import ContractError

KIND = "subscriptions"
"""The word reports count these calls by."""

PAGES_AT_MOST = 50


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription of the environment, ours or somebody else's.

    `resource` is None when it names no collection of a company; `client_state` proves whose it is.
    """

    id: str
    notification_url: str
    resource: Resource | None
    expires_at: datetime | None
    etag: str
    client_state: SecretStr = field(repr=False)


def resource_of(company_id: str, entity_set: str) -> str:
    """Return how a set of a company is named in a subscription."""
    return f"/api/v2.0/companies({company_id})/{entity_set}"


def supported_sets(client: BusinessCentralClient) -> frozenset[str]:
    """Ask BC which sets of API v2.0 it tells of."""
    wire = client.wire
    root = wire.root.removesuffix("/api/v2.0")
    address = (
        f"{root}/api/microsoft/runtime/beta/companies({client.company().id})"
        "/webhookSupportedResources"
    ) + odata.query_string({"$filter": "resource eq 'v2.0*'"})
    operation = "GET webhookSupportedResources"
    names = []
    for row in _rows(client, address, operation):
        version, _, name = str(row.get("resource") or "").partition("/")
        if version.lower() == "v2.0" and name:
            names.append(name)
    return frozenset(names)


def list_subscriptions(client: BusinessCentralClient) -> list[Subscription]:
    """Return every subscription of the environment that the app may see."""
    address = f"{client.wire.root}/subscriptions"
    return [
        _subscription(row, is_write=False) for row in _rows(client, address, "GET subscriptions")
    ]


def create_subscription(
    client: BusinessCentralClient, entity_set: str, notification_url: str, client_state: SecretStr
) -> Subscription:
    """Subscribe to a set of the company.

    Effect: one POST, during which BC asks *notification_url* for the handshake. Raises:
    RecordRejected when the handshake fails; OutcomeUnknown when the answer is lost.
    """
    body = _body(client, entity_set, notification_url, client_state)
    address = f"{client.wire.root}/subscriptions"
    answer = client.wire.send(
        Call("POST", address, KIND, "POST subscriptions", body=body, is_write=True)
    )
    return _subscription(answer, is_write=True)


def renew_subscription(
    client: BusinessCentralClient,
    subscription: Subscription,
    entity_set: str,
    client_state: SecretStr,
) -> Subscription:
    """Let a subscription live for another three days.

    Effect: one PATCH with a handshake; repeating it renews again. Raises: RecordNotFound when it
    is gone, RecordRejected when the handshake fails, ConcurrentEdit.
    """
    body = _body(client, entity_set, subscription.notification_url, client_state)
    answer = client.wire.send(
        Call(
            "PATCH",
            _address(client, subscription),
            KIND,
            "PATCH subscriptions",
            body=body,
            headers={"If-Match": subscription.etag or "*"},
            is_write=True,
            record_id=subscription.id,
        )
    )
    return _subscription(answer, is_write=True)


def delete_subscription(client: BusinessCentralClient, subscription: Subscription) -> None:
    """End a subscription. Raises: RecordNotFound when it is gone already."""
    client.wire.send(
        Call(
            "DELETE",
            _address(client, subscription),
            KIND,
            "DELETE subscriptions",
            headers={"If-Match": subscription.etag or "*"},
            is_write=True,
            has_answer=False,
            record_id=subscription.id,
        )
    )


def _address(client: BusinessCentralClient, subscription: Subscription) -> str:
    key = quote(subscription.id.replace("'", "''"), safe="")
    return f"{client.wire.root}/subscriptions('{key}')"


def _body(
    client: BusinessCentralClient, entity_set: str, notification_url: str, client_state: SecretStr
) -> dict[str, str]:
    return {
        "notificationUrl": notification_url,
        "resource": resource_of(client.company().id, entity_set),
        "clientState": client_state.get_secret_value(),
    }


def _rows(client: BusinessCentralClient, address: str, operation: str) -> Iterator[dict[str, Any]]:
    url = address
    for _ in range(PAGES_AT_MOST):
        answer = client.wire.send(Call("GET", url, KIND, operation))
        rows = answer.get("value") if isinstance(answer, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise faults.misshapen(operation, "no list of records in value")
        yield from rows
        link = str(answer.get("@odata.nextLink") or "")
        if not link:
            return
        url = client.wire.following(url, link, operation)
    raise faults.misshapen(operation, "the pages do not end")


def _subscription(row: Any, *, is_write: bool) -> Subscription:
    if not isinstance(row, dict) or not row.get("subscriptionId"):
        raise faults.misshapen("read a subscription", "no subscriptionId", is_write=is_write)
    resource: Resource | None
    try:
        resource = read_resource(row.get("resource"))
    except ContractError:
        resource = None
    return Subscription(
        id=str(row["subscriptionId"]),
        notification_url=str(row.get("notificationUrl") or ""),
        resource=resource,
        expires_at=read_instant(row.get("expirationDateTime")),
        etag=str(row.get("@odata.etag") or ""),
        client_state=SecretStr(str(row.get("clientState") or "")),
    )
