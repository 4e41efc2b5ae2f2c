"""The frame's smallest system, running."""

import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from ml_connector.sandbox.frame.certificates import Certificates, make_authority


@dataclass(frozen=True)
class Echo:
    """The running system with a client for each of its faces."""

    process: subprocess.Popen[bytes]
    line: dict[str, Any]
    client: httpx.Client
    admin: httpx.Client
    ca_file: Path


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """One authority for a module."""
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def echo(certificates: Certificates, tmp_path: Path) -> Iterator[Echo]:
    """A fresh echo system."""
    seed = tmp_path / "seed.json"
    seed.write_text('{"load": [{"entity": "texts", "rows": ["seeded"]}]}')
    process = subprocess.Popen(
        [
            *(sys.executable, str(Path(__file__).parent / "echo_system.py"), "--watch-stdin"),
            *("--cert", str(certificates.cert_file), "--key", str(certificates.key_file)),
            *("--ca", str(certificates.ca_file), "--seed-file", str(seed)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    line = json.loads(process.stdout.readline())
    trust = ssl.create_default_context(cafile=certificates.ca_file)
    with (
        httpx.Client(
            base_url=f"https://localhost:{line['port']}", verify=trust, trust_env=False
        ) as client,
        httpx.Client(base_url=f"http://127.0.0.1:{line['admin_port']}", trust_env=False) as admin,
    ):
        yield Echo(process, line, client, admin, certificates.ca_file)
    process.kill()
    process.wait()
