"""How fast change events go into the ledger: `python benchmarks/event_drain.py [EVENTS …]`.

The same stream is read three times: by the connector, which stores every response durably with its
position before it asks for more, and by two clients of others that only decode. Prints events per
second, the ratios, and the connector's peak memory for each number of events.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
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
MOST_OF_EACH = {"aiosfpubsub": 500}
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


def measured(command: list[str], environment: dict[str, str]) -> dict[str, Any]:
    """Run a client and return what it printed."""
    done = subprocess.run(
        command, cwd=CLIENTS, env=environment, stdout=subprocess.PIPE, check=True, timeout=600
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
    """Read *count* new events with every reader and print what came out."""
    file = org.line["connection_file"]
    position = position_now(file, org)
    org.act("pubsub_fill", entity=ENTITY, count=count)
    settings = {
        **org.line["salesforce"],
        "ca_file": org.line["ca_file"],
        "topic": topic_of(ENTITY),
        "count": count,
        "replay_id": position.hex(),
        "replay_number": int.from_bytes(position[:8], "big"),
        "access_token": token(file),
    }
    environment = {
        **os.environ,
        "NODE_EXTRA_CA_CERTS": org.line["ca_file"],
        "PYTHONPATH": str(CLIENTS / "build" / "python"),
    }
    own = subprocess.run(
        [sys.executable, __file__, "--drain", file, position.hex(), str(count)],
        stdout=subprocess.PIPE,
        check=True,
        timeout=600,
        cwd=ROOT,
    )
    ours = json.loads(own.stdout.splitlines()[-1])
    rate = count / ours["seconds"]
    print(
        f"{count} events: ml-connector, stored durably: {rate:,.0f}/s in {ours['transactions']} "
        f"transactions; memory {ours['memory_mb']:.0f} MB, grown by {ours['growth_mb']:.0f} MB"
    )
    for name, command in clients().items():
        asked = {**settings, "count": min(count, MOST_OF_EACH.get(name, count))}
        theirs = measured(command, {**environment, "SANDBOX": json.dumps(asked)})
        their_rate = theirs["events"] / theirs["seconds"]
        print(f"  {name}, decoded only: {their_rate:,.0f}/s; ratio {rate / their_rate:.2f}")


if __name__ == "__main__":
    main()
