"""Settings Prefect reads from the environment when it is first imported.

A command runs against the Prefect API that the environment names. Where none is named, Prefect
starts a server of its own inside the command; that one gets a folder and an encryption key of ours.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from cryptography.fernet import Fernet

RECORDING: Mapping[str, str] = {
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "500",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "200",
}
"""Without these a server loses task history in bursts, and subflows begin seconds late."""

QUIET: Mapping[str, str] = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "ml_connector",
    # One "Finished in state Completed()" per record would bury the connector's own lines.
    "PREFECT_LOGGING_LOGGERS_PREFECT_TASK_RUNS_LEVEL": "WARNING",
}

KEY_FILE = "encryption.key"


def prepare_environment(environ: MutableMapping[str, str] = os.environ) -> None:
    """Set what Prefect has to find before it is imported; what is set already stays.

    Effect: without an API in the environment, makes the folder of the embedded server and its key.
    """
    _default(environ, QUIET)
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
    return {**RECORDING, "PREFECT_SERVER_ENCRYPTION_KEY": encryption_key(home / KEY_FILE)}


def encryption_key(path: Path) -> str:
    """Return the key in *path*; makes a new one, mode 0600, when there is none."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="ascii").strip()
    key = Fernet.generate_key().decode("ascii")
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(key + "\n")
    return key


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
