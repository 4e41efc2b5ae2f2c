"""Requests per record, speed, memory and orchestration of a first load, as one JSON document.

    python benchmarks/first_load.py [--quick] [--accounts N] [--items N] [--orders N] [--latency S]

Everything runs on this computer: the sandbox's two systems with injected latency and without limits
on the number of requests (BC's five in flight stay), and each measured run in a process of its own.
Every run begins with the sandbox's first state and an empty ledger. `--only` runs single parts.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from ml_connector.cli.local_stack import (
    LocalStack,
    bare_environment,
    free_port,
    wait_until_healthy,
)
from ml_connector.cli.prefect_environment import CLIENT, server_settings

sys.path.insert(0, str(Path(__file__).parent))  # also when run as `python -m benchmarks.first_load`
from measured_sandbox import SIGNING_IN, MeasuredSandbox, measured_sandbox, run_child

Document = dict[str, Any]
LOOK_UPS = {"GET salesOrders", "GET salesInvoices", "GET salesShipments"}
PARTS = ("requests", "idle", "speed", "memory")


def arguments() -> argparse.Namespace:
    """Return what to measure and at which size."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--accounts", type=int, default=2000)
    parser.add_argument("--items", type=int, default=500)
    parser.add_argument("--orders", type=int, default=1000)
    parser.add_argument("--lines", type=int, default=5)
    parser.add_argument("--latency", type=float, default=0.05, help="seconds added to each answer")
    parser.add_argument("--repeats", type=int, default=3, help="runs of which the median counts")
    parser.add_argument("--sample", type=int, default=100, help="records the baseline is timed on")
    parser.add_argument("--new-orders", type=int, default=200)
    parser.add_argument("--pairs", type=int, default=5000, help="linked pairs of the idle sync")
    parser.add_argument("--many", type=int, default=10, help="memory at so many times the orders")
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything, one run")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.accounts, chosen.items, chosen.orders = 200, 50, 100
        chosen.repeats, chosen.sample, chosen.new_orders, chosen.pairs = 1, 20, 100, 500
    return chosen


def core(sandbox: MeasuredSandbox, file: Path) -> Document:
    """Run the main job once in a process of its own."""
    del sandbox
    return run_child("connector_run.py", "core", str(file))


def seeded(args: argparse.Namespace, orders: int, accounts: int | None = None) -> tuple[str, ...]:
    """Return the sandbox's arguments for that many orders."""
    return (
        *("--customers", str(accounts or args.accounts), "--items", str(args.items)),
        *("--orders", str(orders), "--lines", str(args.lines)),
    )


def total(requests: dict[str, Counter[str]]) -> int:
    """Return all requests, sign-ins included."""
    return sum(sum(kinds.values()) for kinds in requests.values())


def business(kinds: Counter[str]) -> Counter[str]:
    """Return the requests that are no sign-in."""
    return Counter({kind: n for kind, n in kinds.items() if kind not in SIGNING_IN})


# --- requests per record ---


def idle_sync(sandbox: MeasuredSandbox, file: Path) -> tuple[dict[str, Counter[str]], int]:
    """Run once with nothing to do; returns the requests and the number of records written."""
    before = sandbox.last_write()
    sandbox.count_from_zero()
    core(sandbox, file)
    requests = sandbox.requests()
    after = sandbox.last_write()
    return requests, sum(after[system] - before[system] for system in after)


def linked(sandbox: MeasuredSandbox, sobject: str, field: str) -> list[str]:
    """Return the ids of the Salesforce records that show their partner in BC."""
    return [row["Id"] for row in sandbox.rows("salesforce", sobject) if row.get(field)]


def new_orders(sandbox: MeasuredSandbox, args: argparse.Namespace) -> None:
    """Let a salesperson close that many Orders with lines of products that are sold already."""
    accounts = linked(sandbox, "Account", "BC_Customer_Id__c")
    products = linked(sandbox, "Product2", "BC_Item_Id__c")
    for number in range(args.new_orders):
        picked = [
            products[(number * args.lines + line) % len(products)] for line in range(args.lines)
        ]
        sandbox.act(
            "salesforce",
            "create_order",
            account=accounts[number % len(accounts)],
            activate=True,
            lines=[{"product": each, "quantity": 1 + number % 7} for each in picked],
        )


def shipped(sandbox: MeasuredSandbox, count: int) -> int:
    """Let the clerk ship that many sales orders; returns how many were."""
    orders = sandbox.rows("business-central", "salesOrders")[:count]
    for order in orders:
        sandbox.act("business-central", "ship", order=order["number"])
    return len(orders)


