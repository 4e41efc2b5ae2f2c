"""Programs a command starts are gone when it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from ml_connector.cli.local_stack import LocalStack, bare_environment, first_json_line
from ml_connector.errors import ConfigurationError

STUBBORN = (
    "import signal,subprocess,sys,time;"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "subprocess.Popen([sys.executable,'-c','import time;time.sleep(60)']);"
    "print('{\"ready\": true}', flush=True);time.sleep(60)"
)


def _start(stack: LocalStack, code: str) -> object:
    return stack.start(
        "program", [sys.executable, "-c", code], environment=os.environ, cwd=stack.folder, pipe=True
    )


def test_a_stubborn_program_and_its_children_are_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing survives, not even what ignores SIGTERM."""
    monkeypatch.setattr("ml_connector.cli.local_stack.GRACE_SECONDS", 1.0)
    stack = LocalStack(tmp_path)
    _start(stack, STUBBORN)
    program = stack.programs[0]
    assert first_json_line(program, 30) == {"ready": True}
    deadline = time.monotonic() + 10
    family = psutil.Process(program.process.pid)
    while not family.children() and time.monotonic() < deadline:
        time.sleep(0.05)
    pids = [family.pid, *(child.pid for child in family.children(recursive=True))]

    stack.stop()

    assert len(pids) == 2
    assert not [pid for pid in pids if psutil.pid_exists(pid)]


def test_a_program_that_ends_before_it_is_ready_is_reported(tmp_path: Path) -> None:
    """The message shows the end of its log."""
    stack = LocalStack(tmp_path)
    _start(stack, "import sys; sys.exit('no such port')")

    with pytest.raises(ConfigurationError, match="no such port"):
        first_json_line(stack.programs[0], 30)

    stack.stop()


def test_programs_end_when_their_starter_is_killed(tmp_path: Path) -> None:
    """A killed demo leaves no server behind."""
    code = (
        "import os,sys,time;from pathlib import Path;"
        "from ml_connector.cli.local_stack import LocalStack;"
        f"s=LocalStack(Path({str(tmp_path)!r}));"
        "p=s.start('x',[sys.executable,'-c','import time;time.sleep(60)'],"
        "environment=os.environ,cwd=s.folder);print(p.process.pid,flush=True);time.sleep(60)"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())

    starter.kill()
    starter.wait()
    starter.stdout.close()

    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_prefect_settings_of_the_user_do_not_leak_in() -> None:
    """The demo talks to its own server only."""
    os.environ["PREFECT_LEAK_TEST"] = "1"
    try:
        environment = bare_environment({"PREFECT_API_URL": "x"})
    finally:
        del os.environ["PREFECT_LEAK_TEST"]

    assert "PREFECT_LEAK_TEST" not in environment
    assert environment["PREFECT_API_URL"] == "x"
    assert "127.0.0.1" in environment["NO_PROXY"]
