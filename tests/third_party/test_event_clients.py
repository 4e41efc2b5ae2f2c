"""Clients that others wrote subscribe to the sandbox unmodified and read its change events."""

import json
import os
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

HERE = Path(__file__).parent / "salesforce_events"
SITE = HERE / "build" / "python"
API = "/services/data/v65.0"
SECONDS = 60

pytestmark = pytest.mark.slow


@pytest.fixture
def sandbox(running_sandbox: Any) -> dict[str, Any]:
    """The JSON line of a running sandbox."""
    line: dict[str, Any] = running_sandbox.line
    return line


@pytest.fixture
def rest(sandbox: dict[str, Any]) -> Iterator[httpx.Client]:
    """A signed-in REST client of the org."""
    org = sandbox["salesforce"]
    trust = ssl.create_default_context(cafile=sandbox["ca_file"])
    with httpx.Client(base_url=org["url"], verify=trust, trust_env=False) as client:
        form = {
            "grant_type": "client_credentials",
            "client_id": org["client_id"],
            "client_secret": org["client_secret"],
        }
        answer = client.post("/services/oauth2/token", data=form).raise_for_status().json()
        client.headers["Authorization"] = f"Bearer {answer['access_token']}"
        client.headers["Sforce-Call-Options"] = "client=third-party-test"
        yield client


@pytest.fixture(scope="module")
def node() -> str:
    """The Node.js program, with the npm client installed as its lock file says."""
    program, npm = shutil.which("node"), shutil.which("npm")
    if program is None or npm is None:
        pytest.skip("Node.js is not installed")
    if not (HERE / "node_modules" / "salesforce-pubsub-api-client").is_dir():
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=HERE, check=True, capture_output=True)
    return program


@pytest.fixture(scope="module")
def python_client() -> Path:
    """The folder where the PyPI client is installed."""
    if not (SITE / "aiosfpubsub").is_dir():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        names = ["aiosfpubsub==0.0.6", "avro==1.12.1", "defusedxml==0.7.1"]
        command += ["--target", str(SITE), *names]
        subprocess.run(command, check=True, capture_output=True)
    return SITE


@pytest.fixture
def subscriber(
    sandbox: dict[str, Any], rest: httpx.Client
) -> Iterator[Callable[..., "Subscriber"]]:
    """Starts subscriber programs; they end with the test."""
    running: list[Subscriber] = []

    def start(command: list[str], topics: list[str], count: int, **more: Any) -> Subscriber:
        settings = {
            **sandbox["salesforce"],
            "ca_file": sandbox["ca_file"],
            "access_token": rest.headers["Authorization"].removeprefix("Bearer "),
            "topics": topics,
            "count": count,
            **more,
        }
        program = Subscriber(command, settings, sandbox["ca_file"])
        running.append(program)
        return program

    yield start
    for program in running:
        program.process.kill()
        program.process.wait(SECONDS)


class Subscriber:
    """A program that prints each change it gets as one JSON line."""

    def __init__(self, command: list[str], settings: dict[str, Any], ca_file: str) -> None:
        environment = {
            **os.environ,
            "SANDBOX": json.dumps(settings),
            "NODE_EXTRA_CA_CERTS": ca_file,
            "PYTHONPATH": str(SITE),
        }
        self.process = subprocess.Popen(
            command, cwd=HERE, env=environment, stdout=subprocess.PIPE, text=True
        )

    def line(self) -> dict[str, Any]:
        """The next line."""
        assert self.process.stdout is not None
        text = self.process.stdout.readline()
        assert text, f"the client ended with {self.process.wait(SECONDS)}"
        found: dict[str, Any] = json.loads(text)
        return found


def test_the_npm_client_prints_decoded_changes(
    node: str,
    subscriber: Callable[..., Subscriber],
    rest: httpx.Client,
    sandbox: dict[str, Any],
) -> None:
    """It signs in, subscribes, decodes values and names the changed fields, nested ones too."""
    topics = ["/data/AccountChangeEvent"]
    program = subscriber([node, "subscribe.mjs"], topics, 2)
    assert program.line() == {"ready": True}
    _wait_for_stream(sandbox, topics[0])

    made = rest.post(f"{API}/sobjects/Account", json={"Name": "Fabrikam", "BillingCity": "Oslo"})
    record_id = made.raise_for_status().json()["id"]
    change = {"BillingCity": "Bergen", "AnnualRevenue": 1200}
    rest.patch(f"{API}/sobjects/Account/{record_id}", json=change).raise_for_status()
    created, updated = program.line()["payload"], program.line()["payload"]

    assert created["ChangeEventHeader"]["changeType"] == "CREATE"
    assert created["Name"] == "Fabrikam"
    header = updated["ChangeEventHeader"]
    assert header["recordIds"] == [record_id]
    assert "BillingAddress.City" in header["changedFields"]
    assert "AnnualRevenue" in header["changedFields"]
    assert header["changeOrigin"].endswith(";client=third-party-test")
    assert updated["BillingAddress"]["City"] == "Bergen"
    assert updated["AnnualRevenue"] == 1200


def test_the_npm_client_resumes_from_its_replay_id(
    node: str, subscriber: Callable[..., Subscriber], rest: httpx.Client
) -> None:
    """Its eight-byte replay ids continue where it stopped."""
    topics = ["/data/Product2ChangeEvent"]
    for name in ("Chair", "Table"):
        rest.post(f"{API}/sobjects/Product2", json={"Name": name}).raise_for_status()
    early = subscriber([node, "subscribe.mjs"], topics, 1, earliest=True)
    assert early.line() == {"ready": True}
    first = early.line()

    later = subscriber([node, "subscribe.mjs"], topics, 1, replay_id=first["replayId"])
    assert later.line() == {"ready": True}

    assert first["payload"]["Name"] == "Chair"
    assert later.line()["payload"]["Name"] == "Table"


def test_aiosfpubsub_reads_the_same_changes(
    python_client: Path, subscriber: Callable[..., Subscriber], rest: httpx.Client
) -> None:
    """The PyPI client fetches topic and schema and decodes what it is sent."""
    assert python_client.is_dir()
    answer = rest.post(f"{API}/sobjects/Contact", json={"LastName": "Berg", "FirstName": "Ada"})
    answer.raise_for_status()
    command = [sys.executable, "subscribe_aiosfpubsub.py"]
    program = subscriber(command, ["/data/ContactChangeEvent"], 1, earliest=True)
    assert program.line() == {"ready": True}

    payload = program.line()["payload"]

    assert payload["Name"] == {"Salutation": None, "FirstName": "Ada", "LastName": "Berg"}
    assert payload["ChangeEventHeader"]["recordIds"] == [answer.json()["id"]]


def _wait_for_stream(sandbox: dict[str, Any], topic: str) -> None:
    """Poll the sandbox until it serves a stream of this topic."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        body = {"act": "pubsub_streams"}
        answer = httpx.post(f"{sandbox['admin_url']}/salesforce/act", json=body, trust_env=False)
        if any(each["topic"] == topic for each in answer.raise_for_status().json()["streams"]):
            return
        time.sleep(0.1)
    raise AssertionError(f"nobody subscribed to {topic}")