def requests_per_record(sandbox: MeasuredSandbox, args: argparse.Namespace) -> Document:
    """Count the requests of new orders and of status updates, beyond those of an idle run."""
    sandbox.restore(0)
    file = sandbox.connection_file()
    core(sandbox, file)
    core(sandbox, file)
    idle, _ = idle_sync(sandbox, file)
    new_orders(sandbox, args)
    sandbox.count_from_zero()
    report = core(sandbox, file)
    asked = sandbox.requests()
    written = report["by_kind"]["order"]["written"]
    more = business(asked["business-central"]) - business(idle["business-central"])
    look_ups = sum(count for kind, count in more.items() if kind in LOOK_UPS)
    moved = shipped(sandbox, args.new_orders)
    sandbox.count_from_zero()
    core(sandbox, file)
    salesforce = sandbox.requests()["salesforce"]
    writes = sum(n for kind, n in salesforce.items() if kind == "composite/sobjects write")
    return {
        "new_orders": {
            "orders": written,
            "business_central": dict(more),
            "per_order_without_look_ups": round((more.total() - look_ups) / max(written, 1), 3),
            "look_ups_per_50_orders": round(look_ups * 50 / max(written, 1), 2),
        },
        "status_updates": {
            "orders": moved,
            "salesforce_write_calls": writes,
            "records_per_call": round(moved / max(writes, 1), 1),
        },
    }


