"""Examinations of the deployed main job: a Prefect server, a worker, killed runs and their retry.

Usage: python -m tests.examination.on_prefect [--runs N] [--first SEED] [--verbose]
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.conftest import start_sandbox, stop_sandbox
from tests.examination.checker import Checker, Expected
from tests.examination.examination import SANDBOX_ARGUMENTS, START, Result, keep_start
from tests.examination.faults import fault_rule
from tests.examination.prefect_stack import PrefectStack
from tests.examination.world import People, World

RUNS_TO_REST = 6
TELL_EVERY = 10
"""Runs between two lines of progress."""
QUIET_SEEDS = 5
"""After every so many seeds one more run has to write nothing."""


class PrefectExamination:
    """One server, one worker and one sandbox; each seed starts from its first state."""

    def __init__(self, folder: Path) -> None:
        self._sandbox = start_sandbox(folder / "sandbox", *SANDBOX_ARGUMENTS)
        self.world = World(self._sandbox.line["admin_url"])
        keep_start(self.world)
        file = Path(self._sandbox.line["connection_file"])
        self._ledger = file.parent / "ledger.db"
        self._stack = PrefectStack(folder)
        self._connection = "sandbox"
        self._stack.connect(file)
        self._stack.deploy(self._connection)
        self._stack.start_worker()

    def close(self) -> None:
        """End everything that was started."""
        self._stack.stop()
        self.world.close()
        stop_sandbox(self._sandbox)

    def run(self, seed: int) -> Result:
        """Let one run of `sync` get into trouble, retry it, and compare both sides."""
        world, chance, result = self.world, random.Random(seed), Result(seed, [])
        left = self._stack.end_flows()  # nobody may write into the next world what was in the last
        if left:
            result.story.append(f"{left} processes of the seed before still ran")
        world.restore(START)
        for ending in ("", "-wal", "-shm"):
            Path(f"{self._ledger}{ending}").unlink(missing_ok=True)
        before = {row["number"] for row in world.business_central("customers")}
        people = People(world, chance)
        self._trouble(chance, result)
        failed = self._disturbed_run(chance, result)
        world.no_faults()
        for _ in range(chance.randint(0, 2)):
            people.do_something()
        result.story += people.log
        people.settle()
        expected = Expected(people.edited, people.touched, before)
        result.complaints = self._rest(failed, expected, result)
        if result.passed and seed % QUIET_SEEDS == 0:
            result.complaints = self._idle(result)
        return result

    def _trouble(self, chance: random.Random, result: Result) -> None:
        for system in ("business-central", "salesforce"):
            rules = [fault_rule(chance, system) for _ in range(chance.randint(0, 2))]
            if rules:
                result.story.append(f"{system}: {rules}")
                self.world.faults(system, rules)

    def _disturbed_run(self, chance: random.Random, result: Result) -> str:
        """Start `sync`, sometimes twice, kill it after so many writes; return the run to retry."""
        stack = self._stack
        runs = [stack.start_run("sync", self._connection) for _ in range(chance.choice((1, 1, 2)))]
        what = chance.choice(("nothing", "kill flow", "kill flow", "kill worker"))
        after = chance.randint(0, 35)
        result.story.append(f"{len(runs)} runs; {what} after {after} writes")
        done: list[str] = []

        def meanwhile() -> None:
            if done or what == "nothing" or len(self.world.writes()) < after:
                return
            if what == "kill worker":
                self._lose_worker(runs)
                done.append(what)
            elif stack.kill_flow():
                done.append(what)
            if done:
                result.story.append(f"  done: {what} after {len(self.world.writes())} writes")

        for run in runs:
            ended = stack.wait(run, meanwhile)
            result.story.append(f"  ended: {ended.state} {ended.message[:300]}")
        return runs[0]

    def _lose_worker(self, runs: list[str]) -> None:
        """Kill the worker with its runs; they stay Running until an operator says otherwise."""
        self._stack.kill_worker()
        for run in runs:
            if self._stack.run(run).state in ("RUNNING", "PENDING"):
                self._stack.set_state(run, "CRASHED", "Crashed")
        self._stack.start_worker()

    def _rest(self, failed: str, expected: Expected, result: Result) -> list[str]:
        """Retry the run, then run again, until the checker has no complaint."""
        complaints: list[str] = []
        stack = self._stack
        for count in range(RUNS_TO_REST):
            run = failed
            if count == 0 and stack.run(run).state in ("FAILED", "CRASHED"):
                result.story.append(f"  retried: {stack.run(run).state}")
                stack.retry(run)
            else:
                run = stack.start_run("sync", self._connection)
            ended = stack.wait(run)
            result.story.append(f"  retry {count}: {ended.state} {ended.message[:300]}")
            url = f"sqlite:///{self._ledger}"
            complaints = Checker(self.world, url, expected).check()
            if ended.state != "COMPLETED":
                complaints.append(f"a quiet run ended {ended.state}: {ended.message}")
            if not complaints:
                return []
        return complaints

    def _idle(self, result: Result) -> list[str]:
        count = len(self.world.writes())
        ended = self._stack.wait(self._stack.start_run("sync", self._connection))
        result.story.append(f"  idle: {ended.state}")
        written = self.world.writes()[count:]
        return [f"an idle run wrote {row['operation']} {row['entity']}" for row in written]


def main() -> int:
    """Run the examinations and print their result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--verbose", action="store_true", help="tell the story of each run")
    arguments = parser.parse_args()
    failed: list[int] = []
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        examination = PrefectExamination(Path(directory))
        try:
            for count in range(1, arguments.runs + 1):
                seed = arguments.first + count - 1
                result = examination.run(seed)
                if not result.passed:
                    failed.append(seed)
                if arguments.verbose or not result.passed:
                    _tell(f"{time.monotonic() - started:.0f} s {result}")
                if count % TELL_EVERY == 0:
                    _tell(f"{count} runs, {len(failed)} failed")
        finally:
            examination.close()
    seconds = time.monotonic() - started
    _tell(f"{arguments.runs} runs on Prefect, {len(failed)} failed {failed}, {seconds:.0f} s")
    return 1 if failed else 0


def _tell(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # a command's output


if __name__ == "__main__":
    sys.exit(main())
