"""The keeper of a local stack: ports, locks, programs that end."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

import pytest

from ml_connector.cli.local_stack import LocalStack, Program
from ml_connector.cli.standing_stack import Kept, StackFolder, StackSettings, _require_free
from ml_connector.errors import ConfigurationError


def test_a_taken_port_is_told_with_the_option() -> None:
    """Somebody else's server is not taken for ours."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(ConfigurationError, match=str(port)) as refused:
            _require_free(port, "--port")

    assert "--port" in refused.value.remedy
    _require_free(port, "--port")


def test_one_keeper_per_folder(tmp_path: Path) -> None:
    """The lock tells whether a keeper lives, and is free again when it is gone."""
    place = StackFolder(tmp_path)
    lock = place.lock("keeper")
    assert lock is not None

    assert place.is_kept()
    assert place.lock("keeper") is None
    lock.close()

    assert not place.is_kept()


def test_settings_are_remembered(tmp_path: Path) -> None:
    """The next `up` needs no options."""
    place = StackFolder(tmp_path)
    assert StackSettings.load(place) == StackSettings()

    StackSettings(port=4300, listen=False).save(place)

    assert StackSettings.load(place) == StackSettings(port=4300, listen=False)


def test_a_program_that_ended_comes_back_after_its_pause(tmp_path: Path) -> None:
    """It does not come back at once: one that cannot start would keep the computer busy."""
    stack = LocalStack(tmp_path)

    def start() -> Program:
        code = "import time; time.sleep(60)"
        return stack.start(
            "program", [sys.executable, "-c", code], environment=os.environ, cwd=tmp_path
        )

    kept = Kept(start, start(), pause=0.3)
    first = kept.program
    try:
        kept.look(stack)
        assert kept.program is first

        first.process.kill()
        first.process.wait()
        kept.look(stack)
        assert kept.program is first

        deadline = time.monotonic() + 10
        while kept.program is first and time.monotonic() < deadline:
            time.sleep(0.05)
            kept.look(stack)
        assert kept.program.process.poll() is None
        assert stack.programs == [kept.program]
        assert kept.pause == pytest.approx(0.6)
    finally:
        stack.stop()
