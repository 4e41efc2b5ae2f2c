"""Time from an Order's activation to its sales order: `python benchmarks/event_latency.py`.

    [--orders N] [--rate PER_SECOND] [--latency SECONDS]

The sandbox answers each request after `--latency` seconds. A salesperson activates Orders one after
another while the flow `capture-changes` runs in a process of its own against a Prefect server of
its own. For each Order the time is taken from its activation to the answer of the POST that made
its sales order. What the connector adds is that time without those parts of it in which one of its
calls was under way or the debounce was waited for. Prints one JSON document; exit code 1 when a
target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # also when run as `python -m …`
from first_load import core, linked, start_prefect
from measured_sandbox import ROOT, MeasuredSandbox, measured_sandbox

from ml_connector.cli.local_stack import LocalStack

Document = dict[str, Any]
Span = tuple[float, float]
TARGETS = {"p50": 1.0, "p95": 3.0}
"""Seconds the connector may add."""

LONGEST_WAIT = 180.0
LISTENING_MINUTES = 30


# --- the process that listens ---


class Spans:
    """Notes when something was going on in this process."""

    def __init__(self) -> None:
        self.found: list[Document] = []
        self._lock = threading.Lock()

    @contextmanager
    def during(self, what: str, reference: str = "") -> Iterator[None]:
        """Note the span of the block."""
        begun = time.time()
        try:
            yield
        finally:
            with self._lock:
                span = {"what": what, "begun": begun, "ended": time.time()}
                self.found.append({**span, "reference": reference})


def watch(spans: Spans) -> None:
    """Note every call of a vendor, and the debounce, in this process only."""
    import httpx  # noqa: PLC0415
    from requests.adapters import HTTPAdapter  # noqa: PLC0415

    from tasks import changes  # noqa: PLC0415  # Prefect reads its settings when it is imported

    def watched(send: Callable[..., Any], body: Callable[[Any], bytes]) -> Callable[..., Any]:
        def sent(transport: Any, request: Any, *arguments: Any, **options: Any) -> Any:
            is_order = request.method == "POST" and "/salesOrders" in str(request.url)
            name = json.loads(body(request))["externalDocumentNumber"] if is_order else ""
            with spans.during("order" if is_order else "call", name):
                return send(transport, request, *arguments, **options)

        return sent

    httpx.HTTPTransport.handle_request = watched(  # type: ignore[method-assign]
        httpx.HTTPTransport.handle_request, lambda request: request.read()
    )
    HTTPAdapter.send = watched(HTTPAdapter.send, lambda request: request.body)  # type: ignore[method-assign]

    class Waiting:
        """The module asyncio as the capture sees it: its debounce is noted."""

        def __getattr__(self, name: str) -> Any:
            return getattr(asyncio, name)

        async def sleep(self, seconds: float) -> None:
            with spans.during("debounce"):
                await asyncio.sleep(seconds)

    changes.asyncio = Waiting()  # type: ignore[attr-defined]


def listen(file: Path) -> None:
    """Listen until standard input ends, then print what was noted."""
    from flows.change_capture import capture_changes  # noqa: PLC0415
    from ml_connector.cli.connect import connect_file  # noqa: PLC0415

    spans = Spans()
    watch(spans)

    async def until_told() -> None:
        name = str((await connect_file(file)).document["connection"])
        run = asyncio.ensure_future(capture_changes(name, LISTENING_MINUTES))
        await asyncio.to_thread(sys.stdin.readline)
        run.cancel()
        await asyncio.wait([run], timeout=30)

    asyncio.run(until_told())
    print(json.dumps(spans.found), flush=True)


# --- the measurement ---


def draft_orders(sandbox: MeasuredSandbox, count: int) -> list[str]:
    """Let a salesperson prepare that many Orders of three lines; returns their numbers."""
    accounts = linked(sandbox, "Account", "BC_Customer_Id__c")
    products = linked(sandbox, "Product2", "BC_Item_Id__c")
    numbers: list[str] = []
    for place in range(count):
        lines = [
            {"product": products[(place * 3 + line) % len(products)], "quantity": 1 + place % 5}
            for line in range(3)
        ]
        account = accounts[place % len(accounts)]
        made = sandbox.act("salesforce", "create_order", account=account, lines=lines)
        numbers.append(str(made["OrderNumber"]))
    return numbers


def activated(sandbox: MeasuredSandbox, numbers: Sequence[str], rate: float) -> dict[str, float]:
    """Activate the Orders at *rate* per second; returns when each one was."""
    at: dict[str, float] = {}
    begun = time.monotonic()
    for place, number in enumerate(numbers):
        time.sleep(max(0.0, begun + place / rate - time.monotonic()))
        at[number] = time.time()
        sandbox.act("salesforce", "activate_order", order=number)
    return at


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until *condition* holds; ends the program when it does not come."""
    deadline = time.monotonic() + LONGEST_WAIT
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} did not come in {LONGEST_WAIT:.0f} s")
        time.sleep(0.1)


