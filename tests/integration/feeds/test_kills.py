"""Killed at any moment, a listener loses no change and applies none twice."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.integration.exchange.conftest import Connected
from tests.integration.feeds.conftest import wait_for

PROGRAM = Path(__file__).with_name("listener_process.py")
ROOT = Path(__file__).parents[3]
KILLS = 20


def start(connected: Connected, folder: Path, moment: str) -> subprocess.Popen[bytes]:
    """Start a listener that dies at *moment*."""
    file = connected.sandbox.line["connection_file"]
    with (folder / "listener.log").open("ab") as said:
        return subprocess.Popen(
            [sys.executable, str(PROGRAM), file, str(folder / "ledger.db"), moment],
            cwd=ROOT,
            stderr=said,
        )


class Load(threading.Thread):
    """A rep who activates orders, one after another."""

    def __init__(self, connected: Connected, account: str, product: str) -> None:
        super().__init__(daemon=True)
        self._connected = connected
        self._account = account
        self._product = product
        self._over = threading.Event()
        self.orders: list[dict[str, Any]] = []

    def run(self) -> None:
        """Activate an order every half second."""
        while not self._over.wait(0.5):
            self.orders.append(
                self._connected.act(
                    "salesforce",
                    "create_order",
                    account=self._account,
                    lines=[{"product": self._product, "quantity": 1 + len(self.orders) % 7}],
                    activate=True,
                )
            )

    def stop(self) -> None:
        """End the load."""
        self._over.set()
        self.join(30)


def moments(seed: int) -> list[str]:
    """Return where each of the kills happens: every kind of place, and plain times."""
    chance = random.Random(seed)
    kinds = ["store", "hand-over", "write", "answer", "after"]
    return [
        f"after:{chance.uniform(0.3, 3):.2f}"
        if kind == "after"
        else f"{kind}:{chance.randint(1, 3)}"
        for kind in (kinds[number % len(kinds)] for number in range(KILLS))
    ]


def delivered_again(notes: Path, processes: list[int]) -> list[dict[str, int]]:
    """Return, per kill and object, how many responses of the killed process came again after it."""
    lines = [json.loads(line) for line in notes.read_text().splitlines()]
    again: list[dict[str, int]] = []
    for place, before in enumerate(processes[:-1], start=1):
        later = {
            (line["entity"], each)
            for line in lines
            if line["process"] in processes[place:]
            for each in line["ids"]
        }
        found = Counter(
            str(line["entity"])
            for line in lines
            if line["process"] == before
            and any((line["entity"], each) in later for each in line["ids"])
        )
        again.append(dict(found))
    return again


@pytest.mark.timeout(280)
def test_twenty_kills_under_load_lose_nothing_and_double_nothing(
    connected: Connected, tmp_path: Path
) -> None:
    """After twenty kills every activated order has exactly one sales order, and shows it."""
    connected.sync()
    sample = next(row for row in connected.salesforce("Order") if row.get("BC_Order_Id__c"))
    line = connected.salesforce("OrderItem", OrderId=sample["Id"])[0]
    load = Load(connected, sample["AccountId"], line["Product2Id"])
    load.start()
    processes: list[int] = []
    for moment in moments(20261122):
        process = start(connected, tmp_path, moment)
        processes.append(process.pid)
        assert process.wait(60) == -9, (
            f"it did not die at {moment}: {(tmp_path / 'listener.log').read_text()[-2000:]}"
        )
    load.stop()
    survivor = start(connected, tmp_path, "never")
    processes.append(survivor.pid)
    try:
        numbers = {order["OrderNumber"]: order["Id"] for order in load.orders}
        assert len(numbers) >= KILLS

        def all_shown() -> bool:
            rows = {row["Id"]: row for row in connected.salesforce("Order")}
            return all(rows[each].get("BC_Order_Number__c") for each in numbers.values())

        wait_for(all_shown, 60)
        time.sleep(1)
        written = connected.orders_by_reference()
    finally:
        survivor.kill()
        survivor.wait(10)

    assert {number: len(written[number]) for number in numbers} == dict.fromkeys(numbers, 1)
    again = delivered_again(tmp_path / "received.jsonl", processes)
    assert len(again) == KILLS
    assert any(again), "no kill hit a response between its receipt and its storing"
    assert all(count == 1 for kill in again for count in kill.values()), again
