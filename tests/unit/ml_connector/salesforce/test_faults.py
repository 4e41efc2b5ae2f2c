"""The fault table of Salesforce, row by row."""

from __future__ import annotations

import socket
import ssl

import pytest
import requests
import urllib3

from ml_connector.errors import (
    AmbiguousExternalId,
    ConfigurationError,
    ConnectorError,
    OutcomeUnknown,
    RateLimited,
    RecordNotFound,
    RecordRejected,
    TransientError,
)
from ml_connector.salesforce import faults


@pytest.mark.parametrize(("code", "expected"), faults.CODES.items())
def test_each_error_code_has_its_class(code: str, expected: type[ConnectorError]) -> None:
    """A code decides alone: neither the status nor the kind of call changes its class."""
    for status in (400, 401, 403, 404, 500, 503):
        for is_write in (False, True):
            assert faults.error_class(status, code, is_write=is_write) is expected


@pytest.mark.parametrize(("status", "expected"), faults.STATUSES.items())
def test_each_status_has_its_class_for_an_unknown_code(
    status: int, expected: type[ConnectorError]
) -> None:
    """With a code nobody knows the status decides."""
    assert faults.error_class(status, "SOMETHING_NEW") is expected


@pytest.mark.parametrize("status", [402, 403, 404, 406, 418, 420, 451])
def test_an_answer_without_code_is_a_gateway_speaking(status: int) -> None:
    """A client error that names no code did not come from the API; the call is worth repeating."""
    assert faults.error_class(status, "") is TransientError
    assert faults.error_class(status, "", is_write=True) is TransientError


@pytest.mark.parametrize("status", sorted(faults.MAYBE_WRITTEN))
def test_a_gateway_answer_to_a_write_leaves_its_outcome_unknown(status: int) -> None:
    """Without a code from Salesforce a 5xx or 408 says nothing about a write."""
    assert faults.error_class(status, "", is_write=True) is OutcomeUnknown
    assert faults.error_class(status, "") is TransientError


def test_statuses_beyond_the_table_fall_to_their_hundred() -> None:
    """A status nobody knows is transient from 500 up and a refusal below."""
    assert faults.error_class(599, "NEW") is TransientError
    assert faults.error_class(422, "NEW") is RecordRejected


def test_the_error_list_is_read() -> None:
    """Code, message and fields come from the first entry of the list."""
    body = b'[{"message":"Required fields are missing: [Name]","errorCode":"REQUIRED_FIELD_MISSING","fields":["Name"]}]'  # noqa: E501

    error = faults.error_from(faults.refusal_of(400, {}, body), operation="create Account")

    assert type(error) is RecordRejected
    assert (error.code, error.status, error.fields) == ("REQUIRED_FIELD_MISSING", 400, ("Name",))
    assert "Required fields are missing: [Name]" in str(error)


def test_status_300_means_several_records() -> None:
    """The list of addresses that comes with 300 is no error list and needs none."""
    refusal = faults.refusal_of(300, {}, b'["/services/data/v65.0/sobjects/X/001"]')

    assert isinstance(faults.error_from(refusal, operation="x"), AmbiguousExternalId)


@pytest.mark.parametrize("body", [b"", b"<html>Sorry</html>", b'"text"', b"[]", b'["x"]', b"{"])
def test_a_body_that_is_no_error_list_leaves_the_code_empty(body: bytes) -> None:
    """Gateway pages and empty bodies are survived."""
    assert faults.refusal_of(503, {}, body).code == ""


def test_retry_after_is_carried() -> None:
    """A rate limit names its time when Salesforce does, and None otherwise."""
    body = b'[{"message":"x","errorCode":"REQUEST_LIMIT_EXCEEDED"}]'

    with_time = faults.error_from(
        faults.refusal_of(403, {"Retry-After": "7"}, body), operation="query"
    )
    without = faults.error_from(
        faults.refusal_of(403, {"Retry-After": "soon"}, body), operation="query"
    )

    assert isinstance(with_time, RateLimited)
    assert with_time.retry_after == 7.0
    assert isinstance(without, RateLimited)
    assert without.retry_after is None


