"""The fault table of Business Central, row by row."""

from __future__ import annotations

import socket
import ssl

import httpx
import pytest

from ml_connector.business_central import faults
from ml_connector.errors import (
    AuthenticationError,
    ConcurrentEdit,
    ConfigurationError,
    ConnectorError,
    DuplicateKey,
    OutcomeUnknown,
    RateLimited,
    RecordNotFound,
    RecordRejected,
    TransientError,
)

CORRELATION = "a1b2c3d4-0000-1111-2222-333344445555"


@pytest.mark.parametrize(("code", "expected"), faults.CODES.items())
def test_each_error_code_has_its_class(code: str, expected: type[ConnectorError]) -> None:
    """A code decides whatever the status: a duplicate key comes with 400 or 409."""
    for status in (400, 404, 409, 500):
        for is_write in (False, True):
            assert faults.error_class(status, code, is_write=is_write) is expected


@pytest.mark.parametrize(("status", "expected"), faults.DECIDING_STATUSES.items())
@pytest.mark.parametrize("code", ["", "Unknown", "Application_DialogException"])
def test_some_statuses_decide_whatever_the_code(
    status: int, expected: type[ConnectorError], code: str
) -> None:
    """A call turned away is never a fault of the record it carried."""
    assert faults.error_class(status, code) is expected


@pytest.mark.parametrize(("beginning", "expected"), faults.FAMILIES.items())
def test_each_family_of_codes_has_its_class(beginning: str, expected: type[ConnectorError]) -> None:
    """A code that is not listed is judged by its family."""
    assert faults.error_class(400, f"{beginning}SomethingNew") is expected


@pytest.mark.parametrize(("status", "expected"), faults.STATUSES.items())
@pytest.mark.parametrize("code", ["", "Internal_SomethingNew", "Unknown"])
def test_each_status_has_its_class_for_a_read(
    status: int, expected: type[ConnectorError], code: str
) -> None:
    """Without a code that is known the status decides."""
    assert faults.error_class(status, code) is expected


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (408, "", OutcomeUnknown),
        (500, "", OutcomeUnknown),
        (500, "Internal_ServerError", OutcomeUnknown),
        (500, "Unknown", OutcomeUnknown),
        (400, "Unknown", RecordRejected),
        (500, "Application_DialogException", RecordRejected),
        (502, "", OutcomeUnknown),
        (502, "Internal_TenantUnavailable", OutcomeUnknown),
        (503, "", OutcomeUnknown),
        (503, "Internal_TenantUnavailable", TransientError),
        (503, "Internal_SomethingNew", TransientError),
        (504, "", OutcomeUnknown),
        (599, "", OutcomeUnknown),
        (400, "Internal_ServerError", RecordRejected),
        (409, "", TransientError),
        (409, "Internal_EntityWithSameKeyExists", DuplicateKey),
        (409, "Request_EntityChanged", ConcurrentEdit),
        (412, "", ConcurrentEdit),
        (429, "", RateLimited),
        (404, "", RecordNotFound),
        (422, "", RecordRejected),
    ],
)
def test_what_an_answer_says_about_a_write(
    status: int, code: str, expected: type[ConnectorError]
) -> None:
    """Only an answer of BC itself proves that nothing was written."""
    assert faults.error_class(status, code, is_write=True) is expected


def test_a_missing_permission_stops_a_read() -> None:
    """BC tells a missing permission with 400; reading cannot go on for any record."""
    body = b'{"error":{"code":"Internal_ServerError","message":"Sorry"}}'

    error = faults.error_from(faults.refusal_of_body(400, {}, body), operation="GET items")

    assert type(error) is ConfigurationError
    assert error.code == "missing_permission"
    assert "permission sets" in error.remedy


def test_a_missing_permission_of_a_write_is_named() -> None:
    """It is refused for that record, with the code and the remedy of the read."""
    body = b'{"error":{"code":"Internal_ServerError","message":"Sorry"}}'
    refusal = faults.refusal_of_body(400, {}, body)

    error = faults.error_from(refusal, operation="POST items", is_write=True)

    assert type(error) is RecordRejected
    assert error.code == "missing_permission"
    assert "permission sets" in error.remedy


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_a_wrong_address(status: int) -> None:
    """Following it could turn a write into a read."""
    error = faults.error_from(faults.refusal_of_body(status, {}, b""), operation="x")

    assert type(error) is ConfigurationError
    assert "base_url" in error.remedy


@pytest.mark.parametrize(
    "tail",
    [f"  CorrelationId:  {CORRELATION}.", f" CorrelationId: {CORRELATION}"],
)
def test_the_correlation_id_leaves_the_message(tail: str) -> None:
    """People read the sentence, support gets the id."""
    body = f'{{"error":{{"code":"Application_DialogException","message":"No stock.{tail}"}}}}'

    error = faults.error_from(
        faults.refusal_of_body(400, {}, body.encode()), operation="POST salesOrders", record_id="r"
    )

    assert type(error) is RecordRejected
    assert (str(error), error.request_id, error.record_id) == ("No stock.", CORRELATION, "r")
    assert error.code == "Application_DialogException"


