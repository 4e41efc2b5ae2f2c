"""A system's life, its certificate, and the proxy in front of it."""

import asyncio
import os
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from ml_connector.sandbox.frame.certificates import Certificates
from ml_connector.sandbox.proxy import ConnectProxy, ways

PARENT = """
import subprocess, sys, time
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""


def test_a_system_listens_on_loopback_alone(echo: Any) -> None:
    """Both ports of a system are bound to 127.0.0.1."""
    sockets = psutil.Process(echo.process.pid).net_connections(kind="inet")
    listening = [entry.laddr for entry in sockets if entry.status == psutil.CONN_LISTEN]
    assert {address.ip for address in listening} == {"127.0.0.1"}
    assert {address.port for address in listening} == {
        echo.line["port"],
        echo.line["admin_port"],
    }


def test_a_system_ends_cleanly(echo: Any) -> None:
    """SIGTERM ends a system with exit code 0, also while a client stays connected."""
    echo.client.get("/texts").raise_for_status()
    echo.process.terminate()
    assert echo.process.wait(5) == 0


def test_a_system_ends_when_its_standard_input_closes(echo: Any) -> None:
    """A system whose parent let go of it is gone."""
    echo.process.stdin.close()
    assert echo.process.wait(5) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="kills the parent the Linux way")
def test_a_system_does_not_outlive_a_killed_parent(certificates: Certificates) -> None:
    """SIGKILL of the parent ends the system too."""
    parent = subprocess.Popen(
        [
            *(sys.executable, "-c", PARENT),
            *(sys.executable, str(Path(__file__).parent / "echo_system.py"), "--watch-stdin"),
            *("--cert", str(certificates.cert_file), "--key", str(certificates.key_file)),
            *("--ca", str(certificates.ca_file)),
        ],
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    ends = time.monotonic() + 5
    while psutil.pid_exists(child) and time.monotonic() < ends:
        if psutil.Process(child).status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.05)
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_the_key_is_private(certificates: Certificates) -> None:
    """Only the owner may read the server's key."""
    assert certificates.key_file.stat().st_mode & 0o777 == 0o600


def test_a_client_without_the_authority_refuses(echo: Any) -> None:
    """TLS fails for a client that does not trust the sandbox's authority."""
    with pytest.raises(httpx.ConnectError):
        httpx.get(str(echo.client.base_url), trust_env=False)


async def test_the_proxy_leads_vendor_names_and_refuses_others(echo: Any) -> None:
    """Vendor host names end in the sandbox with a valid certificate, other hosts in 403."""
    proxy = ConnectProxy(ways(echo.line["port"], echo.line["port"], None))
    url = f"http://127.0.0.1:{await proxy.start()}"
    trust = ssl.create_default_context(cafile=echo.ca_file)
    async with httpx.AsyncClient(proxy=url, verify=trust, trust_env=False) as client:
        for host in (
            "acme.my.salesforce.com",
            "acme--dev.sandbox.my.salesforce.com",
            "login.salesforce.com",
            "login.microsoftonline.com",
            "api.businesscentral.dynamics.com",
        ):
            answer = await client.get(f"https://{host}/texts")
            assert answer.json()["kept"] == ["seeded"]
        for host in ("example.com", "salesforce.com.example.com", "127.0.0.1"):
            with pytest.raises(httpx.ProxyError, match="403"):
                await client.get(f"https://{host}/texts")
        plain = await client.get("http://acme.my.salesforce.com/texts")
        assert plain.status_code == 405
    await proxy.stop()
    await asyncio.sleep(0)


def test_answers_are_not_held_back(echo: Any) -> None:
    """A hundred small writes on one connection take nowhere near a delayed acknowledgement each."""
    echo.client.get("/texts").raise_for_status()
    began = time.monotonic()
    for _ in range(100):
        echo.client.post("/texts", content="x").raise_for_status()
    assert time.monotonic() - began < 2
