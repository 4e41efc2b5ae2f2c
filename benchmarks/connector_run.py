"""One measured run of the connector: `python benchmarks/connector_run.py core|flow FILE [TIMES]`.

`core` is the main job without Prefect, `flow` the Prefect flow `sync` on the API that the
environment names. Prints wall time, peak memory of this process, and what became of the records.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measured_sandbox import peak_megabytes

from ml_connector.business_central import pacing
from ml_connector.configuration.connection_file import load_connection_file
from ml_connector.exchange.sync import run_sync


class CoreTime:
    """Counts the seconds in which some thread is at the connector's own work."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._lock = threading.Lock()
        self._running = 0
        self._since = 0.0

    def __enter__(self) -> None:
        with self._lock:
            if not self._running:
                self._since = time.perf_counter()
            self._running += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._running -= 1
            if not self._running:
                self.seconds += time.perf_counter() - self._since


CORE_TIME = CoreTime()


def watch_threads() -> None:
    """Count what tasks hand to threads: vendor calls, mapping and ledger are done there."""
    hand_over = asyncio.to_thread

    async def watched(work: Callable[..., Any], /, *args: Any, **named: Any) -> Any:
        def counted() -> Any:
            with CORE_TIME:
                return work(*args, **named)

        return await hand_over(counted)

    asyncio.to_thread = watched  # type: ignore[assignment]  # for this measurement only


def core(file: Path) -> Callable[[], Any]:
    """Return the main job as a plain call."""
    settings = load_connection_file(file).settings
    return lambda: run_sync(settings)


def flow(file: Path) -> Callable[[], Any]:
    """Save the connection and return its `sync` flow as a plain call."""
    from flows.sync import sync  # noqa: PLC0415  # Prefect reads its settings when it is imported
    from ml_connector.cli.connect import connect_file  # noqa: PLC0415

    watch_threads()
    name = str(asyncio.run(connect_file(file)).document["connection"])
    return lambda: asyncio.run(sync(name))


def main() -> None:
    """Run once, or as often as asked on the same ledger, and print the figures of the last run."""
    kind, file = sys.argv[1], Path(sys.argv[2])
    times = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    pacing.REQUESTS_PER_WINDOW = 1_000_000_000  # the vendor's rate is lifted on both sides
    work = {"core": core, "flow": flow}[kind](file)
    report: Any = None
    seconds = 0.0
    for _ in range(times):
        CORE_TIME.seconds, begun = 0.0, time.perf_counter()
        report = work()
        seconds = time.perf_counter() - begun
    print(
        json.dumps(
            {
                "seconds": round(seconds, 2),
                "core_seconds": round(CORE_TIME.seconds, 2),
                "cpu_seconds": round(time.process_time(), 2),
                "peak_mb": peak_megabytes(),
                "exit_code": report.exit_code,
                "by_kind": report.by_kind,
            }
        )
    )


if __name__ == "__main__":
    main()
