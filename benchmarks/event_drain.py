"""How fast change events go into the ledger: `python benchmarks/event_drain.py [EVENTS …]`.

The same stream is read in three rounds by the connector, which stores every response durably with
its position before it asks for more, and by two clients of others that only decode. Prints events
per second, the ratios within each round, and the connector's peak memory for each number of events.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from measured_sandbox import ROOT
from pydantic import SecretStr

from ml_connector.changes.event_feed import EventFeed
from ml_connector.changes.feed_lease import FeedLease
from ml_connector.changes.feed_names import events_feed
from ml_connector.configuration.connection_file import load_connection_file
from ml_connector.exchange.systems import Systems
from ml_connector.salesforce.change_event import EventDecoder
from ml_connector.salesforce.event_stream import EventStream, topic_of

CLIENTS = ROOT / "tests" / "third_party" / "salesforce_events"
ENTITY = "Order"
NUMBERS = (5_000, 20_000, 50_000)
ROUNDS = 3
MOST_OF_EACH = {"aiosfpubsub": 200}
"""A client that parses the schema with every event is asked for few; its rate is what counts."""


class Org:
    """A sandbox whose events nobody has counted yet."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ml_connector.sandbox", "--watch-stdin", "--dir", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        if self._process.stdout is None:
            raise SystemExit("the sandbox has no output")
        self.line: dict[str, Any] = json.loads(self._process.stdout.readline())
        self._admin = httpx.Client(base_url=self.line["admin_url"], trust_env=False, timeout=300)

    def act(self, act: str, **arguments: Any) -> Any:
        """Let the org do something."""
        answer = self._admin.post("/salesforce/act", json={"act": act, **arguments})
        return answer.raise_for_status().json()

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(20)


def settings_for(connection_file: str, folder: Path) -> Any:
    """Return the sandbox's connection with a ledger in *folder*."""
    settings = load_connection_file(Path(connection_file)).settings
    return settings.model_copy(
        update={"ledger_url": SecretStr(f"sqlite:///{folder / 'ledger.db'}")}
    )


