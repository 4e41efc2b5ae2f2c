"""The npm client jsforce works with the org unchanged."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parents[2] / "third_party" / "node"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def node() -> str:
    """The Node.js program, with jsforce installed as its lock file says."""
    program, npm = shutil.which("node"), shutil.which("npm")
    if program is None or npm is None:
        pytest.skip("Node.js is not installed")
    if not (HERE / "node_modules" / "jsforce").is_dir():
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=HERE, check=True, capture_output=True)
    return program


@pytest.mark.usefixtures("draft")
def test_jsforce(org: Any, node: str) -> None:
    """It signs in by client credentials, and reads and writes everything a client does."""
    org.switch(query_page_size=2)
    settings = {
        "url": org.url,
        "client_id": "sandbox-client",
        "client_secret": "sandbox-secret",
    }
    environment = {
        **os.environ,
        "SANDBOX": json.dumps(settings),
        "NODE_EXTRA_CA_CERTS": str(org.ca_file),
    }
    program = subprocess.run(
        [node, "jsforce.mjs"],
        cwd=HERE,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert program.returncode == 0, program.stderr
    assert json.loads(program.stdout) == {
        "organization": "00D5g0000000001EAA",
        "created": True,
        "read": "O'Hara",
        "many": ["ok", "REQUIRED_FIELD_MISSING", "ok"],
        "found": ["1"],
        "paged": 5,
        "children": [4],
        "describes": True,
        "global": True,
        "versions": True,
        "refusal": "REQUIRED_FIELD_MISSING",
        "updated": True,
        "deleted": True,
        "bulk": ["10.0"],
        "usage": True,
        "upserted": True,
    }
