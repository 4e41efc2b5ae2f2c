"""Who holds a claim: a name that tells whether the process behind it still runs.

A claim is kept for as long as its lease lasts, because its holder may only be slow. When the holder
is a process of this very computer and no such process exists, nobody has to wait for the lease.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import psutil

_PARTS = 5


def this_process_owner() -> str:
    """Return a new owner name for this process: `boot_id:pid_namespace:pid:start_time:uuid`.

    Every call gives another name, so that two runs inside one process exclude each other; a run
    keeps the name it got for as long as it lasts.
    """
    pid = os.getpid()
    return ":".join((_boot_id(), _pid_namespace(), str(pid), _start_time(pid), uuid.uuid4().hex))


def owner_is_dead(owner: str) -> bool:
    """Tell whether the process named by *owner* provably no longer exists.

    False whenever that cannot be known: another computer, another container, or a foreign name.
    """
    parts = owner.split(":")
    if len(parts) != _PARTS or not parts[2].isdigit():
        return False
    boot_id, namespace, pid, start_time, _ = parts
    if not boot_id or not namespace or (boot_id, namespace) != (_boot_id(), _pid_namespace()):
        return False
    return _start_time(int(pid)) != start_time


def _boot_id() -> str:
    """Return what is new after each start of the computer; "" where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _pid_namespace() -> str:
    """Return which set of process ids this process sees, so that containers are told apart."""
    try:
        return str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:
        return ""


def _start_time(pid: int) -> str:
    """Return when the process *pid* started, in clock ticks since boot; "" when there is none."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return ""
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (OSError, psutil.NoSuchProcess):
        return ""
    return stat.rpartition(")")[2].split()[19]
