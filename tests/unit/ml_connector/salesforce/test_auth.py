"""Sign-in to Salesforce: what is sent, what each refusal means, and one new session at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests

from ml_connector.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectorError,
    RateLimited,
    TransientError,
)
from ml_connector.salesforce.auth import SIGN_IN_ERRORS
from ml_connector.salesforce.client import SalesforceClient
from ml_connector.salesforce.settings import SalesforceSettings

ENDED: tuple[int, Any, dict[str, str]] = (
    401,
    [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}],
    {},
)


def test_the_sign_in_is_the_client_credentials_flow(client: SalesforceClient, org: Any) -> None:
    """Id and secret go to the My Domain host as a form; the answer names org, user and address."""
    assert client.organization_id == "00D000000000001EAA"
    assert client.user_id == "005000000000001AAA"
    assert client.instance_url == "https://instance.example"

    (sent,) = org.sign_ins
    assert sent.method == "POST"
    assert sent.url == "https://acme.example/services/oauth2/token"
    assert parse_qs(sent.body) == {
        "grant_type": ["client_credentials"],
        "client_id": ["key"],
        "client_secret": ["a-very-secret-consumer-secret"],
    }


@pytest.mark.parametrize("status", [400, 401])
@pytest.mark.parametrize("error", SIGN_IN_ERRORS)
def test_each_refusal_has_its_class_whatever_the_status(
    client: SalesforceClient, org: Any, error: str, status: int
) -> None:
    """Both readings of the status are survived; the sentence never shows the secret."""
    expected, code, sentence, _remedy = SIGN_IN_ERRORS[error]
    said = "no a-very-secret-consumer-secret here"
    org.sign_in_answers = [(status, {"error": error, "error_description": said}, {})]

    with pytest.raises(ConnectorError) as caught:
        client.limits()

    assert type(caught.value) is expected
    assert caught.value.code == code
    assert sentence in str(caught.value)
    assert "a-very-secret" not in str(caught.value)
    assert "a-very-secret" not in repr(client.settings)


@pytest.mark.parametrize(
    ("answer", "expected", "code"),
    [
        ((400, {"error": "brand_new", "error_description": "x"}, {}), AuthenticationError, ""),
        ((404, b"<html>", {}), ConfigurationError, "wrong_host"),
        ((302, b"", {"Location": "https://elsewhere.example"}), ConfigurationError, "wrong_host"),
        ((200, b"<html>hello</html>", {}), ConfigurationError, "wrong_host"),
        ((200, {"access_token": "x"}, {}), ConfigurationError, "wrong_host"),
        ((200, {"instance_url": "https://x.example"}, {}), ConfigurationError, "wrong_host"),
        ((200, [], {}), ConfigurationError, "wrong_host"),
        ((503, b"down", {}), TransientError, "server_error"),
        ((420, b"", {}), TransientError, "server_error"),
        ((429, b"", {"Retry-After": "9"}), RateLimited, "rate_limited"),
        (requests.ConnectTimeout(), ConfigurationError, "connect_timeout"),
        (requests.ReadTimeout(), TransientError, "timeout"),
    ],
)
def test_other_answers_are_told_apart(
    client: SalesforceClient, org: Any, answer: Any, expected: type[ConnectorError], code: str
) -> None:
    """A host that is no Salesforce, one that is down and one that cannot be reached differ."""
    org.sign_in_answers = [answer]

    with pytest.raises(ConnectorError) as caught:
        client.limits()

    assert type(caught.value) is expected
    assert caught.value.code == (code or "brand_new")


@pytest.mark.parametrize(
    "host", ["login.salesforce.com", "test.salesforce.com", "acme.lightning.force.com"]
)
def test_a_host_that_is_no_my_domain_is_named(
    org: Any,
    host: str,
    settings: SalesforceSettings,
    client_of: Callable[[SalesforceSettings], SalesforceClient],
) -> None:
    """Salesforce's general sign-in hosts refuse this flow; the remedy says which address to use."""
    client = client_of(settings.model_copy(update={"my_domain_url": f"https://{host}"}))
    org.sign_in_answers = [(400, {"error": "invalid_grant", "error_description": "no"}, {})]

    with pytest.raises(ConfigurationError) as caught:
        client.limits()

    assert caught.value.code == "unsupported_domain"
    assert "my.salesforce.com" in caught.value.remedy


def test_an_ended_session_is_replaced_once(client: SalesforceClient, org: Any) -> None:
    """A 401 costs one sign-in and the same call again with the new token."""
    org.answers = [ENDED, (200, {"DailyApiRequests": {"Max": 5, "Remaining": 4}}, {})]

    assert client.limits()["DailyApiRequests"]["Max"] == 5
    assert len(org.sign_ins) == 2
    assert org.requests[1].headers["Authorization"] == "Bearer 00D000000000001!token2"


@pytest.mark.parametrize("body", [ENDED[1], b"", [{"errorCode": "SOMETHING", "message": "x"}]])
def test_a_fresh_session_refused_again_is_a_matter_of_credentials(
    client: SalesforceClient, org: Any, body: Any
) -> None:
    """After one fresh token the connector stops asking."""
    org.answers = [(401, body, {}), (401, body, {})]

    with pytest.raises(AuthenticationError):
        client.limits()

    assert len(org.sign_ins) == 2


def test_an_expired_password_is_not_asked_twice(client: SalesforceClient, org: Any) -> None:
    """A new session cannot cure it."""
    org.answers = [
        (401, [{"errorCode": "INVALID_OPERATION_WITH_EXPIRED_PASSWORD", "message": "x"}], {})
    ]

    with pytest.raises(AuthenticationError):
        client.limits()

    assert len(org.sign_ins) == 1


def test_threads_share_one_new_session(client: SalesforceClient, org: Any) -> None:
    """Five refused calls at once lead to one sign-in."""
    old = client.auth.session()
    start = threading.Barrier(5)
    renewed = []

    def renew() -> None:
        start.wait()
        renewed.append(client.auth.renewed(old).token)

    threads = [threading.Thread(target=renew) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(org.sign_ins) == 2
    assert set(renewed) == {"00D000000000001!token2"}


def test_ids_missing_in_the_sign_in_are_asked_for(client: SalesforceClient, org: Any) -> None:
    """Without an identity address the org and user come from userinfo."""
    org.sign_in_answers = [
        (200, {"access_token": "t", "instance_url": "https://instance.example"}, {})
    ]
    who = {"user_id": "005000000000009AAA", "organization_id": "00D000000000009EAA"}
    org.answers = [(200, who, {}), (200, who, {})]

    assert client.organization_id == "00D000000000009EAA"
    assert client.user_id == "005000000000009AAA"


def test_a_session_does_not_show_its_token(client: SalesforceClient) -> None:
    """Logging a session by accident is harmless."""
    assert "00D000000000001!first" not in repr(client.auth.session())
