"""Sign-in by the OAuth client-credentials flow, and one new session when the org ends one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import requests

from ml_connector import wire_json
from ml_connector.domain.clock import Clock
from ml_connector.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectorError,
    ContractError,
    RateLimited,
    TransientError,
)
from ml_connector.redaction import redacted
from ml_connector.salesforce import faults
from ml_connector.salesforce.http import CONNECT_SECONDS, READ_SECONDS
from ml_connector.salesforce.settings import SalesforceSettings

OPERATION = "sign-in"
CALL_OPTIONS = {"Sforce-Call-Options": "client=ml-connector"}

_MY_DOMAIN = (
    "Set my_domain_url to the org's own My Domain address, such as "
    "https://acme.my.salesforce.com, then run `connect` again."
)
_APP = "Check the external client app in Salesforce, then run `connect` again."

SIGN_IN_ERRORS: dict[str, tuple[type[ConnectorError], str, str, str]] = {
    "invalid_client_id": (
        AuthenticationError,
        "unknown_client",
        "Salesforce does not know the client id",
        "Check client_id; a new app is accepted about ten minutes after it was saved.",
    ),
    "invalid_client": (
        AuthenticationError,
        "wrong_secret",
        "Salesforce refused the client secret",
        "Copy the consumer secret of the app again, then run `connect` again.",
    ),
    "invalid_grant": (
        AuthenticationError,
        "invalid_grant",
        "Salesforce refused the sign-in of the app",
        "Use the org's My Domain address, enable the client-credentials flow on the app and "
        "choose an active run-as user.",
    ),
    "unsupported_grant_type": (
        AuthenticationError,
        "unsupported_grant_type",
        "The client-credentials flow is not enabled for the app",
        "Enable the client-credentials flow on the app and choose its run-as user.",
    ),
    "invalid_app_access": (
        AuthenticationError,
        "invalid_app_access",
        "The run-as user may not use the app",
        "Pre-authorise the run-as user's profile or permission set on the app.",
    ),
    "inactive_user": (
        AuthenticationError,
        "inactive_user",
        "The run-as user is not active",
        "Activate the run-as user in Salesforce.",
    ),
    "inactive_org": (
        AuthenticationError,
        "inactive_org",
        "The Salesforce org is not active",
        "Ask Salesforce to activate the org.",
    ),
    "invalid_request": (
        ConfigurationError,
        "invalid_request",
        "Salesforce did not accept the form of the sign-in",
        _MY_DOMAIN,
    ),
    "rate_limit_exceeded": (RateLimited, "rate_limited", "Too many sign-ins for the user", ""),
    "server_error": (TransientError, "server_error", "Salesforce cannot sign in now", ""),
    "temporarily_unavailable": (
        TransientError,
        "temporarily_unavailable",
        "Salesforce cannot sign in now",
        "",
    ),
}
"""By OAuth error code, whether it comes with status 400 or 401."""

NOT_MY_DOMAIN = ("login.salesforce.com", "test.salesforce.com")
NOT_MY_DOMAIN_ENDINGS = (".lightning.force.com", ".salesforce-setup.com", ".force.com")


@dataclass(frozen=True, slots=True)
class Session:
    """One signed-in session; the token is not part of its text."""

    token: str = field(repr=False)
    instance_url: str
    organization_id: str
    user_id: str
    signed_in_at: datetime
    scope: str = ""
    """What the session may be used for, blanks between; "" when the answer did not say."""


class SalesforceAuth:
    """Holds the session of one app; safe for several threads, one sign-in at a time."""

    def __init__(
        self,
        settings: SalesforceSettings,
        http: requests.Session,
        clock: Clock,
        *,
        on_call: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._http = http
        self._clock = clock
        self._on_call = on_call
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._answered = False

    def session(self) -> Session:
        """Return the session, signing in when there is none.

        Raises: AuthenticationError, ConfigurationError (wrong host, unreachable, certificate),
        RateLimited, TransientError.
        """
        with self._lock:
            if self._session is None:
                self._session = self._sign_in()
            return self._session

    def renewed(self, refused: Session) -> Session:
        """Return a session newer than *refused*; one sign-in however many threads ask."""
        with self._lock:
            if self._session is None or self._session.token == refused.token:
                self._session = None
                self._session = self._sign_in()
            return self._session

    def secrets(self) -> tuple[str, ...]:
        """Return what must never be shown."""
        session = self._session
        return (
            self._settings.client_secret.get_secret_value(),
            session.token if session else "",
        )

    def _sign_in(self) -> Session:
        response = self._post()
        self._answered = True
        if response.status_code != 200:
            raise self._refused(response)
        try:
            return self._session_from(wire_json.decode(response.content))
        except ContractError as error:
            raise ConfigurationError(
                f"{self._host} does not answer like Salesforce's sign-in.",
                system=faults.SYSTEM,
                operation=OPERATION,
                code="wrong_host",
                status=200,
                remedy=_MY_DOMAIN,
            ) from error

    def _post(self) -> requests.Response:
        self._on_call()
        try:
            return self._http.post(
                f"{self._settings.my_domain_url}/services/oauth2/token",
                data={
                    "grant_type": "client_credentials",
                    "client_id": self._settings.client_id,
                    "client_secret": self._settings.client_secret.get_secret_value(),
                },
                headers={"Accept": "application/json", **CALL_OPTIONS},
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise faults.transport_error(
                error,
                operation=OPERATION,
                host=self._host,
                is_write=False,
                first_contact=not self._answered,
            ) from error

    @property
    def _host(self) -> str:
        return urlsplit(self._settings.my_domain_url).netloc

    def _refused(self, response: requests.Response) -> ConnectorError:
        refusal = faults.refusal_of(response.status_code, response.headers, response.content)
        status = refusal.status
        if self._is_no_my_domain() and not (status >= 500 or status == 429):
            return ConfigurationError(
                f"{self._host} is not a My Domain address; this sign-in works there only.",
                system=faults.SYSTEM,
                operation=OPERATION,
                code="unsupported_domain",
                status=status,
                remedy=_MY_DOMAIN,
            )
        if refusal.code in SIGN_IN_ERRORS:
            kind, code, sentence, remedy = SIGN_IN_ERRORS[refusal.code]
        elif status == 429:
            kind, code, sentence, remedy = SIGN_IN_ERRORS["rate_limit_exceeded"]
        elif status >= 500 or status in (406, 420):
            kind, code, sentence, remedy = SIGN_IN_ERRORS["server_error"]
        elif refusal.code:
            kind, code, sentence = AuthenticationError, refusal.code, "Salesforce refused sign-in"
            remedy = _APP
        else:
            kind, code, remedy = ConfigurationError, "wrong_host", _MY_DOMAIN
            sentence = f"{self._host} does not answer like Salesforce's sign-in (HTTP {status})"
        said = redacted(refusal.message, self.secrets())
        attributes: dict[str, Any] = {"retry_after": refusal.retry_after}
        return kind(
            f"{sentence}: {said}." if said else f"{sentence}.",
            system=faults.SYSTEM,
            operation=OPERATION,
            code=code,
            status=status,
            remedy=remedy,
            **(attributes if issubclass(kind, RateLimited) else {}),
        )

    def _is_no_my_domain(self) -> bool:
        host = (urlsplit(self._settings.my_domain_url).hostname or "").lower()
        return host in NOT_MY_DOMAIN or host.endswith(NOT_MY_DOMAIN_ENDINGS)

    def _session_from(self, content: Any) -> Session:
        if not isinstance(content, dict):
            raise ContractError("the sign-in answer is no object")
        token, instance_url = content.get("access_token"), content.get("instance_url")
        if not isinstance(token, str) or not token:
            raise ContractError("the sign-in answer has no access_token")
        if not isinstance(instance_url, str) or urlsplit(instance_url).scheme != "https":
            raise ContractError("the sign-in answer has no https instance_url")
        identity = urlsplit(str(content.get("id") or "")).path.strip("/").split("/")
        organization_id, user_id = identity[-2:] if len(identity) >= 3 else ("", "")
        return Session(
            token=token,
            instance_url=instance_url.rstrip("/"),
            organization_id=organization_id,
            user_id=user_id,
            signed_in_at=self._clock.now(),
            scope=str(content.get("scope") or ""),
        )
