"""Sign-in to BC with MSAL: client credentials, one token at a time, a fresh one after a 401."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
import msal
from msal.authority import WELL_KNOWN_AUTHORITY_HOSTS
from msal.exceptions import MsalError

from ml_connector import wire_json
from ml_connector.business_central import faults
from ml_connector.business_central.settings import BusinessCentralSettings
from ml_connector.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectorError,
    ContractError,
    RateLimited,
    TransientError,
)
from ml_connector.redaction import redacted

OPERATION = "sign-in"
AUDIENCE = "https://api.businesscentral.dynamics.com"
SCOPES = [f"{AUDIENCE}/.default"]
LEEWAY_SECONDS = 60.0

_Reaction = tuple[type[ConnectorError], str, str, str]
"""Error class, code, sentence and remedy."""

_WRONG_SECRET: _Reaction = (
    AuthenticationError,
    "wrong_secret",
    "Microsoft Entra refused the client secret",
    "Create a client secret for the app in Microsoft Entra and set it in the connection file.",
)
_EXPIRED_SECRET: _Reaction = (
    AuthenticationError,
    "expired_secret",
    "The client secret has expired",
    "Create a client secret for the app in Microsoft Entra and set it in the connection file.",
)
_UNKNOWN_CLIENT: _Reaction = (
    AuthenticationError,
    "unknown_client",
    "Microsoft Entra does not know the client id in this tenant",
    "Check client_id; the app must be registered in, or consented to by, this tenant.",
)
_WRONG_TENANT: _Reaction = (
    ConfigurationError,
    "wrong_tenant",
    "Microsoft Entra does not know the tenant",
    "Check tenant_id and authority in the connection file.",
)
_LATER: _Reaction = (
    TransientError,
    "service_unavailable",
    "Microsoft Entra cannot sign in now",
    "",
)

ENTRA_CODES: dict[int, _Reaction] = {
    7000215: _WRONG_SECRET,
    7000222: _EXPIRED_SECRET,
    700016: _UNKNOWN_CLIENT,
    90002: _WRONG_TENANT,
    900023: _WRONG_TENANT,
    90033: _LATER,
    50196: _LATER,
}
"""By number of the AADSTS error."""

SIGN_IN_ERRORS: dict[str, _Reaction] = {
    "invalid_client": _WRONG_SECRET,
    "unauthorized_client": _UNKNOWN_CLIENT,
    "invalid_request": _WRONG_TENANT,
    "invalid_tenant": _WRONG_TENANT,
    "temporarily_unavailable": _LATER,
    "server_error": _LATER,
}
"""By OAuth error code, whether it comes with status 400 or 401."""


@dataclass(frozen=True, slots=True)
class Token:
    """One access token; it is not part of its text."""

    secret: str = field(repr=False)
    good_until: float


class _MsalHttp:
    """What MSAL calls through: our client, no redirects, and the last status for error texts."""

    def __init__(self, http: httpx.Client, on_call: Callable[[str], None]) -> None:
        self._http = http
        self._on_call = on_call
        self.answered = False
        self.last_status = 0

    def get(
        self,
        url: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        **_ignored: Any,
    ) -> httpx.Response:
        return self._noted(
            "GET", self._http.get(url, params=params or None, headers=_filled(headers))
        )

    def post(
        self,
        url: str,
        params: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        **_ignored: Any,
    ) -> httpx.Response:
        return self._noted(
            "POST",
            self._http.post(
                url, params=params or None, data=_filled(data), headers=_filled(headers)
            ),
        )

    def close(self) -> None:
        """Nothing: the client is not MSAL's."""

    def _noted(self, method: str, response: httpx.Response) -> httpx.Response:
        self._on_call(method)
        self.last_status = response.status_code
        self.answered = True
        return response


def _filled(values: Mapping[str, str] | None) -> dict[str, str]:
    return {name: value for name, value in (values or {}).items() if value is not None}


