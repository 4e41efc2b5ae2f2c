"""The long sweep: many seeds on a sandbox of its own; exit code 1 when one of them fails.

Usage: python -m tests.examination [--runs N] [--first SEED] [--lose-ledger] [--verbose]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.conftest import start_sandbox, stop_sandbox
from tests.examination.examination import SANDBOX_ARGUMENTS, Examination, keep_start
from tests.examination.world import World


def main() -> int:
    """Run the sweep and print its result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--verbose", action="store_true", help="tell the story of each run")
    parser.add_argument("--lose-ledger", action="store_true", help="delete it, set it back")
    arguments = parser.parse_args()
    failed: list[int] = []
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        sandbox = start_sandbox(folder / "sandbox", *SANDBOX_ARGUMENTS)
        world = World(sandbox.line["admin_url"])
        try:
            keep_start(world)
            examination = Examination(world, sandbox.line["connection_file"], folder)
            for seed in range(arguments.first, arguments.first + arguments.runs):
                result = examination.run(seed, loses_ledger=arguments.lose_ledger)
                if not result.passed:
                    failed.append(seed)
                if arguments.verbose or not result.passed:
                    print(result, flush=True)  # noqa: T201
        finally:
            world.close()
            stop_sandbox(sandbox)
    seconds = time.monotonic() - started
    print(  # noqa: T201
        f"{arguments.runs} runs, {len(failed)} failed {failed[:50]}, {seconds:.0f} s", flush=True
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
