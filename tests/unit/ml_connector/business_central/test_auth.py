"""Sign-in to BC: what each refusal means, and one fresh token at a time."""

from __future__ import annotations

import threading
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from ml_connector.business_central.auth import ENTRA_CODES, SIGN_IN_ERRORS
from ml_connector.business_central.client import BusinessCentralClient
from ml_connector.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectorError,
    RateLimited,
    TransientError,
)

REFUSED = {"error": {"code": "Authentication_InvalidCredentials", "message": "no"}}


def refusal(error: str, *numbers: int) -> dict[str, Any]:
    """Return a refusal of the token endpoint."""
    return {
        "error": error,
        "error_description": "AADSTS: no a-very-secret-client-secret here. Trace ID: x",
        "error_codes": list(numbers),
        "correlation_id": "corr-1",
    }


def test_the_sign_in_is_the_client_credentials_flow(
    client: BusinessCentralClient, tenant: Any
) -> None:
    """Id, secret and BC's scope go to the tenant's token endpoint, once for many calls."""
    tenant.answers = [(200, {"value": []}, {})] * 2

    list(client.pages("items"))
    list(client.pages("items"))

    (sent,) = tenant.sign_ins
    form = parse_qs(sent.content.decode())
    assert form["grant_type"] == ["client_credentials"]
    assert form["client_secret"] == ["a-very-secret-client-secret"]
    assert form["scope"] == ["https://api.businesscentral.dynamics.com/.default"]
    assert {r.headers["Authorization"] for r in tenant.requests} == {"Bearer token-1"}


@pytest.mark.parametrize("status", [400, 401])
@pytest.mark.parametrize("number", ENTRA_CODES)
def test_each_entra_number_has_its_class(
    client: BusinessCentralClient, tenant: Any, number: int, status: int
) -> None:
    """The number decides, whatever the status and the OAuth word beside it."""
    expected, code, sentence, _remedy = ENTRA_CODES[number]
    tenant.sign_in_answers = [(status, refusal("invalid_request", 1, number), {})]

    with pytest.raises(ConnectorError) as caught:
        client.company()

    assert type(caught.value) is expected
    assert caught.value.code == code
    assert sentence in str(caught.value)
    assert caught.value.request_id == "corr-1"


@pytest.mark.parametrize("status", [400, 401])
@pytest.mark.parametrize("error", SIGN_IN_ERRORS)
def test_each_refusal_has_its_class(
    client: BusinessCentralClient, tenant: Any, error: str, status: int
) -> None:
    """Without a known number the OAuth word decides; the secret is never shown."""
    expected, code, _sentence, _remedy = SIGN_IN_ERRORS[error]
    tenant.sign_in_answers = [(status, refusal(error), {})]

    with pytest.raises(ConnectorError) as caught:
        client.company()

    assert type(caught.value) is expected
    assert caught.value.code == code
    assert "a-very-secret" not in str(caught.value)
    assert "a-very-secret" not in repr(client.settings)


@pytest.mark.parametrize(
    ("discovery", "expected", "code"),
    [
        ((400, {"error": "invalid_tenant"}, {}), ConfigurationError, "wrong_tenant"),
        ((404, b"<html>", {}), ConfigurationError, "wrong_tenant"),
        ((200, b"<html>", {}), ConfigurationError, "wrong_authority"),
        ((200, {}, {}), ConfigurationError, "wrong_authority"),
        ((503, b"", {}), TransientError, "service_unavailable"),
        ((429, b"", {}), RateLimited, "rate_limited"),
        (httpx.ConnectError("x"), ConfigurationError, "no_connection"),
        (httpx.ReadTimeout("x"), TransientError, "timeout"),
    ],
)
def test_an_authority_that_is_none_is_told_apart(
    client: BusinessCentralClient,
    tenant: Any,
    discovery: Any,
    expected: type[ConnectorError],
    code: str,
) -> None:
    """A tenant it does not know, a host that is none, one that is down or cannot be reached."""
    tenant.discovery = discovery

    with pytest.raises(ConnectorError) as caught:
        client.company()

    assert type(caught.value) is expected
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((503, b"", {}), TransientError),
        ((200, b"<html>", {}), ConfigurationError),
        ((400, {"error": "brand_new"}, {}), AuthenticationError),
        ((400, b"<html>", {}), ConnectorError),
    ],
)
def test_other_answers_of_the_token_endpoint(
    client: BusinessCentralClient, tenant: Any, answer: Any, expected: type[ConnectorError]
) -> None:
    """Whatever comes back, one sentence of ours goes out."""
    tenant.sign_in_answers = [answer]

    with pytest.raises(expected):
        client.company()


def test_a_cured_error_is_not_repeated_from_a_cache(
    client: BusinessCentralClient, tenant: Any
) -> None:
    """After the secret was corrected on the other side the next call signs in."""
    tenant.sign_in_answers = [(401, refusal("invalid_client", 7000215), {})]
    with pytest.raises(AuthenticationError):
        client.company()

    assert client.company().name == "CRONUS US"


def test_a_dead_token_is_replaced_once(client: BusinessCentralClient, tenant: Any) -> None:
    """A 401 costs one sign-in and the same call again, a write included."""
    client.company()
    sent: list[int] = []
    tenant.answers = [(401, REFUSED, {}), (201, {"id": "x"}, {})]

    client.create("items", {"number": "A"}, on_send=lambda: sent.append(1))

    assert len(tenant.sign_ins) == 2
    assert [r.headers["Authorization"] for r in tenant.requests] == [
        "Bearer token-1",
        "Bearer token-2",
    ]
    assert len(sent) == 2


def test_a_fresh_token_refused_again_is_a_matter_of_credentials(
    client: BusinessCentralClient, tenant: Any
) -> None:
    """After one fresh token the connector stops asking and names the page in BC."""
    tenant.companies = (401, REFUSED, {})

    with pytest.raises(AuthenticationError) as caught:
        client.company()

    assert len(tenant.sign_ins) == 2
    assert "Microsoft Entra Applications" in caught.value.remedy


def test_threads_share_one_fresh_token(client: BusinessCentralClient, tenant: Any) -> None:
    """Five refused calls at once lead to one sign-in."""
    old = client.auth.token()
    start = threading.Barrier(5)
    renewed = []

    def renew() -> None:
        start.wait()
        renewed.append(client.auth.renewed(old).secret)

    threads = [threading.Thread(target=renew) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(tenant.sign_ins) == 2
    assert set(renewed) == {"token-2"}


def test_a_token_near_its_end_is_replaced_in_time(
    client: BusinessCentralClient, tenant: Any
) -> None:
    """A short life is used for half of it, not asked for anew with each call."""
    now = [0.0]
    client.auth._now = lambda: now[0]
    tenant.sign_in_answers = [(200, {"access_token": "short", "expires_in": 60}, {})]

    assert client.auth.token().secret == "short"
    now[0] = 29.0
    assert client.auth.token().secret == "short"
    now[0] = 31.0
    assert client.auth.token().secret == "token-2"
    assert "token-2" not in repr(client.auth.token())
