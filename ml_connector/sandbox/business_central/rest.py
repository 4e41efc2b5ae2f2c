"""The HTTP face: tenant, environment, company, tokens; everything else is `api`."""

import re
import uuid
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ml_connector.sandbox.business_central.api import JSON, Api, refusal_reply
from ml_connector.sandbox.business_central.batch import Batch
from ml_connector.sandbox.business_central.calls import Call, Reply
from ml_connector.sandbox.business_central.company import Actor, Company
from ml_connector.sandbox.business_central.entra import API_ROLE, Entra
from ml_connector.sandbox.business_central.faults import Refusal, bad_request, no_set
from ml_connector.sandbox.business_central.limits import Limits
from ml_connector.sandbox.business_central.webhook_resource import (
    SubscriptionResource,
    leads_here,
)
from ml_connector.sandbox.business_central.webhooks import Webhooks
from ml_connector.sandbox.frame.wire import WireError, decode, encode

_METHODS = ["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS"]
_TOKEN_PATH = re.compile(r"/oauth2/v2\.0/token$")
_DISCOVERY_PATH = re.compile(r"openid-configuration$|/discovery/")
_SET = re.compile(r"/([A-Za-z_$]+)(?:\([^)]*\))?")


def kind_of(method: str, path: str) -> str:
    """What a request is counted under: token, discovery, batch, or method and set."""
    if _TOKEN_PATH.search(path):
        return "token"
    if _DISCOVERY_PATH.search(path):
        return "discovery"
    _, _, rest = path.partition("/api/")
    names: list[str] = _SET.findall(rest)
    while names and names[0] in ("v", "microsoft", "companies") and len(names) > 1:
        names = names[1:]
    if not names:
        return "other"
    if names[-1] == "$batch":
        return "batch"
    action = re.search(r"Microsoft\.NAV\.(\w+)", rest, re.IGNORECASE)
    if action:
        return f"action {names[0]} {action[1]}"
    return f"{method} {'/'.join(names)}"


class Service:
    """The one endpoint behind every path of the service and of its identity platform."""

    def __init__(self, company: Company, entra: Entra, limits: Limits, webhooks: Webhooks) -> None:
        self._company = company
        self._subscriptions = SubscriptionResource(company, webhooks)
        self._entra = entra
        self._api = Api(company)
        self._batch = Batch(company, self._api, limits.count_inner)

    def routes(self) -> list[Route]:
        """The routes: all of them."""
        return [Route("/{path:path}", self.endpoint, methods=_METHODS)]

    async def endpoint(self, request: Request) -> Response:
        """Answer a request."""
        segments = [segment for segment in request.url.path.split("/") if segment]
        known = await self._entra.answer(request, segments)
        if known is not None:
            return known
        body = await request.body()
        try:
            reply = await self._reply(request, segments, body)
        except Refusal as refusal:
            reply = refusal_reply(refusal)
            if refusal.status == 401:
                reply.headers["www-authenticate"] = "Bearer"
            if refusal.status == 503:
                reply.headers["retry-after"] = str(self._company.switches["retry_after_seconds"])
        return _response(reply)

    async def _reply(self, request: Request, segments: list[str], body: bytes) -> Reply:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self._sign_in(headers)
        host = f"https://{headers.get('host', 'localhost')}"
        if segments[:2] == ["environments", "v1.2"]:
            return self._environments(host)
        if not segments or segments[0] != "v2.0":
            raise no_set(request.url.path)
        rest = self._environment(segments[1:], request.url.path)
        place = "/".join(segments[: len(segments) - len(rest)])
        match rest:
            case ["api", "v2.0", *inner]:
                base = f"{host}/{place}/api/v2.0"
                call = self._call(request, headers, inner, base, body)
                if leads_here(inner):
                    return await self._subscriptions.answer(call)
                return self._batch.answer(call) if inner == ["$batch"] else self._api.answer(call)
            case ["api", "microsoft", "runtime", "beta", *inner]:
                if not inner or inner[-1] != "webhookSupportedResources":
                    raise no_set(request.url.path)
                context = f"{host}/{place}/api/microsoft/runtime/beta/$metadata#{inner[-1]}"
                return self._subscriptions.supported(request.url.query, context)
            case ["api", "microsoft", "automation", "v2.0", "companies"]:
                base = f"{host}/{place}/api/microsoft/automation/v2.0"
                return self._api.answer(self._call(request, headers, ["companies"], base, body))
        raise no_set(request.url.path)

    def _sign_in(self, headers: dict[str, str]) -> None:
        switches = self._company.switches
        token = self._entra.token(headers.get("authorization", ""))
        if token is None or API_ROLE not in token.roles or not switches["app_registered"]:
            raise Refusal(
                401,
                "Authentication_InvalidCredentials",
                "The server does not accept the client credentials.",
            )
        if switches["environment_unavailable"]:
            raise Refusal(503, "Internal_TenantUnavailable", "The environment is not available.")
        if switches["permission_missing"]:
            raise Refusal(
                400, "Internal_ServerError", "The current permissions do not allow this action."
            )
        self._company.actor = Actor(f"app {token.client_id}", headers.get("user-agent"))

    def _environment(self, segments: list[str], path: str) -> list[str]:
        """What follows the tenant and the environment of the URL."""
        identity = self._company.identity
        if "api" not in segments[:3]:
            raise no_set(path)
        named = segments[: segments.index("api")]
        if len(named) not in (1, 2):
            raise no_set(path)
        if len(named) == 2 and named[0].lower() != identity.tenant_id.lower():
            raise Refusal(
                401, "Authentication_InvalidCredentials", "The token belongs to another tenant."
            )
        if named[-1].lower() != identity.environment.lower():
            raise no_set(path)
        return segments[len(named) :]

    def _environments(self, host: str) -> Reply:
        identity = self._company.identity
        entry = {
            "aadTenantId": identity.tenant_id,
            "applicationFamily": "BusinessCentral",
            "type": "Production",
            "name": identity.environment,
            "countryCode": "US",
            "webServiceUrl": host,
            "webClientLoginUrl": f"{host}/{identity.tenant_id}/{identity.environment}",
            "ringName": "Production",
        }
        return Reply(200, {"value": [entry]})

    @staticmethod
    def _call(
        request: Request, headers: dict[str, str], inner: list[str], base: str, body: bytes
    ) -> Call:
        method = "GET" if request.method == "HEAD" else request.method
        content: Any = None
        if body and method in ("POST", "PATCH", "PUT"):
            content_type = headers.get("content-type", "")
            if not content_type.lower().startswith("application/json"):
                raise Refusal(
                    415, "BadRequest", f"The content type '{content_type}' is not supported."
                )
            try:
                content = decode(body)
            except WireError as error:
                raise bad_request("The request body is not valid JSON.") from error
        return Call(
            method=method,
            path="/".join(inner),
            query=request.url.query,
            headers=headers,
            body=content,
            base=base,
            has_body=bool(body),
        )


def _response(reply: Reply) -> Response:
    headers = {
        "odata-version": "4.0",
        "request-id": str(uuid.uuid4()),
        **reply.headers,
    }
    if reply.text is not None:
        return Response(reply.text, reply.status, headers, media_type=reply.media_type)
    if reply.content is None:
        return Response(b"", reply.status, headers)
    headers["content-type"] = JSON
    return Response(encode(reply.content), reply.status, headers)
