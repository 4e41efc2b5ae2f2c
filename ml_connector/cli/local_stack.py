"""Programs a command starts and takes down again: server, worker, sandbox.

Each is its own session, so that Ctrl-C in a terminal reaches only the command, which then ends them
in order. Should the command be killed, the kernel ends them.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psutil

from ml_connector.errors import ConfigurationError

GRACE_SECONDS = 10.0
"""How long a program may take to end by itself."""

_PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class Program:
    """One started program and where its log goes."""

    name: str
    process: subprocess.Popen[str]
    log_file: Path

    def last_lines(self, count: int = 15) -> str:
        """Return the end of the program's log."""
        lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-count:])

    def require_running(self) -> None:
        """Raise ConfigurationError when the program has ended."""
        code = self.process.poll()
        if code is not None:
            raise ConfigurationError(
                f"{self.name} ended with code {code}: {self.last_lines()}",
                code="program_ended",
                remedy=f"See its log {self.log_file}.",
            )


@dataclass(slots=True)
class LocalStack:
    """The programs of one command, ended in reverse order of their start."""

    folder: Path
    programs: list[Program] = field(default_factory=list)

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        cwd: Path,
        pipe: bool = False,
    ) -> Program:
        """Start *command*; its output goes to a log file, standard output to a pipe on request."""
        log_file = self.folder / f"{name}.log"
        with log_file.open("a", encoding="utf-8") as log:
            process = subprocess.Popen(  # noqa: S603  # our own programs, no shell
                list(command),
                env=dict(environment),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if pipe else log,
                stderr=log,
                text=True,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509  # only sets signals, takes no lock
            )
        program = Program(name, process, log_file)
        self.programs.append(program)
        return program

    def end(self, program: Program) -> None:
        """End one program and all that it started."""
        self.programs.remove(program)
        _end(program.process)

    def stop(self) -> None:
        """End every program and all that they started; nothing is left when it returns."""
        for program in reversed(self.programs):
            _end(program.process)
        self.programs.clear()


def _die_with_parent() -> None:
    """Let the kernel end this process when its parent goes, and take Ctrl-C as usual again."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _end(process: subprocess.Popen[str]) -> None:
    family = _family(process.pid)
    if process.poll() is None:
        process.terminate()
    # The worker is gone at once, its flow runs are not: so the whole family is seen to.
    _, alive = psutil.wait_procs(family, timeout=GRACE_SECONDS if process.poll() is None else 1.0)
    for straggler in alive:
        if straggler.pid != process.pid:
            _signal(straggler, signal.SIGTERM)
    _, alive = psutil.wait_procs(alive, timeout=3.0)
    for straggler in alive:
        _signal(straggler, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=3.0)
    process.wait(timeout=GRACE_SECONDS)
    if process.stdout is not None:
        process.stdout.close()


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [*parent.children(recursive=True), parent]
    except psutil.NoSuchProcess:
        return []


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def free_port() -> int:
    """Return a TCP port that is free on loopback right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def first_json_line(program: Program, timeout_seconds: float) -> dict[str, Any]:
    """Return the JSON document a program prints when it is ready.

    Raises: ConfigurationError when it ends first, or is not ready in time.
    """
    assert program.process.stdout is not None  # noqa: S101  # started with pipe=True
    lines: list[str] = []
    reader = threading.Thread(target=_read_line, args=(program.process.stdout, lines), daemon=True)
    reader.start()
    reader.join(timeout_seconds)
    if not lines or not lines[0].strip():
        if lines:  # its output is closed: it is about to end
            program.process.wait(GRACE_SECONDS)
        program.require_running()
        raise ConfigurationError(
            f"{program.name} was not ready after {timeout_seconds:.0f} s.",
            code="program_slow",
            remedy=f"See its log {program.log_file}.",
        )
    document: dict[str, Any] = json.loads(lines[0])
    return document


def _read_line(stream: IO[str], lines: list[str]) -> None:
    lines.append(stream.readline())


def bare_environment(additions: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without any Prefect settings, plus *additions*."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    loopback = "127.0.0.1,localhost"
    for name in ("NO_PROXY", "no_proxy"):
        kept[name] = f"{kept[name]},{loopback}" if kept.get(name) else loopback
    return {**kept, **additions}


def wait_until_healthy(url: str, program: Program, timeout_seconds: float) -> None:
    """Return when *url* answers 200.

    Raises: ConfigurationError when the program ends or does not answer in time.
    """
    import httpx

    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        program.require_running()
        try:
            if httpx.get(url, timeout=2, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.3)
    raise ConfigurationError(
        f"{program.name} did not answer after {timeout_seconds:.0f} s.",
        code="program_slow",
        remedy=f"See its log {program.log_file}.",
    )
