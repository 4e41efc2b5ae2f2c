"""What a command prints, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from ml_connector.cli.check import exit_code_of
from ml_connector.exchange.checks import CheckLine, Level


def _run(*words: str, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": "http://127.0.0.1:9/api",
    }
    return subprocess.run(
        [sys.executable, "-m", "ml_connector.cli.main", *words],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
        check=False,
    )


def test_a_missing_file_is_one_json_document_and_exit_2(tmp_path: Path) -> None:
    """Standard output carries the failure and nothing else."""
    done = _run("connect", str(tmp_path / "none.toml"), "--json", home=tmp_path)

    document = json.loads(done.stdout)
    assert done.returncode == 2
    assert set(document["error"]) == {"code", "message", "remedy"}
    assert "none.toml" in document["error"]["message"]


def test_an_unknown_option_is_one_json_document_and_exit_2(tmp_path: Path) -> None:
    """Also a mistyped command answers in the form that was asked for."""
    done = _run("status", "acme", "--jsn", "--json", home=tmp_path)

    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["code"] == "usage"


def test_a_failure_in_text_goes_to_standard_error(tmp_path: Path) -> None:
    """A person reads one sentence and what to do."""
    done = _run("connect", str(tmp_path / "none.toml"), home=tmp_path)

    assert done.returncode == 2
    assert done.stdout == ""
    assert "error:" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_names_every_command(tmp_path: Path) -> None:
    """The commands of the contract are there."""
    done = _run("--help", home=tmp_path)

    assert done.returncode == 0
    for command in (
        "connect",
        "check",
        "sync",
        "status",
        "audit",
        "replay",
        "reconcile",
        "sandbox",
        "demo",
    ):
        assert command in done.stdout


def test_check_ends_by_its_worst_line() -> None:
    """Blocking is 2, a warning 1, a notice is fine."""
    fine = CheckLine("a", Level.OK, "fine")
    notice = CheckLine("b", Level.NOTICE, "note")
    warning = CheckLine("c", Level.WARNING, "warn", "do")
    blocking = CheckLine("d", Level.BLOCKING, "stop", "do")

    assert exit_code_of([fine, notice]) == 0
    assert exit_code_of([fine, warning]) == 1
    assert exit_code_of([warning, blocking]) == 2
