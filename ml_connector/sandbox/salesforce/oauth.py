"""Signing in: tokens by client credentials, sessions, and who is signed in."""

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode
from xml.sax.saxutils import escape

from ml_connector.sandbox.salesforce.access import Person
from ml_connector.sandbox.salesforce.calls import Call, Reply
from ml_connector.sandbox.salesforce.faults import SalesforceFault
from ml_connector.sandbox.salesforce.org import SalesforceOrg

SCOPE = "api"
_SHARED_HOSTS = ("login.salesforce.com", "test.salesforce.com")
_HOUR = timedelta(hours=1)


@dataclass(slots=True)
class Session:
    """An access token's life."""

    user_id: str
    issued: datetime
    last_used: datetime


class TokenFault(Exception):
    """The token endpoint refuses."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description
        self.status = status


class OAuth:
    """The sessions of an org."""

    def __init__(self, org: SalesforceOrg) -> None:
        self._org = org

    @property
    def _sessions(self) -> dict[str, Session]:
        found: dict[str, Session] = self._org.services.setdefault("sessions", {})
        return found

    @property
    def _logins(self) -> list[datetime]:
        found: list[datetime] = self._org.services.setdefault("logins", [])
        return found

    # --- sessions --------------------------------------------------------------------------

    def user_of_token(self, token: str, *, use: bool = True) -> str | None:
        """The user whose live session this is; looking counts as use unless told otherwise."""
        session = self._sessions.get(token)
        if session is None:
            return None
        now = self._org.frame.clock.now()
        if now >= self._end(session):
            del self._sessions[token]
            return None
        if use:
            session.last_used = now
        return session.user_id

    def _end(self, session: Session) -> datetime:
        return session.last_used + timedelta(
            seconds=float(self._org.switch("session_timeout_seconds"))
        )

    def expire_sessions(self) -> None:
        """Ends every session."""
        self._sessions.clear()

    def signed_in(self, call: Call) -> Person:
        """The user of a call; 401 without a live session."""
        scheme, _, token = call.header("authorization").partition(" ")
        if scheme.lower() in ("bearer", "oauth"):
            user_id = self.user_of_token(token.strip())
            if user_id is not None:
                return self._org.people[user_id]
        raise SalesforceFault("INVALID_SESSION_ID", "The session has ended or never was")

    def open(self, user_id: str) -> str:
        """A new session for a user."""
        now = self._org.frame.clock.now()
        token = f"{self._org.organization_id[:15]}!{secrets.token_urlsafe(72)[:96]}"
        self._sessions[token] = Session(user_id, now, now)
        return token

    # --- resources -------------------------------------------------------------------------

    def token(self, call: Call) -> Reply:
        """The token endpoint."""
        try:
            return _formatted(call, self._grant(call))
        except TokenFault as fault:
            return _formatted(call, refusal(fault))

    def _grant(self, call: Call) -> Reply:
        if call.method != "POST":
            raise TokenFault("invalid_request", "only POST is taken")
        form = call.form
        grant = form.get("grant_type")
        if not grant:
            raise TokenFault("invalid_request", "grant_type is missing")
        if call.host.partition(":")[0].lower() in _SHARED_HOSTS:
            raise TokenFault("invalid_grant", "request not supported on this domain")
        if grant != "client_credentials":
            raise TokenFault("unsupported_grant_type", "this grant type is not taken")
        self._check_client(call, form)
        self._check_user()
        self._count_login()
        return Reply(200, self._answer(call))

    def _check_client(self, call: Call, form: dict[str, str]) -> None:
        client_id, client_secret = _credentials(call, form)
        if not client_id:
            raise TokenFault("invalid_request", "client_id is missing")
        if client_id != self._org.client_id:
            raise TokenFault("invalid_client_id", "no app has this client_id")
        if not hmac.compare_digest(client_secret.encode(), self._org.client_secret.encode()):
            status = int(self._org.switch("token_invalid_client_status"))
            raise TokenFault("invalid_client", "the client secret is not this app's", status)

    def _check_user(self) -> None:
        switch = self._org.switch
        if not switch("organization_active"):
            raise TokenFault("inactive_org", "the org is not active")
        if not switch("client_credentials_enabled"):
            raise TokenFault("invalid_grant", "client credentials are not enabled for this app")
        if not switch("run_as_user"):
            raise TokenFault("invalid_grant", "the app has no user to run as")
        person = self._org.integration_user
        if not switch("user_active") or not person.active:
            raise TokenFault("inactive_user", "the user to run as is not active")
        if switch("user_frozen") or person.frozen:
            raise TokenFault("invalid_grant", "the user to run as is frozen")
        if not switch("app_approved"):
            raise TokenFault("invalid_app_access", "the user to run as may not use this app")

    def _count_login(self) -> None:
        now = self._org.frame.clock.now()
        logins = self._logins
        logins[:] = [moment for moment in logins if now - _HOUR < moment <= now]
        if len(logins) >= int(self._org.switch("logins_per_hour")):
            raise TokenFault("rate_limit_exceeded", "too many logins within the hour")
        logins.append(now)

    def _answer(self, call: Call) -> dict[str, Any]:
        org = self._org
        base = f"https://{call.host}"
        identity = f"{base}/id/{org.organization_id}/{org.user_id}"
        issued = str(int(org.frame.clock.now().timestamp() * 1000))
        signed = hmac.new(
            org.client_secret.encode(), (identity + issued).encode(), hashlib.sha256
        ).digest()
        return {
            "access_token": self.open(org.user_id),
            "signature": base64.b64encode(signed).decode(),
            "scope": SCOPE,
            "instance_url": base,
            "id": identity,
            "token_type": "Bearer",
            "issued_at": issued,
        }

    def introspect(self, call: Call) -> Reply:
        """Tells the app whether a token is alive and until when."""
        form = call.form
        try:
            if call.method != "POST":
                raise TokenFault("invalid_request", "only POST is taken")
            self._check_client(call, form)
        except TokenFault as fault:
            return refusal(fault)
        token = form.get("token", "")
        user_id = self.user_of_token(token, use=False)
        if user_id is None:
            return Reply(200, {"active": False})
        session = self._sessions[token]
        issued = int(session.issued.timestamp())
        sub = f"https://{call.host}/id/{self._org.organization_id}/{user_id}"
        return Reply(
            200,
            {
                "active": True,
                "scope": SCOPE,
                "client_id": self._org.client_id,
                "username": self._org.people[user_id].username,
                "sub": sub,
                "token_type": "access_token",
                "exp": int(self._end(session).timestamp()),
                "iat": issued,
                "nbf": issued,
            },
        )

    def revoke(self, call: Call) -> Reply:
        """Ends one session."""
        token = (call.form if call.method == "POST" else call.query).get("token", "")
        if self._sessions.pop(token, None) is None:
            return refusal(TokenFault("unsupported_token_type", "this token is not known"))
        return Reply(200, raw=b"")

    def identity(self, call: Call) -> Reply:
        """Who is signed in, as the identity address tells it."""
        person = self.signed_in(call)
        parts = call.segments
        if call.raw_path.startswith("/id/") and parts[1:] != [
            self._org.organization_id,
            person.user_id,
        ]:
            raise SalesforceFault("INSUFFICIENT_ACCESS", "This identity is another user's")
        return Reply(200, self._who(call, person, oidc=False))

    def userinfo(self, call: Call) -> Reply:
        """Who is signed in, as OpenID Connect tells it."""
        return Reply(200, self._who(call, self.signed_in(call), oidc=True))

    def _who(self, call: Call, person: Person, *, oidc: bool) -> dict[str, Any]:
        base = f"https://{call.host}"
        identity = f"{base}/id/{self._org.organization_id}/{person.user_id}"
        urls = {
            "rest": f"{base}/services/data/v{{version}}/",
            "sobjects": f"{base}/services/data/v{{version}}/sobjects/",
            "query": f"{base}/services/data/v{{version}}/query/",
            "profile": f"{base}/{quote(person.user_id)}",
        }
        shared = {
            "user_id": person.user_id,
            "organization_id": self._org.organization_id,
            "email": person.username,
            "urls": urls,
            "active": person.active,
        }
        if oidc:
            return {
                "sub": identity,
                "preferred_username": person.username,
                "name": person.name,
                "email_verified": True,
                "zoneinfo": "GMT",
                "user_type": "STANDARD",
                **shared,
            }
        return {
            "id": identity,
            "asserted_user": True,
            "username": person.username,
            "display_name": person.name,
            "user_type": "STANDARD",
            **shared,
        }


def _formatted(call: Call, reply: Reply) -> Reply:
    """The answer in the format that the form or the Accept header asks for; JSON unless told."""
    wanted = call.form.get("format") or {
        "application/xml": "xml",
        "application/x-www-form-urlencoded": "urlencoded",
    }.get(call.header("accept").partition(";")[0].strip().lower(), "json")
    if wanted == "urlencoded":
        reply.raw = urlencode(reply.value).encode()
        reply.content_type = "application/x-www-form-urlencoded;charset=UTF-8"
    elif wanted == "xml":
        fields = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in reply.value.items())
        reply.raw = f'<?xml version="1.0" encoding="UTF-8"?><OAuth>{fields}</OAuth>'.encode()
        reply.content_type = "application/xml;charset=UTF-8"
    return reply


def refusal(fault: TokenFault) -> Reply:
    """The token endpoint's refusals are objects, not arrays."""
    return Reply(fault.status, {"error": fault.error, "error_description": fault.description})


def _credentials(call: Call, form: dict[str, str]) -> tuple[str, str]:
    scheme, _, encoded = call.header("authorization").partition(" ")
    if scheme.lower() == "basic":
        try:
            text = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        client_id, _, client_secret = text.partition(":")
        return client_id, client_secret
    return form.get("client_id", ""), form.get("client_secret", "")