def test_the_request_id_may_come_in_a_header() -> None:
    """A gateway's answer has no message to carry it."""
    refusal = faults.refusal_of_body(502, {"request-id": "abc"}, b"<html>")

    assert faults.error_from(refusal, operation="x").request_id == "abc"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error":"text"}', b"{"])
def test_a_body_that_is_no_error_leaves_the_code_empty(body: bytes) -> None:
    """Gateway pages and cut bodies are survived."""
    assert faults.refusal_of_body(500, {}, body).code == ""


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry-after": "5"}, 5.0),
        ({}, None),
        ({"retry-after": "soon"}, None),
        (
            {
                "retry-after": "Wed, 21 Oct 2026 07:28:10 GMT",
                "date": "Wed, 21 Oct 2026 07:28:00 GMT",
            },
            10.0,
        ),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:10 GMT"}, None),
    ],
)
def test_retry_after_is_read(headers: dict[str, str], expected: float | None) -> None:
    """Seconds or a time; absent or unreadable is None."""
    error = faults.error_from(faults.refusal_of_body(429, headers, b""), operation="x")

    assert isinstance(error, RateLimited)
    assert error.retry_after == expected


def test_secrets_never_reach_the_sentence() -> None:
    """What the vendor echoes is cleaned."""
    body = b'{"error":{"code":"BadRequest","message":"bad s3cr3t Bearer eyJhbGciOi.eyJ.x"}}'

    error = faults.error_from(
        faults.refusal_of_body(400, {}, body), operation="x", secrets=("s3cr3t",)
    )

    assert str(error) == "bad *** ***"


def test_a_refused_token_names_the_page_in_bc() -> None:
    """The step that is easily forgotten is in the remedy."""
    error = faults.error_from(faults.refusal_of_body(401, {}, b""), operation="GET companies")

    assert type(error) is AuthenticationError
    assert "Microsoft Entra Applications" in error.remedy


def _connect_error(cause: BaseException) -> httpx.ConnectError:
    error = httpx.ConnectError("x")
    error.__cause__ = cause
    return error


NOT_SENT = [
    (_connect_error(socket.gaierror()), "unknown_host"),
    (_connect_error(ConnectionRefusedError()), "connection_refused"),
    (_connect_error(ssl.SSLError("wrong version")), "tls_failed"),
    (_connect_error(OSError()), "no_connection"),
    (httpx.ConnectTimeout("x"), "connect_timeout"),
    (httpx.PoolTimeout("x"), "connect_timeout"),
    (httpx.ProxyError("x"), "proxy"),
]


@pytest.mark.parametrize(("cause", "code"), NOT_SENT)
def test_a_call_that_was_never_sent_is_never_an_unknown_outcome(
    cause: httpx.TransportError, code: str
) -> None:
    """Before the bytes leave a write may be repeated, even at the first contact."""
    for first_contact in (False, True):
        error = faults.transport_error(
            cause, operation="x", host="h", is_write=True, first_contact=first_contact
        )
        assert type(error) is TransientError
        assert error.code == code


@pytest.mark.parametrize(("cause", "code"), NOT_SENT)
def test_a_host_never_heard_from_is_a_matter_of_configuration(
    cause: httpx.TransportError, code: str
) -> None:
    """At the first contact a person has to look at the address."""
    error = faults.transport_error(
        cause, operation="x", host="h", is_write=False, first_contact=True
    )

    assert type(error) is ConfigurationError
    assert error.code == code


def test_a_certificate_that_is_not_trusted_is_a_matter_of_configuration() -> None:
    """No retry makes a certificate trusted."""
    error = faults.transport_error(
        _connect_error(ssl.SSLCertVerificationError("x")),
        operation="x",
        host="h",
        is_write=True,
        first_contact=False,
    )

    assert type(error) is ConfigurationError
    assert error.code == "tls_not_trusted"


@pytest.mark.parametrize(
    "cause",
    [
        httpx.ReadTimeout("x"),
        httpx.WriteTimeout("x"),
        httpx.ReadError("x"),
        httpx.WriteError("x"),
        httpx.RemoteProtocolError("x"),
        httpx.DecodingError("x"),
    ],
)
def test_a_lost_answer_to_a_write_is_an_unknown_outcome(cause: httpx.RequestError) -> None:
    """Once sent, only a read may be called transient."""
    written = faults.transport_error(
        cause, operation="x", host="h", is_write=True, first_contact=True
    )
    read = faults.transport_error(
        cause, operation="x", host="h", is_write=False, first_contact=True
    )

    assert type(written) is OutcomeUnknown
    assert type(read) is TransientError
