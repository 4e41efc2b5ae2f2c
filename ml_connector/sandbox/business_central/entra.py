"""The identity platform: discovery documents and the client-credentials token endpoint."""

import base64
import binascii
import hashlib
import hmac
import secrets
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from starlette.requests import Request
from starlette.responses import Response

from ml_connector.sandbox.business_central.company import Identity
from ml_connector.sandbox.frame.application import Frame
from ml_connector.sandbox.frame.wire import encode

AUDIENCE = "https://api.businesscentral.dynamics.com"
API_ROLE = "API.ReadWrite.All"
_CONSUMER_TENANTS = {"common", "organizations", "consumers"}


@dataclass(frozen=True, slots=True)
class Token:
    """What a given token says."""

    client_id: str
    expires: datetime
    roles: tuple[str, ...]


class TokenRefusal(Exception):
    """The token endpoint refuses."""

    def __init__(self, status: int, error: str, number: int, text: str) -> None:
        super().__init__(text)
        self.status, self.error, self.number, self.text = status, error, number, text


class Entra:
    """Gives out tokens for the tenant's one app and knows which are alive."""

    def __init__(self, frame: Frame, identity: Identity) -> None:
        self._frame = frame
        self._identity = identity
        self._key = secrets.token_bytes(32)
        self._tokens: dict[str, Token] = {}

    def expire_all(self) -> None:
        """End every token given out."""
        self._tokens.clear()

    def token(self, authorization: str) -> Token | None:
        """The living token of an Authorization header."""
        scheme, _, text = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        token = self._tokens.get(text.strip())
        if token is None or token.expires <= self._frame.clock.now():
            return None
        return token

    async def answer(self, request: Request, segments: list[str]) -> Response | None:
        """The answer to a request of the identity platform, None for any other path."""
        host = f"https://{request.headers.get('host', 'localhost')}"
        match segments:
            case [tenant, "v2.0", ".well-known", "openid-configuration"]:
                return self._configuration(host, tenant, "v2.0")
            case [tenant, ".well-known", "openid-configuration"]:
                return self._configuration(host, tenant, "")
            case ["common", "discovery", "instance"]:
                return self._instances(request, host)
            case [_, "discovery", "v2.0", "keys"]:
                return _json({"keys": []})
            case [tenant, "oauth2", "v2.0", "token"]:
                if request.method != "POST":
                    return _json({"error": "invalid_request"}, 405)
                return self._token(request, await request.body(), tenant)
        return None

    def _knows(self, tenant: str) -> bool:
        return tenant.lower() == self._identity.tenant_id.lower()

    def _configuration(self, host: str, tenant: str, version: str) -> Response:
        if not self._knows(tenant) and tenant not in _CONSUMER_TENANTS:
            return self._refusal(_unknown_tenant(tenant))
        issuer_tenant = "{tenantid}" if tenant in _CONSUMER_TENANTS else self._identity.tenant_id
        base = f"{host}/{tenant}"
        return _json(
            {
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "token_endpoint_auth_methods_supported": [
                    "client_secret_post",
                    "private_key_jwt",
                    "client_secret_basic",
                ],
                "jwks_uri": f"{base}/discovery/v2.0/keys",
                "response_modes_supported": ["query", "fragment", "form_post"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "response_types_supported": ["code", "id_token", "code id_token"],
                "scopes_supported": ["openid", "profile", "email", "offline_access"],
                "issuer": f"{host}/{issuer_tenant}/{version}".rstrip("/"),
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
                "end_session_endpoint": f"{base}/oauth2/v2.0/logout",
                "tenant_region_scope": "WW",
                "cloud_instance_name": host.removeprefix("https://"),
            }
        )

    def _instances(self, request: Request, host: str) -> Response:
        authority = request.query_params.get("authorization_endpoint", "")
        tenant = authority.removeprefix("https://").split("/")
        name = tenant[1] if len(tenant) > 1 else "common"
        own = host.removeprefix("https://")
        return _json(
            {
                "tenant_discovery_endpoint": f"{host}/{name}/v2.0/.well-known/openid-configuration",
                "api-version": "1.1",
                "metadata": [{"preferred_network": own, "preferred_cache": own, "aliases": [own]}],
            }
        )

    def _token(self, request: Request, body: bytes, tenant: str) -> Response:
        try:
            return _json(self._grant(request, body, tenant), headers={"cache-control": "no-store"})
        except TokenRefusal as refusal:
            return self._refusal(refusal)

    def _grant(self, request: Request, body: bytes, tenant: str) -> dict[str, Any]:
        if not self._knows(tenant):
            raise _unknown_tenant(tenant)
        content_type = request.headers.get("content-type", "")
        if not content_type.startswith("application/x-www-form-urlencoded"):
            raise TokenRefusal(400, "invalid_request", 900144, "The body is not a form.")
        form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        client_id, secret = _credentials(request, form)
        grant = form.get("grant_type")
        if not grant:
            raise TokenRefusal(400, "invalid_request", 900144, "'grant_type' is missing.")
        if grant != "client_credentials":
            raise TokenRefusal(
                400, "unsupported_grant_type", 70003, f"The grant type '{grant}' is not supported."
            )
        if not client_id:
            raise TokenRefusal(400, "invalid_request", 900144, "'client_id' is missing.")
        if client_id.lower() != self._identity.client_id.lower():
            raise TokenRefusal(
                400, "unauthorized_client", 700016, f"No application {client_id} in the directory."
            )
        if secret is None:
            raise TokenRefusal(401, "invalid_client", 7000218, "'client_secret' is missing.")
        if not hmac.compare_digest(secret.encode(), self._identity.client_secret.encode()):
            raise TokenRefusal(401, "invalid_client", 7000215, "The client secret is wrong.")
        self._check_scope(form.get("scope", ""))
        return self._issue()

    def _check_scope(self, scope: str) -> None:
        if not scope:
            raise TokenRefusal(400, "invalid_request", 900144, "'scope' is missing.")
        resource, _, name = scope.partition(" ")[0].rpartition("/")
        if name != ".default" or " " in scope.strip():
            raise TokenRefusal(
                400, "invalid_scope", 1002012, f"The scope {scope} is not valid for this grant."
            )
        if resource.rstrip("/") != AUDIENCE:
            raise TokenRefusal(
                400, "invalid_resource", 500011, f"The resource {resource} is not known."
            )

    def _issue(self) -> dict[str, Any]:
        lifetime = int(self._frame.switches["token_lifetime_seconds"])
        now = self._frame.clock.now()
        roles = tuple(self._frame.switches["app_roles"])
        claims = {
            "aud": AUDIENCE,
            "iss": f"https://sts.windows.net/{self._identity.tenant_id}/",
            "iat": int(now.timestamp()),
            "nbf": int(now.timestamp()),
            "exp": int(now.timestamp()) + lifetime,
            "appid": self._identity.client_id,
            "azp": self._identity.client_id,
            "idtyp": "app",
            "oid": self._identity.client_id,
            "roles": list(roles),
            "tid": self._identity.tenant_id,
            "uti": secrets.token_urlsafe(12),
            "ver": "1.0",
        }
        parts = [_part({"typ": "JWT", "alg": "RS256", "kid": "sandbox"}), _part(claims)]
        signed = hmac.new(self._key, ".".join(parts).encode(), hashlib.sha256).digest()
        text = ".".join([*parts, base64.urlsafe_b64encode(signed).decode().rstrip("=")])
        expires = now + timedelta(seconds=lifetime)
        self._tokens = {key: kept for key, kept in self._tokens.items() if kept.expires > now}
        self._tokens[text] = Token(self._identity.client_id, expires, roles)
        return {
            "token_type": "Bearer",
            "expires_in": lifetime,
            "ext_expires_in": lifetime,
            "access_token": text,
        }

    def _refusal(self, refusal: TokenRefusal) -> Response:
        now = self._frame.clock.now().astimezone(UTC)
        trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
        text = (
            f"AADSTS{refusal.number}: {refusal.text} Trace ID: {trace} "
            f"Correlation ID: {correlation} Timestamp: {now:%Y-%m-%d %H:%M:%SZ}"
        )
        body = {
            "error": refusal.error,
            "error_description": text,
            "error_codes": [refusal.number],
            "timestamp": f"{now:%Y-%m-%d %H:%M:%SZ}",
            "trace_id": trace,
            "correlation_id": correlation,
        }
        return _json(body, refusal.status)


def _unknown_tenant(tenant: str) -> TokenRefusal:
    return TokenRefusal(400, "invalid_request", 90002, f"There is no tenant '{tenant}'.")


def _credentials(request: Request, form: dict[str, str]) -> tuple[str, str | None]:
    """Client id and secret of the body, or of a Basic header."""
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return form.get("client_id", ""), form.get("client_secret")
    try:
        name, _, secret = base64.b64decode(text).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise TokenRefusal(
            401, "invalid_client", 7000215, "The Basic header cannot be read."
        ) from error
    return unquote_plus(name), unquote_plus(secret)


def _part(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(encode(content)).decode().rstrip("=")


def _json(
    body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    return Response(encode(body), status, headers, media_type="application/json; charset=utf-8")