@contextmanager
def opened(connection_file: str) -> Iterator[Systems]:
    """Give the systems of the sandbox with a ledger of their own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Systems.open(settings_for(connection_file, Path(folder))) as systems,
    ):
        yield systems


def position_now(connection_file: str, org: Org) -> bytes:
    """Return a position right before the events to come."""
    with (
        opened(connection_file) as systems,
        EventStream(systems.settings.salesforce, systems.salesforce.auth) as stream,
    ):
        subscription = stream.subscribe(topic_of(ENTITY), None)
        subscription.ask(1)
        time.sleep(0.5)
        org.act("pubsub_fill", entity=ENTITY, count=1)
        batch = next(iter(subscription.batches()))
        subscription.cancel()
        return batch.position


def drain(connection_file: str, position: str, count: int) -> dict[str, Any]:
    """Store *count* events that come after *position*; returns how long it took."""
    stored = 0

    def note() -> None:
        nonlocal stored
        stored += 1

    with opened(connection_file) as systems:
        lease = FeedLease.take(systems)
        if lease is None:
            raise SystemExit("the ledger is not new")
        with systems.ledger.transaction() as tx:
            tx.move_checkpoint(events_feed(ENTITY), position, systems.clock.now())
        first = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with lease, EventStream(systems.settings.salesforce, systems.salesforce.auth) as stream:
            decoder = EventDecoder(stream.schema)
            feed = EventFeed(systems, stream, decoder, ENTITY, lease, note, lambda *_: None)
            thread = threading.Thread(target=feed.run, daemon=True)
            begun = time.perf_counter()
            thread.start()
            while pending(systems) < count and thread.is_alive():
                time.sleep(0.02)
            seconds = time.perf_counter() - begun
            feed.stop()
            thread.join(10)
        last = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "events": count,
        "seconds": seconds,
        "transactions": stored,
        "memory_mb": last / 1024,
        "growth_mb": (last - first) / 1024,
    }


def pending(systems: Systems) -> int:
    """Return how many changes are stored."""
    return systems.ledger.last_change_id()


def measured(
    command: list[str], environment: dict[str, str], folder: Path = CLIENTS
) -> dict[str, Any]:
    """Run a reader in *folder* and return the JSON document it printed last."""
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, check=True, timeout=600
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def clients() -> dict[str, list[str]]:
    """Return the commands of the clients of others that are installed."""
    found: dict[str, list[str]] = {}
    node = shutil.which("node")
    if node and (CLIENTS / "node_modules" / "salesforce-pubsub-api-client").is_dir():
        found["salesforce-pubsub-api-client"] = [node, "drain.mjs"]
    if (CLIENTS / "build" / "python" / "aiosfpubsub").is_dir():
        found["aiosfpubsub"] = [sys.executable, "drain_aiosfpubsub.py"]
    return found


def token(connection_file: str) -> str:
    """Return a session of the org."""
    with opened(connection_file) as systems:
        return systems.salesforce.auth.session().token


def main() -> None:
    """Measure each number of events with every reader, one after another."""
    if sys.argv[1:2] == ["--drain"]:
        print(json.dumps(drain(sys.argv[2], sys.argv[3], int(sys.argv[4]))))
        return
    numbers = [int(each) for each in sys.argv[1:]] or list(NUMBERS)
    with tempfile.TemporaryDirectory() as folder:
        org = Org(Path(folder))
        try:
            for count in numbers:
                compare(org, count)
        finally:
            org.close()


def compare(org: Org, count: int) -> None:
    """Read *count* new events in rounds, every reader in each, and print medians and spread.

    The sandbox writes an event's bytes when it is first read; a reading that is not counted comes
    before the rounds, so that nobody is timed while it does.
    """
    file = org.line["connection_file"]
    position = position_now(file, org)
    org.act("pubsub_fill", entity=ENTITY, count=count)
    settings = {
        **org.line["salesforce"],
        "ca_file": org.line["ca_file"],
        "topic": topic_of(ENTITY),
        "replay_id": position.hex(),
        "replay_number": int.from_bytes(position[:8], "big"),
    }
    environment = {
        **os.environ,
        "NODE_EXTRA_CA_CERTS": org.line["ca_file"],
        "PYTHONPATH": str(CLIENTS / "build" / "python"),
    }
    readers = clients()
    ours: list[dict[str, Any]] = []
    theirs: dict[str, list[float]] = {name: [] for name in readers}
    for number in range(ROUNDS + 1):
        found = own_drain(file, position, count)
        if number == 0:
            continue
        ours.append(found)
        for name, command in readers.items():
            asked = {
                **settings,
                "count": min(count, MOST_OF_EACH.get(name, count)),
                "access_token": token(file),
            }
            done = measured(command, {**environment, "SANDBOX": json.dumps(asked)})
            theirs[name].append(done["events"] / done["seconds"])
    rates = [count / each["seconds"] for each in ours]
    memory, growth = (max(each[key] for each in ours) for key in ("memory_mb", "growth_mb"))
    print(
        f"{count} events: ml-connector, stored durably: {spread(rates, ',.0f')}/s in "
        f"{ours[0]['transactions']} transactions; memory {memory:.0f} MB, grown by {growth:.0f} MB"
    )
    for name, found_rates in theirs.items():
        ratios = [own / other for own, other in zip(rates, found_rates, strict=True)]
        print(
            f"  {name}, decoded only: {spread(found_rates, ',.0f')}/s; "
            f"ratio {spread(ratios, '.2f')}"
        )


def own_drain(file: str, position: bytes, count: int) -> dict[str, Any]:
    """Drain in a process of its own and return what it printed."""
    command = [sys.executable, __file__, "--drain", file, position.hex(), str(count)]
    return measured(command, dict(os.environ), ROOT)


def spread(values: list[float], form: str) -> str:
    """Return the median of *values* with the least and the most."""
    low, high = min(values), max(values)
    return f"{statistics.median(values):{form}} ({low:{form}} to {high:{form}})"


if __name__ == "__main__":
    main()