def idle_figures(folder: Path, args: argparse.Namespace) -> Document:
    """Count what a sync does that has nothing to do, over the pairs asked for."""
    pairs = args.pairs
    size = ("--customers", str(pairs // 2), "--items", str(pairs // 5), "--orders", str(pairs // 5))
    with measured_sandbox(folder, *size, "--lines", "1") as sandbox:
        file = sandbox.connection_file()
        first = core(sandbox, file)
        shipped(sandbox, 50)
        core(sandbox, file)
        requests, writes = idle_sync(sandbox, file)
    linked = sum(
        states["written"] + states["unchanged"]
        for kind, states in first["by_kind"].items()
        if kind != "status"
    )
    return {
        "linked_pairs": linked,
        "reads": total(requests),
        "writes": writes,
        "requests": {system: dict(kinds) for system, kinds in requests.items()},
    }


# --- speed ---


def medians(runs: list[Document]) -> Document:
    """Return the median of several runs, and the spread of their times."""
    times = sorted(run["seconds"] for run in runs)
    return {
        "seconds": statistics.median(times),
        "fastest": times[0],
        "slowest": times[-1],
        "runs": len(runs),
        "cpu_seconds": statistics.median(run["cpu_seconds"] for run in runs),
        "peak_mb": statistics.median(run["peak_mb"] for run in runs),
    }


def measured(
    sandbox: MeasuredSandbox, args: argparse.Namespace, kind: str, environment: dict[str, str]
) -> Document:
    """Run the first load on the sandbox's first state with latency."""
    sandbox.restore(args.latency)
    file = sandbox.connection_file()
    run = run_child("connector_run.py", kind, str(file), environment=environment)
    run["requests"] = total(sandbox.requests())
    run["highest_concurrency"] = sandbox.highest_concurrency()
    return run


def speed(folder: Path, sandbox: MeasuredSandbox, args: argparse.Namespace) -> Document:
    """Time the flow, the same work without Prefect in turns, and the baseline on a sample."""
    stack = LocalStack(folder)
    try:
        environment = start_prefect(stack, folder)
        cores: list[Document] = []
        flows: list[Document] = []
        for _ in range(args.repeats):
            cores.append(measured(sandbox, args, "core", bare_environment({})))
            flows.append(measured(sandbox, args, "flow", environment))
    finally:
        stack.stop()
    sandbox.restore(args.latency)
    plain = run_child(
        "plain_baseline.py", str(sandbox.connection_file()), str(args.sample), str(args.sample)
    )
    by_kind = flows[-1]["by_kind"]
    customers, orders = by_kind["customer"]["written"], by_kind["order"]["written"]
    baseline = (
        customers * plain["customers"]["seconds_per_record"]
        + orders * plain["orders"]["seconds_per_record"]
    )
    core_run, flow_run = medians(cores), medians(flows)
    records = customers + orders
    return {
        "records": {kind: states["written"] for kind, states in by_kind.items()},
        "flow": flow_run,
        "without_prefect": core_run,
        "orchestration_share": round(
            (flow_run["seconds"] - core_run["seconds"]) / flow_run["seconds"], 3
        ),
        "share_outside_core": round(
            statistics.median(1 - run["core_seconds"] / run["seconds"] for run in flows), 3
        ),
        "baseline": {
            "seconds": round(baseline, 1),
            "timed_on": plain,
            "requests_per_customer": plain["customers"]["requests_per_record"],
            "requests_per_order": plain["orders"]["requests_per_record"],
        },
        "connector_requests": flows[-1]["requests"],
        "connector_requests_per_customer_or_order": round(flows[-1]["requests"] / records, 2),
        "highest_concurrency": flows[-1]["highest_concurrency"],
        "times_faster_than_baseline": round(baseline / flow_run["seconds"], 2),
    }


def start_prefect(stack: LocalStack, folder: Path, database: str = "") -> dict[str, str]:
    """Start a Prefect server as the connector's own commands do; returns its clients' settings.

    *database* is the url of an empty one in PostgreSQL; without it the server's is in SQLite.
    """
    port, home = free_port(), folder / "prefect"
    url = f"http://127.0.0.1:{port}/api"
    environment = bare_environment(
        {**CLIENT, **server_settings(home), "PREFECT_HOME": str(home), "PREFECT_API_URL": url}
    )
    command = [
        *(sys.executable, "-m", "prefect", "server", "start"),
        *("--host", "127.0.0.1", "--port", str(port), "--no-ui"),
    ]
    kept = {"PREFECT_API_DATABASE_CONNECTION_URL": database} if database else {}
    server = stack.start("prefect-server", command, environment={**environment, **kept}, cwd=folder)
    wait_until_healthy(f"{url}/health", server, 180)
    return {**environment, "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING"}


# --- memory ---


def memory(folder: Path, args: argparse.Namespace) -> Document:
    """Compare the peak memory of the connector at many orders with that at few."""
    peaks: dict[int, Document] = {}
    for orders in (args.orders, args.orders * args.many):
        with measured_sandbox(folder, *seeded(args, orders)) as sandbox:
            sandbox.restore(0)
            run = core(sandbox, sandbox.connection_file())
        peaks[orders] = {"peak_mb": run["peak_mb"], "seconds": run["seconds"]}
    few, many = peaks.values()
    return {
        "by_orders": peaks,
        "ratio": round(many["peak_mb"] / few["peak_mb"], 3),
    }


# --- all of it ---


def processor_seconds() -> list[int]:
    """Return how long all processors spent in each state since the start of the machine."""
    first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
    return [int(each) for each in first.split()[1:]]


def idle_share(before: list[int], after: list[int]) -> float:
    """Return the share of processor time nobody used: near 0 the machine was the limit."""
    spent = [now - then for now, then in zip(after, before, strict=True)]
    return round((spent[3] + spent[4]) / max(sum(spent[:8]), 1), 3)


def targets(found: Document) -> Document:
    """Return each figure that has a limit beside it."""
    limits: Document = {}

    def at_most(name: str, figure: float, limit: float) -> None:
        limits[name] = {"figure": figure, "at_most": limit, "met": figure <= limit}

    if "requests" in found:
        new, status = found["requests"]["new_orders"], found["requests"]["status_updates"]
        at_most("requests per new order", new["per_order_without_look_ups"], 1.1)
        at_most("look-ups per 50 new orders", new["look_ups_per_50_orders"], 3)
        calls = -(-status["orders"] // 200)
        at_most("calls for status updates", status["salesforce_write_calls"], calls)
    if "idle" in found:
        at_most("reads of an idle sync", found["idle"]["reads"], 30)
        at_most("writes of an idle sync", found["idle"]["writes"], 0)
    if "speed" in found:
        at_most("share of orchestration", found["speed"]["orchestration_share"], 0.1)
        times = found["speed"]["times_faster_than_baseline"]
        limits["times faster"] = {"figure": times, "at_least": 4, "met": times >= 4}
    if "memory" in found:
        at_most("memory at many orders over few", found["memory"]["ratio"], 1.25)
    return limits


def main() -> None:
    """Measure and print; exit code 1 when a target is missed."""
    args = arguments()
    parts = args.only or list(PARTS)
    begun, before = time.perf_counter(), processor_seconds()
    found: Document = {
        "machine": {
            "processors": len(os.sched_getaffinity(0)),
            "architecture": platform.machine(),
            "python": platform.python_version(),
        },
        "size": {name: value for name, value in vars(args).items() if name != "only"},
    }
    with tempfile.TemporaryDirectory(prefix="first-load-") as temporary:
        folder = Path(temporary)
        if "requests" in parts or "speed" in parts:
            with measured_sandbox(folder, *seeded(args, args.orders)) as sandbox:
                if "requests" in parts:
                    found["requests"] = requests_per_record(sandbox, args)
                if "speed" in parts:
                    found["speed"] = speed(folder, sandbox, args)
        if "idle" in parts:
            found["idle"] = idle_figures(folder, args)
        if "memory" in parts:
            found["memory"] = memory(folder, args)
    found["targets"] = targets(found)
    found["machine"]["idle_share"] = idle_share(before, processor_seconds())
    found["took_seconds"] = round(time.perf_counter() - begun)
    print(json.dumps(found, indent=2))
    sys.exit(0 if all(each["met"] for each in found["targets"].values()) else 1)


if __name__ == "__main__":
    main()
