"""Run the main job in processes of its own, to be killed and frozen."""

from __future__ import annotations

import json
import os
import signal
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml_connector.configuration.settings import ConnectionSettings
from ml_connector.errors import ConfigurationError, TransientError
from ml_connector.exchange import sync
from ml_connector.tls import trusted_context
from tests.examination.points import Event, Points, shift_clock

LONGEST_RUN = 90


@dataclass(frozen=True)
class Job:
    """One run of the main job: what happens to it, and how far its clock is ahead."""

    settings: ConnectionSettings
    admin_url: str
    events: list[Event] = field(default_factory=list)
    ahead: float = 0


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
                self._result.write_text(json.dumps({"how": "broken", "trace": "it hung"}))
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
    shift_clock(job.ahead)
    Points(job.events, job.admin_url).install()
    try:
        sync.run_sync(job.settings)
    except (TransientError, ConfigurationError) as fault:
        return Ended("unavailable", f"{type(fault).__name__} {fault.code}: {fault}")
    except BaseException:  # noqa: BLE001  # whatever escapes is what the examination looks for
        return Ended("broken", traceback.format_exc())
    return Ended("done")


def run_alone(job: Job, folder: Path) -> Ended:
    """Run one job to its end and return how it ended; a frozen one is thawed at once."""
    worker = Worker(job, folder)
    worker.wait()
    while worker.is_frozen:
        worker.thaw()
        worker.wait()
    return worker.ended()
