"""What both clients make of broken connections, over real sockets and TLS."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trustme

from ml_connector.business_central.client import BusinessCentralClient
from ml_connector.business_central.settings import BusinessCentralSettings
from ml_connector.errors import (
    ConfigurationError,
    OutcomeUnknown,
    TransientError,
)
from ml_connector.salesforce.client import SalesforceClient
from ml_connector.salesforce.settings import SalesforceSettings

TENANT = "11111111-2222-3333-4444-555555555555"
COMPANY = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"


class RoughServer:
    """Signs in both clients and treats every other call as `behaviour` says."""

    def __init__(self, authority: trustme.CA) -> None:
        self.requests: list[bytes] = []
        self.behaviour = "drop"
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(self._context)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"https://127.0.0.1:{self.port}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, plain: socket.socket) -> None:
        try:
            with self._context.wrap_socket(plain, server_side=True) as connection:
                while (request := self._read(connection)) and self._answer(connection, request):
                    pass
        except OSError:
            plain.close()

    @staticmethod
    def _read(connection: ssl.SSLSocket) -> bytes:
        received = b""
        while b"\r\n\r\n" not in received:
            piece = connection.recv(65536)
            if not piece:
                return b""
            received += piece
        head, _, body = received.partition(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        while len(body) < length:
            body += connection.recv(65536)
        return received

    def _answer(self, connection: ssl.SSLSocket, request: bytes) -> bool:
        signed_in = self._sign_in(request)
        if signed_in is not None:
            self._send(connection, json.dumps(signed_in).encode())
            return True
        self.requests.append(request)
        if self.behaviour == "cut":
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                b'Content-Length: 500\r\n\r\n[{"id":"801","succ'
            )
        elif self.behaviour == "garble":
            self._send(connection, b'[{"id":"801","succ')
            return True
        connection.unwrap() if self.behaviour == "cut" else connection.close()
        return False

    @staticmethod
    def _send(connection: ssl.SSLSocket, body: bytes) -> None:
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        )

    def _sign_in(self, request: bytes) -> dict[str, Any] | None:
        path = request.split(b" ", 2)[1].decode()
        if path.startswith("/services/oauth2/token"):
            return {
                "access_token": "t",
                "instance_url": self.url,
                "id": "https://x/id/00D000000000001EAA/005000000000001AAA",
            }
        if path.endswith("openid-configuration"):
            base = f"{self.url}/{TENANT}"
            return {
                "authorization_endpoint": f"{base}/authorize",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
            }
        if path.endswith("/oauth2/v2.0/token"):
            return {"access_token": "t", "token_type": "Bearer", "expires_in": 3599}
        if path.endswith("/companies"):
            return {"value": [{"id": COMPANY, "name": "CRONUS"}]}
        return None


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A private CA."""
    return trustme.CA()


@pytest.fixture
def server(authority: trustme.CA) -> Iterator[RoughServer]:
    """A server that breaks connections."""
    rough = RoughServer(authority)
    yield rough
    rough.close()


def salesforce(url: str, ca_pem: str) -> SalesforceClient:
    """Return a Salesforce client for *url*."""
    return SalesforceClient(
        SalesforceSettings(my_domain_url=url, client_id="k", client_secret="s3", ca_pem=ca_pem)
    )


def business_central(url: str, ca_pem: str) -> BusinessCentralClient:
    """Return a BC client for *url*."""
    return BusinessCentralClient(
        BusinessCentralSettings(
            tenant_id=TENANT,
            client_id="k",
            client_secret="s3",
            environment="Production",
            company_id=COMPANY,
            local_currency="USD",
            base_url=f"{url}/v2.0",
            authority=url,
            ca_pem=ca_pem,
        )
    )


READS: list[Callable[[str, str], Any]] = [
    lambda url, pem: salesforce(url, pem).limits(),
    lambda url, pem: list(business_central(url, pem).pages("items")),
]
WRITES: list[Callable[[str, str], Any]] = [
    lambda url, pem: salesforce(url, pem).update_records("Order", [{"Id": "801"}]),
    lambda url, pem: business_central(url, pem).create("salesOrders", {}),
    lambda url, pem: business_central(url, pem).update("salesOrders", "x", "*", {}),
]


