"""`ml-connector up` and `down` as an operator uses them: the stack stays, then leaves nothing.

One stack serves all tests of this file, in their order; the last one takes it down.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from ml_connector.cli.local_stack import bare_environment, free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PATIENCE_SECONDS = 180
COMMAND = (sys.executable, "-m", "ml_connector.cli.main")


class Operator:
    """Somebody at a shell that has sourced the stack's env.sh."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.document: dict[str, Any] = {}

    def run(self, *words: str) -> tuple[int, Any]:
        """Run a command of the connector; returns its exit code and its document."""
        done = self._process([*COMMAND, *words, "--json"])
        return done.returncode, json.loads(done.stdout or "null")

    def _process(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env=bare_environment(self.client()),
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    def client(self) -> dict[str, str]:
        """Return the variables of env.sh, as a shell reads them."""
        file = self.folder / "env.sh"
        if not file.is_file():
            return {}
        told = subprocess.run(
            ["env", "-i", "sh", "-c", f". {file} && env"],
            capture_output=True,
            text=True,
            check=True,
        )
        return dict(line.split("=", 1) for line in told.stdout.splitlines() if "PREFECT" in line)

    @property
    def api(self) -> httpx.Client:
        """The stack's Prefect API, signed in."""
        user, _, password = (self.folder / "login").read_text().strip().partition(":")
        return httpx.Client(
            base_url=f"{self.document['ui_url']}/api",
            auth=(user, password),
            trust_env=False,
            timeout=60,
        )

    def processes(self, *words: str) -> list[psutil.Process]:
        """Return the processes that belong to the stack and have *words* in their command line."""
        found = []
        for process in psutil.process_iter(["cmdline", "environ"]):
            line = process.info["cmdline"] or ()
            owned = [*line, *(process.info["environ"] or {}).values()]
            if any(str(self.folder) in each for each in owned) and set(words) <= set(line):
                found.append(process)
        return found


def eventually(holds: Callable[[], Any], what: str) -> Any:
    """Return what *holds* gives once it is true; fails after a while."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = holds()
        if found:
            return found
        assert time.monotonic() < deadline, what
        time.sleep(0.3)


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An operator whose stack is up, on ports of its own."""
    found = Operator(tmp_path_factory.mktemp("up") / "stack")
    ports = ("--port", str(free_port()), "--receiver-port", str(free_port()))
    code, found.document = found.run("up", "--dir", str(found.folder), *ports)
    try:
        assert code == 0, found.document
        yield found
    finally:
        found.run("down", "--dir", str(found.folder))


def test_the_server_asks_for_a_login_and_keeps_its_key_apart(operator: Operator) -> None:
    """Without the login nothing is told; the database does not hold the key of its secrets."""
    with httpx.Client(trust_env=False) as nobody:
        url = f"{operator.document['ui_url']}/api/flow_runs/count"
        assert nobody.post(url, json={}).status_code == 401
    assert operator.api.post("/flow_runs/count", json={}).status_code == 200

    database = operator.folder / "prefect" / "prefect.db"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT key FROM configuration").fetchall()
    assert ("ENCRYPTION_KEY",) not in rows
    for name in ("login", "env.sh", "prefect/encryption.key"):
        assert stat.S_IMODE((operator.folder / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(operator.folder.stat().st_mode) == 0o700


def test_no_secret_is_printed(operator: Operator) -> None:
    """What `up` prints may be seen over a shoulder."""
    login = (operator.folder / "login").read_text().strip()
    printed = json.dumps(operator.document)

    assert login.partition(":")[2] not in printed
    assert "client_secret" not in printed


def test_up_again_changes_nothing(operator: Operator) -> None:
    """A second `up` says where everything is; other options are refused."""
    before = {process.pid for process in operator.processes()}

    code, document = operator.run("up", "--dir", str(operator.folder))

    assert (code, document) == (0, operator.document)
    assert before <= {process.pid for process in operator.processes()}
    code, document = operator.run("up", "--dir", str(operator.folder), "--no-listen")
    assert (code, document["error"]["code"]) == (2, "stack_differs")


def test_check_is_content_with_the_stack(operator: Operator) -> None:
    """Login, key and recording of task runs are as P7 and the history of runs want them."""
    _, document = operator.run("check", "sandbox")

    prefect = [line for line in document["lines"] if line["code"].startswith("prefect_")]
    assert {line["code"] for line in prefect} == {
        "prefect_encryption_key",
        "prefect_login",
        "prefect_task_history",
        "prefect_heartbeat",
        "prefect_automations",
    }
    assert {line["level"] for line in prefect} == {"ok"}


def test_a_program_that_ends_is_started_again(operator: Operator) -> None:
    """A listener that dies is back without anybody's doing."""
    (listener,) = operator.processes("listen")

    listener.kill()

    def is_back() -> bool:
        return any(each.pid != listener.pid for each in operator.processes("listen"))

    eventually(is_back, "the listener did not come back")


def test_installing_again_changes_nothing(operator: Operator) -> None:
    """`up` installed the automations; again they are unchanged, retired ones of ours go."""
    others = {"name": "of somebody else", "trigger": _trigger(), "actions": [_NOTHING]}
    retired = {"name": "ml-connector: of long ago", "trigger": _trigger(), "actions": [_NOTHING]}
    for automation in (others, retired):
        operator.api.post("/automations/", json=automation).raise_for_status()

    code, document = operator.run("automations")

    assert code == 0, document
    assert (document["created"], document["updated"]) == ([], [])
    assert document["removed"] == ["ml-connector: of long ago"]
    names = [each["name"] for each in operator.api.post("/automations/filter", json={}).json()]
    assert "of somebody else" in names
    assert len(names) == len(set(names))


_NOTHING = {"type": "do-nothing"}


def _trigger() -> dict[str, Any]:
    return {"type": "event", "posture": "Reactive", "expect": ["nothing.ever"], "threshold": 1}


def test_down_leaves_nothing_running(operator: Operator) -> None:
    """Every program ends, running flows included; the files and the history stay."""
    code, document = operator.run("down", "--dir", str(operator.folder))

    assert (code, document) == (0, {"was_up": True})
    assert [process.info["cmdline"] for process in operator.processes()] == []
    assert (operator.folder / "prefect" / "prefect.db").is_file()
    assert operator.run("down", "--dir", str(operator.folder)) == (0, {"was_up": False})


def test_a_killed_keeper_leaves_nothing_running(tmp_path: Path) -> None:
    """The kernel ends its programs, and the folder can be used again."""
    operator = Operator(tmp_path / "stack")
    ports = ("--port", str(free_port()), "--receiver-port", str(free_port()))
    starting = subprocess.Popen([*COMMAND, "up", "--dir", str(operator.folder), *ports])
    keeper = eventually(
        lambda: len(operator.processes()) >= 5 and operator.processes(str(operator.folder)),
        "the stack did not begin",
    )
    for process in keeper:
        if "ml_connector.cli.standing_stack" in process.info["cmdline"]:
            os.kill(process.pid, signal.SIGKILL)

    assert starting.wait(60) == 2
    eventually(lambda: not operator.processes(), "programs outlived their keeper")
    assert operator.run("down", "--dir", str(operator.folder)) == (0, {"was_up": False})
