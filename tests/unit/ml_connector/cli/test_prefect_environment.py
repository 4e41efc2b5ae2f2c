"""What the command line sets before Prefect is imported."""

from __future__ import annotations

import stat
from pathlib import Path

from cryptography.fernet import Fernet

from ml_connector.cli.prefect_environment import (
    api_is_named,
    encryption_key,
    prepare_environment,
)


def test_the_key_of_the_embedded_server_lies_in_a_private_file(tmp_path: Path) -> None:
    """Only its owner can read the key, and it is no part of the database."""
    environ = {"PREFECT_HOME": str(tmp_path / "home")}

    prepare_environment(environ)

    file = tmp_path / "home" / "encryption.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert environ["PREFECT_SERVER_ENCRYPTION_KEY"] == file.read_text(encoding="ascii").strip()
    Fernet(environ["PREFECT_SERVER_ENCRYPTION_KEY"])


def test_the_key_is_made_once(tmp_path: Path) -> None:
    """A second command reads what the first one encrypted."""
    assert encryption_key(tmp_path / "key") == encryption_key(tmp_path / "key")


def test_the_embedded_server_records_task_runs_in_batches(tmp_path: Path) -> None:
    """Without batches history is lost and subflows begin late."""
    environ = {"PREFECT_HOME": str(tmp_path)}

    prepare_environment(environ)

    assert environ["PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE"] == "200"
    assert environ["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"


def test_a_named_api_gets_no_server_settings_of_ours(tmp_path: Path) -> None:
    """Against a server of the user's own nothing is embedded and no key is made."""
    environ = {"PREFECT_HOME": str(tmp_path), "PREFECT_API_URL": "http://127.0.0.1:4200/api"}

    prepare_environment(environ)

    assert "PREFECT_SERVER_ENCRYPTION_KEY" not in environ
    assert not list(tmp_path.iterdir())


def test_a_profile_names_an_api_too(tmp_path: Path) -> None:
    """What `prefect profile use` chose counts like the variable."""
    (tmp_path / "profiles.toml").write_text(
        'active = "team"\n[profiles.team]\nPREFECT_API_URL = "http://127.0.0.1:4200/api"\n',
        encoding="utf-8",
    )

    assert api_is_named({"PREFECT_HOME": str(tmp_path)})
    assert not api_is_named({"PREFECT_HOME": str(tmp_path), "PREFECT_PROFILE": "other"})


def test_what_the_user_set_stays(tmp_path: Path) -> None:
    """The environment of the operator wins."""
    environ = {"PREFECT_HOME": str(tmp_path), "PREFECT_SERVER_ENCRYPTION_KEY": "mine"}

    prepare_environment(environ)

    assert environ["PREFECT_SERVER_ENCRYPTION_KEY"] == "mine"
