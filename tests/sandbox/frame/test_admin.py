"""The admin surface, the clock and the write log."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ml_connector.sandbox.frame.clock import SandboxClock
from ml_connector.sandbox.frame.wire import WireError, decode, encode
from ml_connector.sandbox.frame.write_log import WriteLog
from ml_connector.sandbox.public_admin import build_public_admin


def test_the_clock_moves_stops_and_goes_on() -> None:
    """The clock goes where it is told, stands when frozen, and runs on from there."""
    clock = SandboxClock()
    aim = datetime(2030, 1, 31, 12, tzinfo=UTC)
    clock.move(to=aim)
    assert timedelta() <= clock.now() - aim < timedelta(seconds=5)
    stopped = clock.freeze()
    assert clock.now() == stopped
    assert clock.move(by=timedelta(days=1)) == stopped + timedelta(days=1)
    clock.run()
    assert clock.now() >= stopped + timedelta(days=1)
    with pytest.raises(ValueError, match="time zone"):
        clock.move(to=datetime(2030, 1, 1))  # noqa: DTZ001 - the fault under test
    with pytest.raises(ValueError, match="either"):
        clock.move()


def test_the_wire_keeps_every_digit() -> None:
    """A number goes through the codec with all digits and stays a Decimal."""
    value = decode(b'{"price": 12345678901234.123456789, "count": 3}')
    assert value == {"price": Decimal("12345678901234.123456789"), "count": 3}
    assert encode(value) == b'{"price":12345678901234.123456789,"count":3}'
    for wrong in (b"{", b"", b"\xff", b"{} x"):
        with pytest.raises(WireError):
            decode(wrong)


def test_the_write_log_keeps_its_order_and_its_snapshot() -> None:
    """Entries come in order after a sequence number, and a restored log goes on from there."""
    log = WriteLog(SandboxClock())
    for number in range(5):
        log.add(
            system="s",
            who="w",
            client=None,
            operation="create",
            entity="e",
            record_id=str(number),
        )
    saved = log.dump()
    assert [entry["sequence"] for entry in log.entries(3)] == [4, 5]
    log.add(system="s", who="w", client="c", operation="delete", entity="e", record_id="0")
    log.restore(saved)
    assert log.last == 5
    assert log.entries(5) == []


def test_snapshot_and_restore(echo: Any) -> None:
    """A restore brings back records, switches, clock and write log, and drops the faults."""
    echo.client.post("/texts", content="one")
    echo.admin.post("/snapshot", json={"name": "s"}).raise_for_status()
    echo.client.post("/texts", content="two")
    echo.admin.post("/switches", json={"colour": "green"}).raise_for_status()
    echo.admin.post("/clock", json={"by_seconds": 86_400}).raise_for_status()
    echo.admin.post("/faults", json={"status": 500, "times": None}).raise_for_status()
    echo.admin.post("/restore", json={"name": "s"}).raise_for_status()
    assert echo.client.get("/texts").json() == {"kept": ["seeded", "one"], "colour": "red"}
    writes = echo.admin.get("/writes").json()
    assert [entry["fields"]["text"] for entry in writes["writes"]] == ["one"]
    now = datetime.fromisoformat(echo.admin.get("/clock").json()["now"])
    assert abs(now - SandboxClock().now()) < timedelta(minutes=1)


def test_refusals_say_why(echo: Any) -> None:
    """A verb that cannot be carried out answers 400 with a reason, and changes nothing."""
    for path, body in (
        ("/switches", {"shape": "round"}),
        ("/clock", {"to": "yesterday"}),
        ("/restore", {"name": "never taken"}),
        ("/act", {"act": "explode"}),
        ("/act", {}),
        ("/faults", {"status": 500, "drop": "after"}),
        ("/latency", {"minutes": 1}),
    ):
        answer = echo.admin.post(path, json=body)
        assert answer.status_code == 400, path
        assert answer.json()["error"]["message"]
    assert echo.admin.post("/act", json={"act": "forget", "hard": True}).json() == {"hard": True}
    assert echo.admin.get("/records/texts").json() == []


def test_a_client_that_dies_while_it_asks_is_no_fault_of_the_sandbox() -> None:
    """The request's body breaks off: no system is asked, and nothing is raised."""
    answered: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        answered.append(message)

    async def ask() -> None:
        app, close = build_public_admin(0, 0)
        scope = {
            "type": "http", "method": "POST", "path": "/salesforce/act",
            "query_string": b"", "headers": [], "root_path": "",
        }  # fmt: skip
        await app(scope, receive, send)
        await close()

    asyncio.run(ask())

    assert answered[0]["status"] == 400
