"""How long a reconciliation takes, and how flat its memory: `python benchmarks/reconcile.py [N…]`.

For each number of linked pairs: fill both systems and the ledger in bulk (`linked_book.py`), then
reconcile in a process of its own. Prints pairs, seconds, requests to each system and the peak
memory of that process; `python benchmarks/reconcile.py 10000 100000` is the claim of the
documentation. Ends with exit code 1 when quiet data do not agree.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from linked_book import make_book
from measured_sandbox import measured_sandbox, peak_megabytes, run_child

from ml_connector.business_central import pacing
from ml_connector.configuration.connection_file import load_connection_file
from ml_connector.exchange.reconciliation import reconcile
from ml_connector.exchange.systems import Systems

SIZES = (2_000, 10_000)
LINES = 2


def child(file: Path) -> None:
    """Reconcile once and print the figures."""
    settings = load_connection_file(file).settings
    before = peak_megabytes()
    with Systems.open(settings) as systems:
        begun = time.perf_counter()
        report = reconcile(systems)
        seconds = time.perf_counter() - begun
        print(
            json.dumps(
                {
                    "pairs": sum(report.pairs_by_kind.values()),
                    "pairs_by_kind": {str(kind): n for kind, n in report.pairs_by_kind.items()},
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
    pacing.REQUESTS_PER_WINDOW = 1_000_000_000  # the vendor's rate is lifted on both sides
    if sys.argv[1:2] == ["child"]:
        child(Path(sys.argv[2]))
        return
    sizes = [int(text) for text in sys.argv[1:]] or SIZES
    agreed = True
    with tempfile.TemporaryDirectory() as folder:
        for pairs in sizes:
            with measured_sandbox(Path(folder), "--empty") as sandbox:
                file = sandbox.connection_file()
                begun = time.perf_counter()
                with Systems.open(load_connection_file(file).settings) as systems:
                    make_book(sandbox, systems, pairs, LINES)
                made = round(time.perf_counter() - begun, 1)
                found = run_child("reconcile.py", "child", str(file))
                print(json.dumps({**found, "seconds_to_make": made}), flush=True)
                agreed = agreed and bool(found["agree"])
    sys.exit(0 if agreed else 1)


if __name__ == "__main__":
    main()
