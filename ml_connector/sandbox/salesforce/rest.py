"""The org's addresses: who may come in, and which resource answers."""

import gzip
import re
import zlib
from typing import Any
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ml_connector.sandbox.frame.wire import encode
from ml_connector.sandbox.salesforce.bulk_ingest import BulkIngest
from ml_connector.sandbox.salesforce.bulk_query import BulkQuery
from ml_connector.sandbox.salesforce.calls import JSON, LONGEST_ADDRESS, Call, Reply
from ml_connector.sandbox.salesforce.collection_resources import CollectionResources
from ml_connector.sandbox.salesforce.composite_resources import CompositeResources
from ml_connector.sandbox.salesforce.faults import ManyMatches, SalesforceFault, not_found
from ml_connector.sandbox.salesforce.limits import Limits
from ml_connector.sandbox.salesforce.metadata_api import MetadataApi
from ml_connector.sandbox.salesforce.oauth import OAuth
from ml_connector.sandbox.salesforce.org import SalesforceOrg
from ml_connector.sandbox.salesforce.query_resources import QueryResources
from ml_connector.sandbox.salesforce.record_resources import RecordResources
from ml_connector.sandbox.salesforce.replication import Replication
from ml_connector.sandbox.salesforce.workspace import Workspace

FIRST_VERSION, LAST_VERSION = 31, 67
_SEASONS = ("Spring", "Summer", "Winter")
_VERSION = re.compile(r"v(\d{2,3})\.0\Z")
_METHODS = ["GET", "POST", "PATCH", "DELETE", "PUT", "HEAD"]


def _version_label(number: int) -> str:
    """The release name of an API version: 65 is Winter '26."""
    season = _SEASONS[number % 3]
    year = 26 + (number - 65) // 3
    return f"{season} '{year:02d}"


