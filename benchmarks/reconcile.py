"""How long a reconciliation takes, and how flat its memory: `python benchmarks/reconcile.py [N…]`.

For each number of orders: fill a sandbox, hand all orders over with the main job, then reconcile in
a process of its own. Prints pairs, seconds, requests to each system and the peak memory of that
process; `python benchmarks/reconcile.py 25000 100000` is the claim of the documentation, and takes
most of its time for handing over the orders.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from measured_sandbox import measured_sandbox, peak_megabytes, run_child

from ml_connector.business_central import pacing
from ml_connector.configuration.connection_file import load_connection_file
from ml_connector.exchange.reconciliation import reconcile
from ml_connector.exchange.systems import Systems

SIZES = (1_000, 4_000)
LINES = 3


def child(file: Path) -> None:
    """Reconcile once and print the figures."""
    pacing.REQUESTS_PER_WINDOW = 1_000_000_000  # the vendor's rate is lifted on both sides
    settings = load_connection_file(file).settings
    before = peak_megabytes()
    with Systems.open(settings) as systems:
        begun = time.perf_counter()
        report = reconcile(systems)
        seconds = time.perf_counter() - begun
        print(
            json.dumps(
                {
                    "pairs": report.pairs,
                    "agree": report.agree,
                    "differences": len(report.findings),
                    "seconds": round(seconds, 1),
                    "salesforce_requests": systems.salesforce.requests_made,
                    "business_central_requests": systems.business_central.requests_made,
                    "mb_before": before,
                    "peak_mb": peak_megabytes(),
                }
            )
        )


def main() -> None:
    """Measure each size given, or two small ones."""
    if sys.argv[1:2] == ["child"]:
        child(Path(sys.argv[2]))
        return
    sizes = [int(text) for text in sys.argv[1:]] or SIZES
    with tempfile.TemporaryDirectory() as folder:
        for orders in sizes:
            customers = max(50, orders // 20)
            arguments = ("--orders", str(orders), "--customers", str(customers))
            with measured_sandbox(Path(folder), *arguments, "--lines", str(LINES)) as sandbox:
                file = sandbox.connection_file()
                run_child("connector_run.py", "core", str(file))
                print(json.dumps(run_child("reconcile.py", "child", str(file))), flush=True)


if __name__ == "__main__":
    main()
