"""A sales order that leaves too late: another worker has taken the Order over and written it."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from ml_connector.domain.clock import SystemClock
from ml_connector.domain.identifiers import Kind
from ml_connector.exchange.systems import Systems
from tests.integration.exchange.conftest import Connected, Row

AFTER_A_LEASE = timedelta(seconds=400)

Step = Callable[[], None]
Later = Callable[[int], AbstractContextManager[None]]


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Callable[[Step, Step], None]:
    """Has one step happen right before BC gets the next sales order, and one after its answer."""

    def install(before: Step, after: Step = lambda: None) -> None:
        send = httpx.HTTPTransport.handle_request
        waiting = [True]

        def sent(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
            is_first = (
                waiting[0] and request.method == "POST" and request.url.path.endswith("salesOrders")
            )
            if not is_first:
                return send(transport, request)
            waiting[0] = False
            before()
            answer = send(transport, request)
            answer.read()
            after()
            return answer

        monkeypatch.setattr(httpx.HTTPTransport, "handle_request", sent)

    return install


@pytest.fixture
def slow(connected: Connected) -> Connected:
    """A connection after its first sync, with one new Order to hand over."""
    connected.sync()
    account = next(row for row in connected.salesforce("Account") if row.get("BC_Customer_Id__c"))
    product = next(row for row in connected.salesforce("Product2") if row.get("BC_Item_Id__c"))
    line = {"product": product["Id"], "quantity": 2}
    connected.act("salesforce", "create_order", account=account["Id"], lines=[line], activate=True)
    return connected


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    """While entered, so many leases, one after another, have run out by the clock."""

    @contextmanager
    def moved(leases: int) -> Iterator[None]:
        with monkeypatch.context() as patched:
            now = SystemClock().now() + leases * AFTER_A_LEASE
            patched.setattr(SystemClock, "now", lambda _: now)
            yield

    return moved


@pytest.fixture
def another_worker(slow: Connected, later: Later) -> Step:
    """A whole run of another worker, after the first one's lease ran out."""

    def run() -> None:
        with later(1):
            slow.sync()

    return run


def doubled(slow: Connected) -> dict[str, list[Row]]:
    """Return the references that BC has more than one sales order of."""
    return {name: rows for name, rows in slow.orders_by_reference().items() if len(rows) > 1}


def linked(slow: Connected, reference: str) -> str:
    """Return the id of the sales order that Salesforce shows on the Order of *reference*."""
    (order,) = slow.salesforce("Order", OrderNumber=reference)
    return str(order["BC_Order_Id__c"])


def test_it_is_deleted_again(
    slow: Connected, between: Callable[..., None], another_worker: Step, tmp_path: Path
) -> None:
    """The late worker sees that the Order is linked to another sales order, and deletes its own."""
    between(another_worker)
    slow.sync()

    assert doubled(slow) == {}
    (deleted,) = [
        write
        for write in slow.writes()
        if (write["operation"], write["entity"]) == ("delete", "salesOrders")
    ]
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as ledger:
        told = ledger.execute(
            "SELECT action, before FROM audit_entries WHERE rule = 'written_by_another_worker'"
        ).fetchall()
    assert [action for action, _ in told] == ["delete"]
    assert deleted["record_id"] in told[0][1]
    slow.sync()
    assert doubled(slow) == {}


def test_one_that_somebody_works_on_stays(
    slow: Connected,
    between: Callable[..., None],
    another_worker: Step,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A clerk shipped the second one already: it stays, and the log says what to do."""

    def ship() -> None:
        ((reference, rows),) = doubled(slow).items()
        (late,) = [row for row in rows if row["id"] != linked(slow, reference)]
        slow.act("business-central", "ship", order=late["number"])

    between(another_worker, ship)
    with caplog.at_level(logging.ERROR, "ml_connector"):
        slow.sync()

    assert len(doubled(slow)) == 1
    (said,) = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert "was written too late" in said
    assert "somebody works on it" in said


def test_one_whose_order_the_other_worker_has_not_written_yet_stays(
    slow: Connected,
    between: Callable[..., None],
    later: Later,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The other worker has only claimed the Order: what is there is found by it, not deleted."""

    def claim() -> None:
        with later(1), Systems.open(slow.settings) as other, other.ledger.transaction() as tx:
            keys: list[Any] = [row["Id"] for row in slow.salesforce("Order")]
            assert tx.claim(Kind.ORDER, keys, "another", 1)

    between(claim)
    with caplog.at_level(logging.ERROR, "ml_connector"):
        slow.sync()

    assert doubled(slow) == {}
    assert any("has not finished" in record.getMessage() for record in caplog.records)
    with later(2):
        slow.sync()
    assert doubled(slow) == {}
    assert all(linked(slow, reference) for reference in slow.orders_by_reference())
