"""Five in flight, a queue, a sliding window; faults; the logs."""

import asyncio
import ssl
from typing import Any

import httpx


async def _at_once(tenant: Any, number: int) -> list[int]:
    trust = ssl.create_default_context(cafile=tenant.ca_file)
    limits = httpx.Limits(max_connections=number)
    headers = {"authorization": f"Bearer {tenant.token}"}
    async with httpx.AsyncClient(
        base_url=tenant.line["url"], verify=trust, trust_env=False, limits=limits, timeout=60
    ) as client:
        path = f"{tenant.company}/items/$count"
        answers = await asyncio.gather(*(client.get(path, headers=headers) for _ in range(number)))
    return [answer.status_code for answer in answers]


async def test_the_rest_waits_or_is_refused(tenant: Any) -> None:
    """Beyond those processed requests wait; beyond the queue they get 429."""
    tenant.admin.post("/latency", json={"seconds": 0.3})
    assert await _at_once(tenant, 8) == [200] * 8
    tenant.switch(max_queued=2)
    statuses = await _at_once(tenant, 12)
    assert set(statuses) == {200, 429}
    assert 7 <= statuses.count(200) < 12


async def test_too_long_in_the_queue(tenant: Any) -> None:
    """A request that waits too long is sent away with 503."""
    tenant.admin.post("/latency", json={"seconds": 0.5})
    tenant.switch(max_in_flight=1, queue_timeout_seconds=0.2)
    assert sorted(await _at_once(tenant, 2)) == [200, 503]


def test_rate(tenant: Any) -> None:
    """The window fills up; 429 comes with or without Retry-After; operations of a batch count."""
    tenant.switch(rate_limit=1, rate_scale=1, rate_window_seconds=60)
    answers = [tenant.call("GET", "items/$count") for _ in range(2)]
    assert answers[-1].status_code == 429
    assert "retry-after" not in answers[-1].headers
    assert "  CorrelationId:  " in answers[-1].json()["error"]["message"]
    tenant.switch(retry_after_on_429=True)
    assert tenant.call("GET", "items/$count").headers["retry-after"] == "1"
    assert tenant.grant().status_code == 200
    tenant.switch(rate_scale=0)
    assert tenant.call("GET", "items/$count").status_code == 200
    tenant.switch(rate_limit=6000, rate_scale=1, rate_window_seconds=300)


def test_fault_shortcuts(tenant: Any) -> None:
    """Named faults answer in the service's shape; after a commit the write has happened."""
    tenant.fault(shortcut="etag_conflict")
    path = f"customers({tenant.ids['C100']})"
    assert tenant.refusal("PATCH", path, {"city": "A"}, if_match="*") == (
        409,
        "Request_EntityChanged",
    )
    tenant.fault(shortcut="gateway_timeout_after_commit", method="POST")
    assert tenant.call("POST", "customers", {"displayName": "Late"}).status_code == 504
    assert tenant.values("customers?$filter=displayName eq 'Late'")
    tenant.fault(shortcut="throttled_with_retry_after")
    assert tenant.call("GET", "items").headers["retry-after"] == "1"
    tenant.switch(environment_unavailable=True)
    answer = tenant.call("GET", "items")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


def test_witnesses(tenant: Any) -> None:
    """Every write is in the log with who did it; a refused one is not; traffic has kinds."""
    since = tenant.admin.get("/writes").json()["last"]
    tenant.admin.post("/traffic/reset")
    order = tenant.order()
    tenant.refusal("POST", "salesOrders", {"customerNumber": "NOBODY"})
    tenant.act("ship_and_invoice", order=order["number"])
    writes = tenant.admin.get("/writes", params={"since": since}).json()["writes"]
    made = [(w["operation"], w["entity"], w["who"].split()[0]) for w in writes]
    assert made.count(("create", "salesOrders", "app")) == 1
    assert made.count(("create", "salesOrderLines", "app")) == 2
    assert ("create", "salesInvoices", "clerk") in made
    assert ("delete", "salesOrders", "clerk") in made
    kinds = tenant.admin.get("/traffic").json()["kinds"]
    assert kinds == {"POST salesOrders": 2}
    entries = tenant.admin.get("/records/salesInvoices").json()
    assert entries[0]["orderNumber"] == order["number"]


def test_acts_say_what_is_wrong(tenant: Any) -> None:
    """An act that cannot be done says so and leaves nothing behind."""
    answer = tenant.admin.post("/act", json={"act": "ship", "order": "NONE"})
    assert answer.status_code == 400
    answer = tenant.admin.post("/act", json={"act": "juggle"})
    assert "ship_and_invoice" in answer.json()["error"]["message"]
