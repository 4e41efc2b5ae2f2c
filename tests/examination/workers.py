"""Run the main job in processes of its own, to be killed and frozen."""

from __future__ import annotations

import gc
import json
import mmap
import os
import signal
import struct
import time
import traceback
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from ml_connector.changes.event_feed import FeedState
from ml_connector.changes.feed_lease import FeedLease
from ml_connector.changes.hand_over import due, hand_over
from ml_connector.changes.listener import Listener
from ml_connector.configuration.settings import ConnectionSettings
from ml_connector.domain import clock
from ml_connector.errors import ConfigurationError, TransientError
from ml_connector.exchange import sync
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.run_ids import RunIds
from ml_connector.tls import trusted_context
from tests.examination.points import Event, Points

HUNG = "it hung"
LONGEST_RUN = 90
LONGEST_SLEEP = 0.05
MOST_HAND_OVERS = 12
QUIET_WAITS, QUIET_SECONDS = 3, 0.1
LIVE_SECONDS = 1.5


class Ahead:
    """How far the workers' clocks are ahead; frozen and running ones follow when it is moved."""

    def __init__(self, seconds: float = 0) -> None:
        self._shared = mmap.mmap(-1, 8)
        self.move(seconds)

    @property
    def seconds(self) -> float:
        """The present lead."""
        value: float = struct.unpack("d", self._shared[:8])[0]
        return value

    def move(self, seconds: float) -> None:
        """Let all clocks be later by *seconds* more."""
        self._shared[:8] = struct.pack("d", self.seconds + seconds)

    def install(self) -> None:
        """Let this process live by that clock, and wait for nothing longer than a moment."""

        def now(_: clock.SystemClock) -> datetime:
            return datetime.now(UTC) + timedelta(seconds=self.seconds)

        clock.SystemClock.now = now  # type: ignore[method-assign]
        sleep = time.sleep
        time.sleep = lambda seconds: sleep(min(seconds, LONGEST_SLEEP))


@dataclass(frozen=True)
class Job:
    """One run: what happens to it, and how far its clock is ahead.

    It is the main job, or with *listens* the change feeds and the hand-over until all is quiet.
    """

    settings: ConnectionSettings
    admin_url: str
    events: list[Event] = field(default_factory=list)
    ahead: Ahead = field(default_factory=Ahead)
    listens: bool = False


@dataclass(frozen=True)
class Ended:
    """How a run ended: "done", "killed", "unavailable" (a vendor was) or "broken", with a trace."""

    how: str
    trace: str = ""


class Worker:
    """A process that runs a job."""

    def __init__(self, job: Job, folder: Path) -> None:
        self._result = folder / f"result-{time.monotonic_ns()}.json"
        self.is_frozen = False
        self._status: int | None = None
        trusted_context(job.settings.salesforce.ca_pem)  # read once, inherited by every worker
        gc.freeze()  # what is here already stays shared with the worker
        self.pid = os.fork()
        if self.pid == 0:
            _live(job, self._result)

    def wait(self) -> None:
        """Wait until it ends or freezes; one that takes too long is killed and counts as hung."""
        deadline = time.monotonic() + LONGEST_RUN
        while True:
            pid, status = os.waitpid(self.pid, os.WUNTRACED | os.WNOHANG)
            if pid and os.WIFSTOPPED(status):
                self.is_frozen = True
                return
            if pid:
                self._status = status
                return
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                self._result.write_text(json.dumps({"how": "broken", "trace": HUNG}))
                self._status = 0
                return
            time.sleep(0.002)

    def thaw(self) -> None:
        """Let a frozen worker go on."""
        self.is_frozen = False
        os.kill(self.pid, signal.SIGCONT)

    def ended(self) -> Ended:
        """Return how it ended; wait first."""
        if self._status is not None and os.WIFSIGNALED(self._status):
            return Ended("killed")
        if not self._result.exists():
            return Ended("broken", f"no result, status {self._status}")
        result: dict[str, Any] = json.loads(self._result.read_text())
        self._result.unlink()
        return Ended(**result)


def _live(job: Job, result: Path) -> None:
    """Be the worker: never returns."""
    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(quiet, stream)
    try:
        ended = _run(job)
        result.write_text(json.dumps({"how": ended.how, "trace": ended.trace}))
    finally:
        os._exit(0)


def _run(job: Job) -> Ended:
    job.ahead.install()
    Points(job.events, job.admin_url).install()
    try:
        if job.listens:
            _listen(job.settings)
        else:
            sync.run_sync(job.settings)
    except (TransientError, ConfigurationError) as fault:
        return Ended("unavailable", f"{type(fault).__name__} {fault.code}: {fault}")
    except BaseException:  # noqa: BLE001  # whatever escapes is what the examination looks for
        return Ended("broken", traceback.format_exc())
    return Ended("done")


def _listen(settings: ConnectionSettings) -> None:
    """Take in change events and hand them over until nothing more comes.

    Does nothing while somebody else listens. Raises: TransientError, the last hand-over's fault.
    """
    with Systems.open(settings, RunIds(flow_run_id=str(uuid4()))) as systems:
        lease = FeedLease.take(systems)
        if lease is None:
            return
        with lease, Listener(systems, lease) as listener:
            fault = _hand_over_until_quiet(systems, listener)
            listener.raise_failure()
    if fault is not None:
        raise fault


def _hand_over_until_quiet(systems: Systems, listener: Listener) -> TransientError | None:
    deadline = time.monotonic() + LIVE_SECONDS
    while set(listener.states().values()) != {FeedState.LIVE} and time.monotonic() < deadline:
        listener.wait(QUIET_SECONDS)
    fault, quiet, rounds = None, 0, 0
    while quiet < QUIET_WAITS and rounds < MOST_HAND_OVERS and not listener.is_over:
        listener.wait(QUIET_SECONDS)
        if due(systems).anything:
            fault = hand_over(systems)
            quiet, rounds = 0, rounds + 1
        else:
            quiet += 1
    return fault


def warm_up(settings: ConnectionSettings) -> None:
    """Run the main job once here, so that workers need not load and compile what it uses."""
    sync.run_sync(settings)
    gc.collect()


def run_alone(job: Job, folder: Path) -> Ended:
    """Run one job to its end and return how it ended; a frozen one is thawed at once."""
    worker = Worker(job, folder)
    worker.wait()
    while worker.is_frozen:
        worker.thaw()
        worker.wait()
    return worker.ended()