class BusinessCentralAuth:
    """Holds the token of one app; safe for several threads, one sign-in at a time."""

    def __init__(
        self,
        settings: BusinessCentralSettings,
        http: httpx.Client,
        *,
        on_call: Callable[[str], None] = lambda _method: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._msal_http = _MsalHttp(http, on_call)
        self._now = now
        self._lock = threading.Lock()
        self._token: Token | None = None

    def token(self) -> Token:
        """Return a token that is good for a while, signing in when there is none.

        Raises: AuthenticationError, ConfigurationError (tenant, unreachable, certificate),
        RateLimited, TransientError.
        """
        with self._lock:
            if self._token is None or self._token.good_until <= self._now():
                self._token = self._sign_in()
            return self._token

    def renewed(self, refused: Token) -> Token:
        """Return a token newer than *refused*; one sign-in however many threads ask."""
        with self._lock:
            if self._token is None or self._token.secret == refused.secret:
                self._token = None
                self._token = self._sign_in()
            return self._token

    def roles(self) -> frozenset[str] | None:
        """Return the application permissions the token was given; None when it does not say.

        The token is the service's to read: this is a hint for a person, never a decision.
        """
        parts = self.token().secret.split(".")
        if len(parts) != 3:
            return None
        try:
            padded = parts[1] + "=" * (-len(parts[1]) % 4)
            claims = wire_json.decode(base64.urlsafe_b64decode(padded))
        except (ContractError, ValueError):
            return None
        roles = claims.get("roles") if isinstance(claims, dict) else None
        return frozenset(map(str, roles)) if isinstance(roles, list) else None

    def secrets(self) -> tuple[str, ...]:
        """Return what must never be shown."""
        token = self._token
        return (
            self._settings.client_secret.get_secret_value(),
            token.secret if token else "",
        )

    @property
    def _host(self) -> str:
        return urlsplit(self._settings.authority).netloc

    def _sign_in(self) -> Token:
        # A new application each time: MSAL's own caches would hand out the token just refused,
        # or repeat an error for a minute after it was cured.
        self._msal_http.last_status = 0
        started = self._now()
        try:
            application = msal.ConfidentialClientApplication(
                self._settings.client_id,
                client_credential=self._settings.client_secret.get_secret_value(),
                authority=f"{self._settings.authority}/{self._settings.tenant_id}",
                instance_discovery=self._is_microsoft() or False,
                http_client=self._msal_http,
            )
            answer = application.acquire_token_for_client(scopes=SCOPES)
        except httpx.TransportError as error:
            raise faults.transport_error(
                error,
                operation=OPERATION,
                host=self._host,
                is_write=False,
                first_contact=not self._msal_http.answered,
            ) from error
        except (ValueError, KeyError, RuntimeError, MsalError, httpx.HTTPStatusError) as error:
            raise self._unreadable() from error
        if not isinstance(answer, dict) or not answer.get("access_token"):
            raise self._refused(answer if isinstance(answer, dict) else {})
        lifetime = float(answer.get("expires_in") or 3600)
        return Token(
            secret=str(answer["access_token"]),
            good_until=started + max(lifetime - LEEWAY_SECONDS, lifetime / 2),
        )

    def _is_microsoft(self) -> bool:
        return (urlsplit(self._settings.authority).hostname or "") in WELL_KNOWN_AUTHORITY_HOSTS

    def _unreadable(self) -> ConnectorError:
        """The error when the authority gave no answer that MSAL could read."""
        status = self._msal_http.last_status
        attributes: dict[str, Any] = {
            "system": faults.SYSTEM,
            "operation": OPERATION,
            "status": status,
        }
        if status == 429:
            return RateLimited("Too many sign-ins; Microsoft Entra asks to wait.", **attributes)
        if status >= 500:
            return TransientError(f"{self._host} cannot sign in now (HTTP {status}).", **attributes)
        if 400 <= status < 500:
            kind, code, sentence, remedy = _WRONG_TENANT
            return kind(
                f"{sentence} {self._settings.tenant_id}.", code=code, remedy=remedy, **attributes
            )
        return ConfigurationError(
            f"{self._host} does not answer like Microsoft Entra.",
            code="wrong_authority",
            remedy="Check authority in the connection file.",
            **attributes,
        )

    def _refused(self, answer: Mapping[str, Any]) -> ConnectorError:
        error = str(answer.get("error") or "")
        numbers = answer.get("error_codes")
        known = [
            ENTRA_CODES[number]
            for number in (numbers if isinstance(numbers, list) else [])
            if number in ENTRA_CODES
        ]
        if known:
            kind, code, sentence, remedy = known[0]
        elif error in SIGN_IN_ERRORS:
            kind, code, sentence, remedy = SIGN_IN_ERRORS[error]
        elif self._msal_http.last_status == 429 or self._msal_http.last_status >= 500:
            kind, code, sentence, remedy = _LATER
        else:
            kind, code, remedy = AuthenticationError, error, ""
            sentence = "Microsoft Entra refused the sign-in of the app"
        said = redacted(str(answer.get("error_description") or ""), self.secrets())
        return kind(
            f"{sentence}: {said}" if said else f"{sentence}.",
            system=faults.SYSTEM,
            operation=OPERATION,
            code=code,
            status=self._msal_http.last_status,
            remedy=remedy,
            request_id=str(answer.get("correlation_id") or ""),
        )
