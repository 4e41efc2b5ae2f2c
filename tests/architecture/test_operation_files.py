"""The files that run the connector in production fit the connector."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ml_connector.cli.prefect_environment import shipped_settings

ROOT = Path(__file__).resolve().parents[2]
SYSTEMD = ROOT / "deployments" / "systemd"
CONTAINER = ROOT / "deployments" / "container"
UNITS = sorted(path.name for path in SYSTEMD.iterdir() if path.suffix in (".service", ".target"))

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd is not installed on this computer"
)


def _verify(folder: Path, unit: str) -> str:
    """Return what systemd has to say against a unit, with this checkout in the place of /opt's."""
    python = ROOT / ".venv" / "bin"
    for name in UNITS:
        text = (SYSTEMD / name).read_text(encoding="utf-8")
        text = text.replace("/opt/ml-connector/.venv/bin", str(python))
        (folder / name).write_text(text, encoding="utf-8")
    told = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(folder / unit.replace("@", "@acme"))],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    return told.stdout + told.stderr


@needs_systemd
@pytest.mark.parametrize("unit", UNITS)
def test_systemd_finds_nothing_wrong(unit: str, tmp_path: Path) -> None:
    """Every directive is known and every program is there."""
    assert _verify(tmp_path, unit) == ""


@needs_systemd
def test_a_wrong_unit_would_be_found(tmp_path: Path) -> None:
    """The check can fail."""
    unit = tmp_path / "wrong.service"
    unit.write_text("[Service]\nExecStart=/no/such/program\nRestrat=always\n", encoding="utf-8")
    told = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Restrat" in told.stderr
    assert "/no/such/program" in told.stderr


def _compose() -> dict[str, Any]:
    text = (CONTAINER / "compose.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def test_every_server_starts_with_the_shipped_settings() -> None:
    """One file keeps the history of runs complete, wherever the server runs."""
    file = ROOT / "deployments" / "prefect-server.env"
    unit = (SYSTEMD / "ml-connector-server.service").read_text(encoding="utf-8")
    files = _compose()["services"]["server"]["env_file"]

    assert "EnvironmentFile=/opt/ml-connector/deployments/prefect-server.env" in unit
    assert file in [(CONTAINER / each).resolve() for each in files]
    assert all(name.startswith("PREFECT_SERVER_") for name in shipped_settings())


def test_files_that_compose_names_are_there() -> None:
    """Secrets have an example beside them and are kept out of the repository."""
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    for service in _compose()["services"].values():
        for name in service.get("env_file", []):
            path = (CONTAINER / name).resolve()
            assert path.is_file() or path.with_name(path.name + ".example").is_file()
            if path.parent.name == "secrets":
                assert "/deployments/container/secrets/*.env" in ignored


def test_only_who_needs_a_secret_is_given_it() -> None:
    """The key stays with the server, the apps' secrets with `tool`; workers get the login."""
    services = _compose()["services"]
    holders = {
        name: {Path(each).name for each in service.get("env_file", [])}
        for name, service in services.items()
    }

    assert [name for name, files in holders.items() if "server.env" in files] == ["server"]
    assert [name for name, files in holders.items() if "connection.env" in files] == ["tool"]
    assert holders["worker"] == holders["listener"] == holders["receiver"] == {"client.env"}


def test_what_the_image_copies_is_there() -> None:
    """The list of what the image is built from names files of this checkout."""
    lines = (CONTAINER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    named = [line[1:] for line in lines if line.startswith("!")]

    assert [name for name in named if not (ROOT / name).exists()] == []
