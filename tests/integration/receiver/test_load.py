"""Notifications at the pace of a busy company, some of them forged."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx

from ml_connector.ledger.ledger import ConnectionLedger, Ledger
from tests.integration.receiver.conftest import body_of, item
from tests.integration.receiver.receiver_process import start

NUMBER = 1_000
PER_SECOND = 100
LANES = 8
LONGEST_P99 = 0.1
"""What the receiver may take beyond an empty request of the same moment: what a busy computer adds
to any answer is measured with it."""


@dataclass(slots=True)
class Measured:
    """Answer times of notifications and of empty requests, and the records that fared wrongly."""

    seconds: list[float] = field(default_factory=list)
    empty: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def p99(seconds: list[float]) -> float:
    """The time that 99 of 100 stay below."""
    return sorted(seconds)[len(seconds) * 99 // 100]


def send_all(url: str, ledger: ConnectionLedger) -> Measured:
    """Send them at the pace, each after an empty request."""
    sent = [(str(uuid4()), number % 10 == 0) for number in range(NUMBER)]
    measured = Measured()
    began = time.monotonic()

    def lane(offset: int) -> None:
        with httpx.Client(base_url=url, trust_env=False) as client:
            for number in range(offset, NUMBER, LANES):
                record, forged = sent[number]
                fields = {"clientState": "guess"} if forged else {}
                body = body_of(item(record=record, **fields))
                time.sleep(max(0.0, began + number / PER_SECOND - time.monotonic()))
                first = time.perf_counter()
                client.put("/")
                second = time.perf_counter()
                status = client.post("/", content=body).status_code
                measured.empty.append(second - first)
                measured.seconds.append(time.perf_counter() - second)
                stored = len(ledger.changes_of(record))
                if status != 202 or stored != (0 if forged else 1):
                    measured.wrong.append(record)

    lanes = [threading.Thread(target=lane, args=(offset,)) for offset in range(LANES)]
    for thread in lanes:
        thread.start()
    for thread in lanes:
        thread.join()
    return measured


def test_a_thousand_at_a_hundred_a_second_with_forgeries(tmp_path: Path) -> None:
    """Each genuine one is stored before its answer, no forged one ever, p99 at most 100 ms."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    process, address = start(url)
    try:
        with Ledger.open(url) as store:
            measured = send_all(address, store.connection("acme"))
    finally:
        process.kill()
        process.wait(10)

    assert measured.wrong == []
    assert p99(measured.seconds) <= p99(measured.empty) + LONGEST_P99