class RestApi:
    """Answers every request that comes to the org."""

    def __init__(self, org: SalesforceOrg) -> None:
        self.org = org
        self.oauth = OAuth(org)
        self.limits = Limits(org)
        workspace = Workspace(org)
        self._workspace = workspace
        self._records = RecordResources(workspace)
        self._collections = CollectionResources(workspace)
        self._composite = CompositeResources(workspace, self._inner)
        self._queries = QueryResources(org)
        self._replication = Replication(org)
        self._bulk = BulkQuery(org)
        self._ingest = BulkIngest(workspace)
        self._metadata = MetadataApi(org)

    def routes(self) -> list[Route]:
        """The one route behind which the org's own addressing begins."""
        return [Route("/{path:path}", self._endpoint, methods=_METHODS)]

    async def _endpoint(self, request: Request) -> Response:
        scope = request.scope
        raw = scope.get("raw_path") or scope["path"].encode()
        call = Call(
            request.method,
            raw.decode("latin-1").partition("?")[0],
            scope["query_string"].decode("latin-1"),
            {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]},
            await request.body(),
        )
        reply = self.answer(call)
        body = reply.content()
        headers = {"content-type": reply.content_type, **reply.headers}
        if self.org.switch("answers_request_id"):
            headers["x-sfdc-request-id"] = call.header("x-sfdc-request-id") or uuid4().hex
        if len(body) > 1024 and "gzip" in call.header("accept-encoding"):
            body = gzip.compress(body, compresslevel=1)
            headers["content-encoding"] = "gzip"
        if reply.status == 204:
            del headers["content-type"]
        return Response(body, reply.status, headers)

    def answer(self, call: Call) -> Reply:
        """The answer to a call from outside."""
        self.org.refresh()
        try:
            self._prepare(call)
            return self._route(call)
        except SalesforceFault as fault:
            return self._refusal(call, fault)

    def _refusal(self, call: Call, fault: SalesforceFault) -> Reply:
        reply = Reply(fault.status, fault.body())
        if call.person is not None:
            reply.headers["sforce-limit-info"] = self.limits.usage
        return reply

    def _prepare(self, call: Call) -> None:
        size = len(call.raw_path) + len(call.query_string) + 1
        size += sum(len(key) + len(value) + 4 for key, value in call.headers.items())
        if size > LONGEST_ADDRESS:
            raise SalesforceFault("URI_TOO_LONG", "Address and headers are too long")
        if call.header("content-encoding") == "gzip":
            try:
                call.body = gzip.decompress(call.body)
            except (OSError, EOFError, zlib.error) as error:
                raise SalesforceFault("JSON_PARSER_ERROR", "The body is no gzip") from error
        tunnelled = call.query.get("_HttpMethod")
        if call.method == "POST" and tunnelled:
            call.method = tunnelled.upper()
        if call.method == "HEAD":
            call.method = "GET"

    def _route(self, call: Call) -> Reply:
        match call.segments:
            case ["services", "oauth2", "token"]:
                return self.oauth.token(call)
            case ["services", "oauth2", "introspect"]:
                return self.oauth.introspect(call)
            case ["services", "oauth2", "revoke"]:
                return self.oauth.revoke(call)
            case ["services", "oauth2", "userinfo"]:
                return self.oauth.userinfo(call)
            case ["id", _, _]:
                return self.oauth.identity(call)
            case ["services", "data"]:
                return Reply(200, [_version(n) for n in range(FIRST_VERSION, LAST_VERSION + 1)])
            case ["services", "data", *_]:
                call.person = self.oauth.signed_in(call)
                self.limits.count()
                reply = self._data(call)
                reply.headers["sforce-limit-info"] = self.limits.usage
                return reply
        raise not_found()

    def _inner(self, call: Call) -> Reply:
        """The answer to a call within a composite one; refusals are answers here."""
        try:
            return self._data(call)
        except SalesforceFault as fault:
            return Reply(fault.status, fault.body())

    def _data(self, call: Call) -> Reply:
        version, *rest = call.segments[2:]
        found = _VERSION.match(version)
        if found is None or int(found[1]) > LAST_VERSION:
            raise not_found(f"There is no version {version}")
        if int(found[1]) < FIRST_VERSION:
            raise SalesforceFault("UNSUPPORTED_API_VERSION", f"{version} is retired")
        call.version = f"{found[1]}.0"
        try:
            return self._resource(call, rest)
        except ManyMatches as many:
            raise SalesforceFault("DUPLICATE_EXTERNAL_ID", str(many)) from many

    def _resource(self, call: Call, rest: list[str]) -> Reply:
        match rest:
            case []:
                return self._resources(call)
            case ["limits"]:
                return Reply(200, self.limits.listing())
            case ["sobjects", name, "updated"]:
                return self._replication.updated(call, self._workspace.sobject(call, name))
            case ["sobjects", name, "deleted"]:
                return self._replication.deleted(call, self._workspace.sobject(call, name))
            case ["sobjects", *more]:
                return self._records.handle(call, more)
            case ["composite", "sobjects", *more]:
                return self._collections.handle(call, more)
            case ["composite", *more]:
                return self._composite.handle(call, more)
            case ["query", *more]:
                return self._queries.handle(call, more, include_deleted=False)
            case ["queryAll", *more]:
                return self._queries.handle(call, more, include_deleted=True)
            case ["metadata", "deployRequest", *more]:
                return self._metadata.handle(call, more)
            case ["jobs", "query", *more]:
                return self._bulk.handle(call, more)
            case ["jobs", "ingest", *more]:
                return self._ingest.handle(call, more)
        raise not_found()

    def _resources(self, call: Call) -> Reply:
        base = f"/services/data/v{call.version}"
        names = ("sobjects", "query", "queryAll", "composite", "limits", "jobs")
        identity = f"https://{call.host}/id/{self.org.organization_id}/{call.user.user_id}"
        return Reply(200, {**{name: f"{base}/{name}" for name in names}, "identity": identity})


def _version(number: int) -> dict[str, str]:
    return {
        "label": _version_label(number),
        "url": f"/services/data/v{number}.0",
        "version": f"{number}.0",
    }


def error_body(_status: int, code: str | None, message: str | None) -> tuple[bytes, str]:
    """A refusal of the fault plan in the org's own shape."""
    body: list[dict[str, Any]] = [
        {"message": message or "", "errorCode": code or "UNKNOWN_EXCEPTION"}
    ]
    return encode(body), JSON


def kind_of(method: str, path: str) -> str:
    """What a request is counted as."""
    parts = path.strip("/").split("/")
    if parts[:2] == ["services", "oauth2"]:
        return "token" if parts[2:] == ["token"] else "identity"
    if parts[:2] != ["services", "data"] or len(parts) < 4:
        return "other"
    resource = parts[3]
    if resource == "composite":
        resource = f"composite/{parts[4]}" if len(parts) > 4 else "composite"
    if resource == "jobs":
        resource = "bulk"
    verb = "read" if method == "GET" else "write"
    return resource if resource in ("query", "queryAll", "limits") else f"{resource} {verb}"
