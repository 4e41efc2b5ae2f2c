"""The capture and poll flows on a real server: changes are acted on, runs stand by."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import get_client

from ml_connector.changes.feed_lease import FeedLease
from ml_connector.cli.listen import listen_to, poll_connection
from ml_connector.configuration.connection_file import load_connection_file
from ml_connector.domain.identifiers import Kind, State
from ml_connector.exchange.sync import run_sync
from ml_connector.exchange.systems import Systems

if TYPE_CHECKING:
    from tests.conftest import RunningSandbox


def act(sandbox: RunningSandbox, act: str, **arguments: Any) -> Any:
    """Let a rep do something."""
    answer = sandbox.admin.post("/salesforce/act", json={"act": act, **arguments})
    assert answer.status_code == 200, answer.text
    return answer.json()


def orders(sandbox: RunningSandbox) -> list[dict[str, Any]]:
    """Return the org's Orders."""
    rows = sandbox.admin.get("/salesforce/records/Order").json()
    found: list[dict[str, Any]] = rows["records"] if isinstance(rows, dict) else rows
    return found


def new_order(sandbox: RunningSandbox) -> str:
    """Activate an Order like one that went through, and return its id."""
    like = next(row for row in orders(sandbox) if row.get("BC_Order_Id__c"))
    items = sandbox.admin.get(
        "/salesforce/records/OrderItem", params={"OrderId": like["Id"]}
    ).json()
    line = (items["records"] if isinstance(items, dict) else items)[0]
    made = act(
        sandbox,
        "create_order",
        account=like["AccountId"],
        lines=[{"product": line["Product2Id"], "quantity": 2}],
        activate=True,
    )
    return str(made["Id"])


def shown(sandbox: RunningSandbox, order_id: str) -> Any:
    """Return the BC number an Order shows."""
    return next(row for row in orders(sandbox) if row["Id"] == order_id).get("BC_Order_Number__c")


def test_an_order_goes_through_while_the_flow_listens(
    connection: str, connection_file: Path, running_sandbox: RunningSandbox
) -> None:
    """The capture flow hands an activated Order over and shows its number, then ends in time."""
    run_sync(load_connection_file(connection_file).settings)

    async def story() -> tuple[int, Any]:
        listening = asyncio.create_task(listen_to(connection, 0.4))
        await asyncio.sleep(6)
        order_id = await asyncio.to_thread(new_order, running_sandbox)
        result = await listening
        return result.document["rounds"], shown(running_sandbox, order_id)

    rounds, number = asyncio.run(story())

    assert rounds >= 1
    assert number


def test_a_run_that_finds_an_owner_stands_by(connection: str, connection_file: Path) -> None:
    """While somebody else owns the streams, a run completes without doing anything."""
    settings = load_connection_file(connection_file).settings
    with Systems.open(settings) as systems:
        lease = FeedLease.take(systems)
        assert lease is not None
        with lease:
            result = asyncio.run(listen_to(connection, 0.05))

    assert result.document["rounds"] == 0


def test_the_poll_finds_what_nobody_heard(
    connection: str, connection_file: Path, running_sandbox: RunningSandbox
) -> None:
    """Without any listener, the poll flow takes a new Order through."""
    run_sync(load_connection_file(connection_file).settings)
    order_id = new_order(running_sandbox)
    asyncio.run(poll_connection(connection))

    assert shown(running_sandbox, order_id)


