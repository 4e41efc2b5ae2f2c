"""Several processes at once: one writer per record, no half transaction, one audit chain."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeAlias

import pytest

from ml_connector.domain.identifiers import Kind
from ml_connector.ledger.ledger import ConnectionLedger, Ledger, RunIds
from ml_connector.ledger.owner import this_process_owner

PROGRAM = Path(__file__).with_name("worker.py")

Start: TypeAlias = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(ledger_url: str) -> Iterator[Start]:
    """Start workers on the test's ledger; they are stopped at the end."""
    started: list[subprocess.Popen[str]] = []

    def begin(mode: str, argument: int = 0) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(PROGRAM), mode, ledger_url, str(argument)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def finish(process: subprocess.Popen[str]) -> list[str]:
    """Wait for a worker and return the lines it reported."""
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return output.split()


def said(process: subprocess.Popen[str]) -> str:
    """Return the next line a worker reports."""
    assert process.stdout
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str]) -> None:
    """Let a waiting worker go on."""
    assert process.stdin
    process.stdin.write("go on\n")
    process.stdin.flush()


def test_processes_that_open_an_empty_ledger_at_once_all_succeed(start: Start) -> None:
    """The schema is made once, whoever comes first."""
    processes = [start("open") for _ in range(4)]

    assert [finish(process) for process in processes] == [["opened"]] * 4


def test_two_workers_never_get_the_same_record(start: Start, ledger: ConnectionLedger) -> None:
    """Each of 200 orders is claimed by exactly one of two workers."""
    workers = [start("race", 200), start("race", 200)]
    assert [said(worker) for worker in workers] == ["ready", "ready"]
    for worker in workers:
        tell(worker)
    mine, theirs = ([*iter(partial(said, worker), "done")] for worker in workers)

    assert sorted(mine + theirs) == sorted(f"order-{number}" for number in range(200))
    assert ledger.verify_audit().entries == 200


def test_the_audit_chain_of_two_workers_is_one_chain(
    start: Start, ledger: ConnectionLedger
) -> None:
    """Entries appended at the same time follow one another without a gap."""
    processes = [start("append", 100) for _ in range(2)]
    for process in processes:
        finish(process)

    result = ledger.verify_audit()

    assert (result.ok, result.entries) == (True, 200)


def test_a_paused_worker_that_wakes_up_late_stores_nothing(
    start: Start, ledger: ConnectionLedger
) -> None:
    """After its lease ended and another worker took over, nothing of its commit remains."""
    paused = start("pause")
    assert said(paused) == "claimed"
    me = this_process_owner()
    deadline = time.monotonic() + 20
    fences: dict[str, int] = {}
    while not fences and time.monotonic() < deadline:
        with ledger.transaction() as tx:
            fences = tx.claim(Kind.ORDER, ["order-1"], me, 60)
        time.sleep(0.05)

    output, _ = paused.communicate("wake up\n", timeout=30)

    assert output.split() == ["stale"]
    assert ledger.record(Kind.ORDER, "order-1") is None
    assert ledger.verify_audit().entries == 0
    [left] = ledger.intents(Kind.ORDER, ["order-1"])["order-1"]
    assert (left.state, left.flow_run_id) == ("sent", "paused")


def test_a_live_worker_keeps_its_records_and_a_killed_one_loses_them_at_once(
    start: Start, ledger: ConnectionLedger
) -> None:
    """A dead process needs no lease to run out; its unfinished write is found by the next one."""
    stream = start("stream")
    said(stream)
    with ledger.transaction() as tx:
        owner = _owner_of(stream)
        tx.claim(Kind.ORDER, ["order-1"], owner, 3600)
    me = this_process_owner()
    with ledger.transaction() as tx:
        assert tx.claim(Kind.ORDER, ["order-1"], me, 60) == {}
    stream.kill()
    stream.wait()

    with ledger.transaction() as tx:
        fences = tx.claim(Kind.ORDER, ["order-1"], me, 60)

    assert fences == {"order-1": 2}


def _owner_of(process: subprocess.Popen[str]) -> str:
    """Return an owner name that stands for another process of this computer."""
    boot_id, namespace, _, _, name = this_process_owner().split(":")
    stat = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8")
    started = stat.rpartition(")")[2].split()[19]
    return f"{boot_id}:{namespace}:{process.pid}:{started}:{name}"


@pytest.mark.parametrize("after", [3, 17, 40])
def test_a_killed_worker_leaves_whole_transactions_only(
    start: Start, ledger: ConnectionLedger, after: int
) -> None:
    """Changes, records, audit and feed position agree after a kill at any moment."""
    stream = start("stream")
    for _ in range(after):
        reported = int(said(stream))
    stream.kill()
    rest, _ = stream.communicate()

    checkpoint = ledger.checkpoint("feed")

    stored = len(ledger.pending_ids("salesforce", "Order"))
    assert checkpoint
    assert stored >= max([reported, *map(int, rest.split())])
    assert int(checkpoint.position) == stored
    assert ledger.counts() == {"order": {"waiting": stored}}
    result = ledger.verify_audit()
    assert (result.ok, result.entries) == (True, stored)


def test_threads_of_one_process_store_side_by_side(store: Ledger) -> None:
    """Sixteen threads, each with its own transactions, lose nothing."""
    ledger = store.connection("acme")
    now = datetime.now(UTC)

    def work(number: int) -> int:
        owner = this_process_owner()
        for step in range(10):
            key = f"{number}-{step}"
            with ledger.transaction() as tx:
                fence = tx.claim(Kind.ORDER, [key, "shared"], owner, 60)[key]
                intent = tx.open_intent(Kind.ORDER, key, "create", key, {}, "hash", RunIds(), fence)
                tx.mark_sent(intent.id, now)
            with ledger.transaction() as tx:
                tx.close_intent(intent.id, "done", key)
            assert ledger.intents(Kind.ORDER, [key]) == {}
        return number

    with ThreadPoolExecutor(16) as pool:
        assert sorted(pool.map(work, range(16))) == list(range(16))
