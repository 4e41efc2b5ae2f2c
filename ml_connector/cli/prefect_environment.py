"""Settings Prefect reads from the environment when it is first imported.

A command runs against the Prefect API that the environment names. Where none is named, Prefect
starts a server of its own inside the command; that one gets a folder and an encryption key of ours.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping, MutableMapping
from importlib.resources import files
from pathlib import Path

from cryptography.fernet import Fernet

CLIENT: Mapping[str, str] = {
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "ml_connector",
    # One "Finished in state Completed()" per record would bury the connector's own lines.
    "PREFECT_LOGGING_LOGGERS_PREFECT_TASK_RUNS_LEVEL": "WARNING",
    # A run whose process is gone is told by its missing heartbeat; Prefect takes nothing shorter.
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
}
"""What every process that runs flows is given."""

SERVER_FILE = "prefect-server.env"
KEY_FILE = "encryption.key"


def prepare_environment(environ: MutableMapping[str, str] = os.environ) -> None:
    """Set what Prefect has to find before it is imported; what is set already stays.

    Effect: without an API in the environment, makes the folder of the embedded server and its key.
    """
    _default(environ, CLIENT)
    _default(environ, {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING"})
    if api_is_named(environ):
        return
    home = Path(environ.get("PREFECT_HOME") or Path.home() / ".ml-connector" / "prefect")
    environ["PREFECT_HOME"] = str(home.expanduser().absolute())
    _default(environ, server_settings(Path(environ["PREFECT_HOME"])))
    _default(
        environ,
        {
            "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
            "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
        },
    )


def server_settings(home: Path) -> dict[str, str]:
    """Return the settings of a Prefect server that keeps its files in *home*.

    Effect: makes the folder, and the key file (readable by its owner only) when it is missing.
    """
    return {**shipped_settings(), "PREFECT_SERVER_ENCRYPTION_KEY": encryption_key(home / KEY_FILE)}


def shipped_settings() -> dict[str, str]:
    """Return the settings in deployments/prefect-server.env, which every server of ours has."""
    text = (files("deployments") / SERVER_FILE).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def encryption_key(path: Path) -> str:
    """Return the key in *path*; makes a new one, mode 0600, when there is none."""
    return private_text(path, lambda: Fernet.generate_key().decode("ascii"))


def private_text(path: Path, make: Callable[[], str]) -> str:
    """Return the line in *path*; *make* gives it the first time, and it is kept with mode 0600."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="ascii").strip()
    text = make()
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text + "\n")
    return text


def api_is_named(environ: Mapping[str, str]) -> bool:
    """Tell whether the environment, or the active Prefect profile, names an API."""
    if environ.get("PREFECT_API_URL"):
        return True
    home = Path(environ.get("PREFECT_HOME") or Path.home() / ".prefect").expanduser()
    path = Path(environ.get("PREFECT_PROFILES_PATH") or home / "profiles.toml")
    try:
        profiles = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, tomllib.TOMLDecodeError):
        return False
    active = environ.get("PREFECT_PROFILE") or profiles.get("active")
    profile = profiles.get("profiles", {}).get(active, {})
    return bool(profile.get("PREFECT_API_URL"))


def _default(environ: MutableMapping[str, str], settings: Mapping[str, str]) -> None:
    for name, value in settings.items():
        environ.setdefault(name, value)
