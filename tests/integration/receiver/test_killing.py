"""A receiver that is killed loses nothing that it called received."""

from __future__ import annotations

import random
import signal
import threading
import time
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from ml_connector.ledger.ledger import Ledger
from tests.integration.receiver.conftest import body_of, item
from tests.integration.receiver.receiver_process import start


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_was_answered_is_stored(tmp_path: Path, seed: int) -> None:
    """Killed at a seeded moment under load, every record answered with 202 is in the ledger."""
    ledger_url = f"sqlite:///{tmp_path / 'ledger.db'}"
    process, url = start(ledger_url)
    answered: list[str] = []

    def load() -> None:
        with httpx.Client(base_url=url, trust_env=False) as client:
            while True:
                record = str(uuid4())
                try:
                    answer = client.post("/", content=body_of(item(record=record)))
                except httpx.TransportError:
                    return
                if answer.status_code == 202:
                    answered.append(record)

    lanes = [threading.Thread(target=load) for _ in range(4)]
    for lane in lanes:
        lane.start()
    time.sleep(random.Random(seed).uniform(0.5, 1.5))
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    for lane in lanes:
        lane.join(10)

    assert answered
    with Ledger.open(ledger_url) as store:
        rows = store.connection("acme").pending_changes(
            "business_central", "salesOrders", limit=1_000_000
        )
    assert set(answered) <= {row.record_id for row in rows}


def test_a_polite_end_finishes_what_is_under_way(tmp_path: Path) -> None:
    """SIGTERM ends the receiver with exit code 0."""
    process, url = start(f"sqlite:///{tmp_path / 'ledger.db'}")
    httpx.post(url, content=body_of(item()), trust_env=False).raise_for_status()

    process.terminate()

    assert process.wait(20) == 0