def test_the_poll_finds_a_line_that_changed_without_its_order(
    connection: str, connection_file: Path, running_sandbox: RunningSandbox
) -> None:
    """Another description moves neither total nor stamp of the Order; BC gets it all the same."""
    run_sync(load_connection_file(connection_file).settings)
    order_id = new_order(running_sandbox)
    asyncio.run(poll_connection(connection))
    where = {"OrderId": order_id}
    (line,) = running_sandbox.admin.get("/salesforce/records/OrderItem", params=where).json()
    before = next(row for row in orders(running_sandbox) if row["Id"] == order_id)
    fields = {"Description": "As agreed on the phone"}
    act(running_sandbox, "edit", sobject="OrderItem", record=line["Id"], fields=fields)
    after = next(row for row in orders(running_sandbox) if row["Id"] == order_id)
    assert after["SystemModstamp"] == before["SystemModstamp"]

    asyncio.run(poll_connection(connection))

    of_order = {"documentId": after["BC_Order_Id__c"]}
    path = "/business-central/records/salesOrderLines"
    (written,) = running_sandbox.admin.get(path, params=of_order).json()
    assert written["description"] == "As agreed on the phone"


def events_of(connection: str, count: int) -> list[dict[str, Any]]:
    """Wait until the server knows of so many events about the connection's feeds' standing."""

    async def read() -> list[dict[str, Any]]:
        wanted = {
            "event": {"name": ["ml-connector.feed.silent", "ml-connector.feed.recovered"]},
            "resource": {"id": [f"ml-connector.connection.{connection}"]},
            "order": "ASC",
        }
        async with get_client() as client:
            answer = await client.request("POST", "/events/filter", json={"filter": wanted})
        found: list[dict[str, Any]] = answer.json()["events"]
        return found

    deadline = time.monotonic() + 30
    while len(found := asyncio.run(read())) < count:
        assert time.monotonic() < deadline, f"only {len(found)} events came"
        time.sleep(0.3)
    return found


def test_a_feed_that_goes_dark_is_told_once_and_again_when_it_is_back(
    connection: str, connection_file: Path
) -> None:
    """A stream nobody listens to for an hour is an event of the connection; so is its return."""
    feed = "salesforce/Order/events"
    with Systems.open(load_connection_file(connection_file).settings) as systems:

        def confirmed(ago: timedelta) -> None:
            with systems.ledger.transaction() as tx:
                tx.move_checkpoint(feed, "00ff", systems.clock.now() - ago)

        confirmed(timedelta(hours=1))
        asyncio.run(poll_connection(connection))
        asyncio.run(poll_connection(connection))
        confirmed(timedelta())
        asyncio.run(poll_connection(connection))
        silent, recovered = events_of(connection, 2)

    assert silent["event"] == "ml-connector.feed.silent"
    assert silent["payload"]["connection"] == connection
    assert silent["payload"]["feed"] == feed
    assert silent["payload"]["state"] == "not_listening"
    assert silent["payload"]["lag_seconds"] >= 3600
    assert silent["related"][0]["prefect.resource.id"] == f"ml-connector.feed.{connection}.{feed}"
    assert recovered["event"] == "ml-connector.feed.recovered"


def test_a_new_item_releases_what_waits_for_it_by_the_poll(
    connection: str, connection_file: Path, running_sandbox: RunningSandbox
) -> None:
    """Finance makes the item that an order lacks: the poll, without any sync, takes it through."""
    settings = load_connection_file(connection_file).settings
    run_sync(settings)
    asyncio.run(poll_connection(connection))
    with Systems.open(settings) as systems:
        (waiting, lacks) = next(
            (record.key, record.waits_for[0]["salesforce_id"])
            for page in systems.ledger.iterate(kind=Kind.ORDER, states=(State.WAITING,))
            for record in page
            if len(record.waits_for) == 1 and record.waits_for[0]["kind"] == "item"
        )
    products = running_sandbox.admin.get("/salesforce/records/Product2").json()
    code = next(row for row in products if row["Id"] == lacks)["ProductCode"]
    body = {"act": "create_item", "number": code, "displayName": code}
    answer = running_sandbox.admin.post("/business-central/act", json=body)
    assert answer.status_code == 200, answer.text
    assert not shown(running_sandbox, waiting)
    asyncio.run(poll_connection(connection))

    assert shown(running_sandbox, waiting)
