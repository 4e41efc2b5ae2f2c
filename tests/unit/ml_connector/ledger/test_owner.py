"""Owner names: tell a dead process from one that may live."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ml_connector.ledger.owner import owner_is_dead, this_process_owner

NAME_ANOTHER = "from ml_connector.ledger.owner import *; print(this_process_owner(), flush=True); "


def test_this_process_is_alive_and_every_name_is_another() -> None:
    """Two runs of one process exclude each other."""
    first, second = this_process_owner(), this_process_owner()

    assert not owner_is_dead(first)
    assert first != second
    assert first.rpartition(":")[0] == second.rpartition(":")[0]


def test_another_process_is_dead_once_it_ended() -> None:
    """Alive while it runs; dead after it ended, also before its parent has taken notice."""
    process = subprocess.Popen(
        [sys.executable, "-c", NAME_ANOTHER + "input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    owner = process.stdout.readline().strip()
    alive = owner_is_dead(owner)
    process.kill()
    assert process.stdout.read() == ""
    process.wait()

    assert (alive, owner_is_dead(owner)) == (False, True)
    process.communicate()


def test_a_process_id_used_again_is_another_process() -> None:
    """The start time tells them apart."""
    boot_id, namespace, pid, start_time, name = this_process_owner().split(":")
    earlier = ":".join((boot_id, namespace, pid, str(int(start_time) - 1), name))

    assert owner_is_dead(earlier)


@pytest.mark.parametrize("part", [0, 1])
def test_who_runs_elsewhere_may_live(part: int) -> None:
    """Another computer, another start of it, another container: the lease decides."""
    parts = this_process_owner().split(":")
    parts[part], parts[2] = "elsewhere", "999999999"

    assert not owner_is_dead(":".join(parts))


@pytest.mark.parametrize("owner", ["", "me", "a:b:c:d:e", "::1:2:x"])
def test_a_foreign_name_may_live(owner: str) -> None:
    """What cannot be read proves nothing."""
    assert not owner_is_dead(owner)