def covered(spans: Sequence[Span], begun: float, ended: float) -> float:
    """Return for how many seconds between *begun* and *ended* at least one span was going on."""
    total, reached = 0.0, begun
    for first, last in sorted(spans):
        if last > reached and first < ended:
            total += min(last, ended) - max(first, reached)
            reached = min(max(reached, last), ended)
    return total


def distribution(values: Sequence[float]) -> Document:
    """Return the spread of *values* in seconds."""
    ordered = sorted(values)
    cuts = statistics.quantiles(ordered, n=100, method="inclusive")
    return {
        "p50": round(cuts[49], 3),
        "p90": round(cuts[89], 3),
        "p95": round(cuts[94], 3),
        "p99": round(cuts[98], 3),
        "most": round(ordered[-1], 3),
    }


def figures(at: dict[str, float], found: list[Document], stored: dict[str, float]) -> Document:
    """Return what the noted spans say about each activated Order."""
    answered = {each["reference"]: each for each in found if each["what"] == "order"}
    calls = [(each["begun"], each["ended"]) for each in found if each["what"] != "debounce"]
    pauses = [(each["begun"], each["ended"]) for each in found if each["what"] == "debounce"]
    rows: list[Document] = []
    for number, begun in at.items():
        order = answered[number]
        ended = order["ended"]
        others = covered([*calls, *pauses], begun, ended)
        vendors = covered(calls, begun, ended)
        rows.append(
            {
                "whole": ended - begun,
                "vendors": vendors,
                "debounce": others - vendors,
                "added": ended - begun - others,
                "until_stored": stored[number] - begun,
                "until_sent": order["begun"] - stored[number],
                "until_answered": ended - order["begun"],
            }
        )
    return {name: distribution([row[name] for row in rows]) for name in rows[0]}


def stored_at(file: Path, sandbox: MeasuredSandbox) -> dict[str, float]:
    """Return when the first change of each Order came into the ledger, by its number."""
    from sqlalchemy import create_engine, text  # noqa: PLC0415

    numbers = {row["Id"]: row["OrderNumber"] for row in sandbox.rows("salesforce", "Order")}
    engine = create_engine(f"sqlite:///{file.parent / 'ledger.db'}")
    query = text(
        "SELECT record_id, max(strftime('%J', received_at)) FROM changes "
        "WHERE entity = 'Order' AND source = 'event' GROUP BY record_id"
    )
    with engine.connect() as db:
        rows = db.execute(query).all()
    engine.dispose()
    return {
        str(numbers[key]): (float(day) - 2440587.5) * 86400 for key, day in rows if key in numbers
    }


def measure(folder: Path, args: argparse.Namespace) -> Document:
    """Load, listen, activate, and return the figures."""
    size = ("--customers", "40", "--items", "60", "--orders", "10", "--lines", "3")
    stack = LocalStack(folder)
    try:
        with measured_sandbox(folder, *size) as sandbox:
            file = sandbox.connection_file()
            core(sandbox, file)
            numbers = draft_orders(sandbox, args.orders + args.warm_up)
            environment = start_prefect(stack, folder, args.prefect_database)
            sandbox.add_latency(args.latency)
            listener = subprocess.Popen(
                [sys.executable, __file__, "--listen", str(file)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
                cwd=ROOT,
                text=True,
            )
            wait_for(lambda: sandbox.open_streams() >= 5, "the streams")

            def in_bc(wanted: Sequence[str]) -> bool:
                rows = sandbox.rows("business-central", "salesOrders")
                return set(wanted) <= {row["externalDocumentNumber"] for row in rows}

            warming, counted = numbers[: args.warm_up], numbers[args.warm_up :]
            activated(sandbox, warming, args.rate)
            wait_for(lambda: in_bc(warming), "the first orders")
            at = activated(sandbox, counted, args.rate)
            wait_for(lambda: in_bc(counted), "the orders")
            output, _ = listener.communicate("\n", timeout=120)
            return figures(at, json.loads(output.splitlines()[-1]), stored_at(file, sandbox))
    finally:
        stack.stop()


def main() -> None:
    """Measure and print; exit code 1 when a target is missed."""
    if sys.argv[1:2] == ["--listen"]:
        listen(Path(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--warm-up", type=int, default=10, help="Orders before the counted ones")
    parser.add_argument("--rate", type=float, default=5.0, help="activations per second")
    parser.add_argument("--latency", type=float, default=0.1, help="seconds added to each answer")
    parser.add_argument(
        "--prefect-database", default="", help="postgresql+asyncpg://… of an empty one, not SQLite"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="event-latency-") as temporary:
        found = measure(Path(temporary), args)
    met = all(found["added"][name] <= limit for name, limit in TARGETS.items())
    print(json.dumps({"size": vars(args), **found, "targets": TARGETS, "met": met}, indent=2))
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
