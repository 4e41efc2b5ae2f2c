"""The long sweep: many seeds over sandboxes of its own; exit code 1 when one of them fails.

Usage: python -m tests.examination [--runs N] [--first SEED] [--lanes N] [--lose-ledger] [--verbose]
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import start_sandbox, stop_sandbox
from tests.examination.examination import (
    SANDBOX_ARGUMENTS,
    Examination,
    keep_start,
    settings_for,
)
from tests.examination.workers import warm_up
from tests.examination.world import World

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # a ledger there survives SIGKILL and costs no disk
TOLD_EVERY = 100


@dataclass(frozen=True)
class Lane:
    """The seeds one sandbox is examined with, one after another."""

    seeds: range
    loses_ledger: bool
    is_verbose: bool

    def run(self) -> list[int]:
        """Examine every seed and return those that failed."""
        memory = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
        failed: list[int] = []
        with tempfile.TemporaryDirectory(dir=memory) as directory:
            folder = Path(directory)
            sandbox = start_sandbox(folder / "sandbox", *SANDBOX_ARGUMENTS)
            world = World(sandbox.line["admin_url"])
            try:
                keep_start(world)
                file = sandbox.line["connection_file"]
                warm_up(settings_for(file, f"sqlite:///{folder / 'warm-up.db'}"))
                examination = Examination(world, file, folder)
                for count, seed in enumerate(self.seeds, start=1):
                    result = examination.run(seed, loses_ledger=self.loses_ledger)
                    if not result.passed:
                        failed.append(seed)
                    if self.is_verbose or not result.passed:
                        _tell(str(result))
                    if count % TOLD_EVERY == 0:
                        _tell(f"{self.seeds}: {count} runs, {len(failed)} failed")
            finally:
                world.close()
                stop_sandbox(sandbox)
        return failed


def _tell(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def main() -> int:
    """Run the sweep and print its result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--lanes", type=int, default=1, help="sandboxes examined side by side")
    parser.add_argument("--verbose", action="store_true", help="tell the story of each run")
    parser.add_argument("--lose-ledger", action="store_true", help="delete it, set it back")
    arguments = parser.parse_args()
    seeds = range(arguments.first, arguments.first + arguments.runs)
    lanes = [
        Lane(seeds[start :: arguments.lanes], arguments.lose_ledger, arguments.verbose)
        for start in range(min(arguments.lanes, arguments.runs))
    ]
    started = time.monotonic()
    with ProcessPoolExecutor(len(lanes), multiprocessing.get_context("fork")) as pool:
        failed = sorted(seed for lane in pool.map(Lane.run, lanes) for seed in lane)
    seconds = time.monotonic() - started
    _tell(f"{arguments.runs} runs, {len(failed)} failed {failed[:50]}, {seconds:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
