"""A sandbox whose requests are counted, and the child programs measured against it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import httpx

from ml_connector import wire_json

ROWS_PER_LOAD = 5_000

HERE = Path(__file__).parent
ROOT = HERE.parent

LIFTED = {
    "business-central": {"rate_limit": 1_000_000_000},
    "salesforce": {"daily_api_requests": 1_000_000_000, "logins_per_hour": 1_000_000},
}
"""Vendor limits on the number of requests; the five requests in flight of BC stay."""

SIGNING_IN = {"token", "discovery", "identity"}

Document = dict[str, Any]


class MeasuredSandbox:
    """Both systems in processes of their own, with a first state to go back to."""

    def __init__(self, process: subprocess.Popen[bytes], line: Document, folder: Path) -> None:
        self._process = process
        self._folder = folder
        self._runs = 0
        self.line = line
        self._admin = httpx.Client(base_url=line["admin_url"], trust_env=False, timeout=300)
        for system, switches in LIFTED.items():
            self._post(f"/{system}/switches", switches)
        self._post("/snapshot", {"name": "fresh"})

    def _post(self, path: str, body: Any) -> Any:
        return self._admin.post(path, json=body).raise_for_status().json()

    def restore(self, latency: float) -> None:
        """Go back to the first state, with *latency* seconds added to every answer."""
        self._post("/restore", {"name": "fresh"})
        self.add_latency(latency)

    def add_latency(self, seconds: float) -> None:
        """Add *seconds* to every answer from now on."""
        self._post("/latency", {"seconds": seconds})

    def open_streams(self) -> int:
        """Return how many streams of change events are open."""
        return len(self.act("salesforce", "pubsub_streams")["streams"])

    def count_from_zero(self) -> None:
        """Forget the requests so far."""
        self._post("/traffic/reset", {})

    def act(self, system: str, act: str, **arguments: Any) -> Any:
        """Let a rep or a clerk do something."""
        return self._post(f"/{system}/act", {"act": act, **arguments})

    def load(self, system: str, entity: str, rows: Iterable[Document]) -> None:
        """Take in valid rows in bulk, without a trace in the system's logs."""
        waiting = iter(rows)
        while part := list(islice(waiting, ROWS_PER_LOAD)):
            body = wire_json.encode({"entity": entity, "rows": part})
            self._admin.post(f"/{system}/load", content=body).raise_for_status()

    def rows(self, system: str, entity: str) -> list[Document]:
        """Return the stored rows of an entity."""
        body = self._admin.get(f"/{system}/records/{entity}").raise_for_status().json()
        rows: list[Document] = body["records"] if isinstance(body, dict) else body
        return rows

    def requests(self) -> dict[str, Counter[str]]:
        """Return the requests of each system by kind since the count began."""
        traffic = self._admin.get("/traffic").raise_for_status().json()
        return {system: Counter(numbers["kinds"]) for system, numbers in traffic.items()}

    def highest_concurrency(self) -> dict[str, int]:
        """Return how many requests each system had in hand at once."""
        traffic = self._admin.get("/traffic").raise_for_status().json()
        return {system: numbers["highest"] for system, numbers in traffic.items()}

    def last_write(self) -> dict[str, int]:
        """Return the place in each system's write log."""
        return {
            system: int(self._admin.get(f"/{system}/writes?since=1000000000").json()["last"])
            for system in LIFTED
        }

    def connection_file(self) -> Path:
        """Write a connection file with an empty ledger of its own and return it."""
        self._runs += 1
        folder = self._folder / f"run{self._runs}"
        folder.mkdir()
        source = Path(self.line["connection_file"])
        text = source.read_text(encoding="utf-8")
        text = re.sub(r'"(file:)?([\w.]+\.(?:secret|pem))"', rf'"\1{source.parent}/\2"', text)
        text = re.sub(r"sqlite:///[^\"]+", f"sqlite:///{folder}/ledger.db", text)
        text = re.sub(r'^name = ".*"', 'name = "first-load"', text, flags=re.MULTILINE)
        file = folder / "connection.toml"
        file.write_text(text, encoding="utf-8")
        return file


@contextmanager
def measured_sandbox(folder: Path, *arguments: str) -> Iterator[MeasuredSandbox]:
    """Start a sandbox with its records seeded as *arguments* say; it ends with the block."""
    place = Path(tempfile.mkdtemp(prefix="sandbox-", dir=folder))
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "ml_connector.sandbox", "--watch-stdin", "--plain"),
            *("--dir", str(place / "systems"), *arguments),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    if process.stdout is None:
        raise RuntimeError("the sandbox was started without a pipe")
    try:
        text = process.stdout.readline()
        if not text:
            raise RuntimeError(f"the sandbox did not start: exit code {process.wait(60)}")
        yield MeasuredSandbox(process, json.loads(text), place)
    finally:
        process.terminate()
        process.wait(30)


def run_child(
    program: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> Document:
    """Run a program of this folder to its end and return the JSON document it prints."""
    done = subprocess.run(
        [sys.executable, str(HERE / program), *arguments],
        stdout=subprocess.PIPE,
        env=None if environment is None else dict(environment),
        cwd=ROOT,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{program} {' '.join(arguments)} ended with {done.returncode}")
    document: Document = json.loads(done.stdout.splitlines()[-1])
    return document


def peak_megabytes() -> float:
    """Return the largest resident memory this process has had so far."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return round(int(found[1]) / 1024, 1) if found else 0.0
