"""The demo as a user runs it: real server, worker and sandbox processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def _start(tmp_path: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PREFECT_API_URL": "http://127.0.0.1:9"}
    return subprocess.Popen(
        [sys.executable, "-m", "ml_connector.cli.main", "demo", "--leave"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _left_in(folder: Path) -> list[str]:
    """Return the command lines of processes that still work with files of the demo."""
    left = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        words = [*(process.info["cmdline"] or ()), *(process.info["environ"] or {}).values()]
        if process.pid != os.getpid() and any(str(folder) in word for word in words):
            left.append(" ".join(process.info["cmdline"] or ()))
    return left


def test_the_demo_tells_the_story_and_both_sides_agree(tmp_path: Path) -> None:
    """Check, sync, the clerk's day, sync, comparison: zero differences and nothing left running."""
    demo = _start(tmp_path)
    output, _ = demo.communicate()

    last = output.strip().splitlines()[-1]
    assert demo.returncode == 0, output
    assert re.fullmatch(r"demo: ok, \d+ of \d+ closed orders .* 0 differences, \d+ s", last), output
    assert _left_in(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing_running(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM end every program it started."""
    demo = _start(tmp_path)
    deadline = time.monotonic() + 60
    while len(_left_in(tmp_path)) < 3 and time.monotonic() < deadline:
        time.sleep(0.3)

    demo.send_signal(number)
    output, _ = demo.communicate(timeout=60)

    assert demo.returncode == 130
    assert output.strip().splitlines()[-1] == "demo: failed, interrupted"
    assert _left_in(tmp_path) == []