def test_secrets_never_reach_the_sentence() -> None:
    """What the vendor echoes is cleaned of secrets, tokens and markup."""
    body = b'[{"message":"bad s3cr3t Bearer 00Dx!abcdefgh <b>now</b>","errorCode":"NOT_FOUND"}]'

    error = faults.error_from(faults.refusal_of(404, {}, body), operation="x", secrets=("s3cr3t",))

    assert isinstance(error, RecordNotFound)
    assert "s3cr3t" not in str(error)
    assert "00Dx!" not in str(error)
    assert "<b>" not in str(error)


def _wrapped(reason: Exception) -> requests.ConnectionError:
    pool = urllib3.HTTPSConnectionPool("acme.example")
    return requests.ConnectionError(urllib3.exceptions.MaxRetryError(pool, "/", reason))


def _not_sent() -> list[tuple[requests.RequestException, str]]:
    connection = urllib3.connection.HTTPSConnection("acme.example")
    refused = urllib3.exceptions.NewConnectionError(connection, "refused")
    refused.__cause__ = ConnectionRefusedError(111, "refused")
    unreachable = urllib3.exceptions.NewConnectionError(connection, "no route")
    return [
        (
            _wrapped(
                urllib3.exceptions.NameResolutionError(
                    "acme.example", connection, socket.gaierror()
                )
            ),
            "unknown_host",
        ),
        (_wrapped(refused), "connection_refused"),
        (_wrapped(unreachable), "no_connection"),
        (requests.ConnectTimeout(), "connect_timeout"),
        (_wrapped(urllib3.exceptions.ProxyError("no", OSError())), "proxy"),
    ]


@pytest.mark.parametrize(("cause", "code"), _not_sent())
@pytest.mark.parametrize("is_write", [False, True])
def test_a_call_that_was_never_sent_is_never_an_unknown_outcome(
    cause: requests.RequestException, code: str, is_write: bool
) -> None:
    """Before the bytes leave, a write is as repeatable as a read."""
    error = faults.transport_error(
        cause, operation="x", host="acme.example", is_write=is_write, first_contact=False
    )

    assert type(error) is TransientError
    assert error.code == code
    assert "acme.example" in str(error)


@pytest.mark.parametrize(("cause", "code"), _not_sent())
def test_a_host_never_heard_from_is_a_matter_of_configuration(
    cause: requests.RequestException, code: str
) -> None:
    """At the first contact a person has to look at the address."""
    error = faults.transport_error(
        cause, operation="sign-in", host="acme.example", is_write=False, first_contact=True
    )

    assert type(error) is ConfigurationError
    assert error.code == code


def test_a_certificate_that_is_not_trusted_is_a_matter_of_configuration() -> None:
    """No retry makes a certificate trusted."""
    cause = requests.exceptions.SSLError(
        urllib3.exceptions.MaxRetryError(
            urllib3.HTTPSConnectionPool("x"),
            "/",
            urllib3.exceptions.SSLError(ssl.SSLCertVerificationError("self signed")),
        )
    )

    error = faults.transport_error(
        cause, operation="x", host="acme.example", is_write=True, first_contact=False
    )

    assert type(error) is ConfigurationError
    assert error.code == "tls_not_trusted"


@pytest.mark.parametrize(
    "cause",
    [
        requests.ReadTimeout(),
        requests.ConnectionError(urllib3.exceptions.ProtocolError("reset", ConnectionResetError())),
        requests.exceptions.ChunkedEncodingError(),
        requests.exceptions.SSLError("unexpected end"),
    ],
)
def test_a_lost_answer_to_a_write_is_an_unknown_outcome(cause: requests.RequestException) -> None:
    """Once sent, only a read may be called transient."""
    written = faults.transport_error(
        cause, operation="x", host="h", is_write=True, first_contact=True
    )
    read = faults.transport_error(
        cause, operation="x", host="h", is_write=False, first_contact=False
    )

    assert type(written) is OutcomeUnknown
    assert type(read) is TransientError