def pem_of(authority: trustme.CA) -> str:
    """Return the CA's certificate as text."""
    pem: bytes = authority.cert_pem.bytes()
    return pem.decode()


@pytest.mark.parametrize("behaviour", ["drop", "cut", "garble"])
@pytest.mark.parametrize("write", WRITES)
def test_a_write_whose_answer_breaks_off_has_an_unknown_outcome(
    server: RoughServer, authority: trustme.CA, behaviour: str, write: Callable[[str, str], Any]
) -> None:
    """Dropped, cut or garbled: the write was sent once and may have been done."""
    server.behaviour = behaviour

    with pytest.raises(OutcomeUnknown):
        write(server.url, pem_of(authority))

    assert len(server.requests) == 1


@pytest.mark.parametrize("behaviour", ["drop", "cut", "garble"])
@pytest.mark.parametrize("read", READS)
def test_a_read_whose_answer_breaks_off_may_be_repeated(
    server: RoughServer, authority: trustme.CA, behaviour: str, read: Callable[[str, str], Any]
) -> None:
    """A broken read decided nothing."""
    server.behaviour = behaviour

    with pytest.raises(TransientError) as caught:
        read(server.url, pem_of(authority))

    assert not isinstance(caught.value, OutcomeUnknown)


@pytest.mark.parametrize("call", [*READS, *WRITES])
def test_a_certificate_of_an_unknown_authority_is_refused(
    server: RoughServer, call: Callable[[str, str], Any]
) -> None:
    """Verification is on even on loopback; the remedy names ca_file."""
    with pytest.raises(ConfigurationError) as caught:
        call(server.url, "")

    assert caught.value.code == "tls_not_trusted"
    assert "ca_file" in caught.value.remedy


@pytest.mark.parametrize("call", READS)
def test_a_name_that_the_certificate_lacks_is_refused(
    server: RoughServer, authority: trustme.CA, call: Callable[[str, str], Any]
) -> None:
    """A trusted CA does not make a certificate good for another host."""
    with pytest.raises(ConfigurationError) as caught:
        call(f"https://localhost:{server.port}", pem_of(authority))

    assert caught.value.code == "tls_not_trusted"


@pytest.mark.parametrize("call", READS)
def test_a_port_that_nobody_listens_on_is_named(call: Callable[[str, str], Any]) -> None:
    """Refused, with the address in the sentence."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(ConfigurationError) as caught:
        call(f"https://127.0.0.1:{port}", "")

    assert caught.value.code == "connection_refused"
    assert f"127.0.0.1:{port}" in str(caught.value)


@pytest.mark.parametrize("call", READS)
def test_a_host_that_does_not_exist_is_named(call: Callable[[str, str], Any]) -> None:
    """The sentence says it is the name."""
    with pytest.raises(ConfigurationError) as caught:
        call("https://acme.my.invalid", "")

    assert caught.value.code == "unknown_host"
    assert "acme.my.invalid" in str(caught.value)


@pytest.mark.parametrize("call", READS)
def test_a_port_that_speaks_no_tls_is_named(call: Callable[[str, str], Any]) -> None:
    """The address is wrong, not the certificate."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _address = listener.accept()
            connection.recv(1024)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.close()

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(ConfigurationError) as caught:
            call(f"https://127.0.0.1:{listener.getsockname()[1]}", "")

    assert caught.value.code == "tls_failed"


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
@pytest.mark.parametrize("call", READS)
def test_the_environment_does_not_change_trust(
    server: RoughServer,
    authority: trustme.CA,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
    variable: str,
    call: Callable[[str, str], Any],
) -> None:
    """A CA variable that points nowhere neither breaks a call nor switches verification off."""
    monkeypatch.setenv(variable, str(tmp_path_factory.mktemp("x") / "missing.pem"))
    server.behaviour = "garble"

    with pytest.raises(TransientError):
        call(server.url, pem_of(authority))
