"""A client that others wrote works unchanged, vendor host names and all."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

STORY = Path(__file__).parent / "bc_cli_story.py"


def test_bc_cli(running_sandbox: Any, tmp_path: Path) -> None:
    """bc-cli signs in at its built-in hosts through the proxy, and does a day's work."""
    line = running_sandbox.line
    plain = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    environment = {
        **plain,
        "HOME": str(tmp_path),
        "HTTPS_PROXY": line["proxy_url"],
        "SSL_CERT_FILE": line["ca_file"],
        "REQUESTS_CA_BUNDLE": line["ca_file"],
        "SANDBOX_LINE": json.dumps(line),
    }
    done = subprocess.run(
        [sys.executable, str(STORY)], env=environment, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    said = json.loads(done.stdout)
    assert said == {
        "companies": [line["business_central"]["company_name"]],
        "connected": True,
        "city": "Graz",
        "found": True,
        "invoice": "Open",
        "lines": 2,
        "refused": "ValidationError",
        "spare": 0,
    }
