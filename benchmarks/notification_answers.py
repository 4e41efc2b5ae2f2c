"""How fast the receiver answers a busy company: `python benchmarks/notification_answers.py`.

A thousand notifications at a hundred a second over eight connections, every tenth forged, to a
receiver in a process of its own. Each comes right after a request that stores nothing, so that what
the computer itself adds is measured beside it. Also checked: every genuine one is in the ledger
when its answer comes, no forged one ever. Three rounds; prints one JSON document; exit code 1 when
a record fared wrongly or the median round's p99 is above its limit.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

sys.path.insert(0, str(Path(__file__).parent.parent))  # the receiver's process is a part of tests

from ml_connector.ledger.ledger import ConnectionLedger, Ledger
from tests.integration.receiver.conftest import body_of, item
from tests.integration.receiver.receiver_process import start

NUMBER = 1_000
PER_SECOND = 100
LANES = 8
ROUNDS = 3
LONGEST_P99 = 0.1


@dataclass(slots=True)
class Measured:
    """Answer times of notifications and of empty requests, and the records that fared wrongly."""

    seconds: list[float] = field(default_factory=list)
    empty: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def send_all(url: str, ledger: ConnectionLedger, number: int, per_second: float) -> Measured:
    """Send *number* notifications at the pace, each after an empty request."""
    sent = [(str(uuid4()), place % 10 == 0) for place in range(number)]
    measured = Measured()
    began = time.monotonic()

    def lane(offset: int) -> None:
        with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
            for place in range(offset, number, LANES):
                record, forged = sent[place]
                fields = {"clientState": "guess"} if forged else {}
                body = body_of(item(record=record, **fields))
                time.sleep(max(0.0, began + place / per_second - time.monotonic()))
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


def measure(number: int, per_second: float) -> Measured:
    """Send everything to a new receiver with an empty ledger."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'ledger.db'}"
        process, address = start(url)
        try:
            with Ledger.open(url) as store:
                return send_all(address, store.connection("acme"), number, per_second)
        finally:
            process.kill()
            process.wait(10)


def milliseconds(seconds: list[float]) -> dict[str, float]:
    """Return the spread of answer times."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    found = {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "most": max(seconds)}
    return {name: round(value * 1000, 1) for name, value in found.items()}


def main() -> None:
    """Measure and print."""
    rounds: list[dict[str, Any]] = []
    for _ in range(ROUNDS):
        found = measure(NUMBER, PER_SECOND)
        rounds.append(
            {
                "answer_ms": milliseconds(found.seconds),
                "empty_request_ms": milliseconds(found.empty),
                "wrong": len(found.wrong),
            }
        )
    p99 = statistics.median(each["answer_ms"]["p99"] for each in rounds)
    met = p99 <= LONGEST_P99 * 1000 and not any(each["wrong"] for each in rounds)
    print(json.dumps({"rounds": rounds, "p99_ms": p99, "met": met}, indent=2))
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
