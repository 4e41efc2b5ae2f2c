"""The resource `subscriptions`: listing, subscribing, renewing and unsubscribing."""

import re
from typing import Any
from urllib.parse import unquote, urlsplit

from ml_connector.sandbox.business_central.api import check_match, refusal_reply
from ml_connector.sandbox.business_central.calls import Call, Reply
from ml_connector.sandbox.business_central.company import Company
from ml_connector.sandbox.business_central.entities import Entity, Field
from ml_connector.sandbox.business_central.faults import Refusal, bad_request, missing, no_set
from ml_connector.sandbox.business_central.odata import (
    expanded,
    page_of,
    page_size,
    parse_query,
    read_options,
    rows_of,
)
from ml_connector.sandbox.business_central.tables import Row
from ml_connector.sandbox.business_central.values import read_body
from ml_connector.sandbox.business_central.webhooks import Webhooks


def _field(name: str, kind: str, length: int = 0, *, read_only: bool = True) -> Field:
    return Field(name, kind, length, read_only, calculated=False)


ENTITY = Entity(
    name="subscriptions",
    type_name="subscription",
    verbs="GPMD",
    order=("subscriptionId",),
    key="subscriptionId",
    fields={
        each.name: each
        for each in (
            _field("subscriptionId", "text", 150),
            _field("notificationUrl", "text", 2048, read_only=False),
            _field("resource", "text", 2048, read_only=False),
            _field("timestamp", "datetime"),
            _field("userId", "guid"),
            _field("lastModifiedDateTime", "datetime"),
            _field("clientState", "text", 2048, read_only=False),
            _field("expirationDateTime", "datetime"),
            _field("systemCreatedAt", "datetime"),
            _field("systemCreatedBy", "guid"),
            _field("systemModifiedAt", "datetime"),
            _field("systemModifiedBy", "guid"),
        )
    },
)
_KEY = re.compile(r"subscriptions(?:\((.*)\))?")
_RESOURCE = re.compile(r"(?:.*/)?companies\(([^()]+)\)/([A-Za-z]+)/?")
_SUPPORTED = re.compile(r"\s*resource\s+eq\s+'([^']*)'\s*")


def leads_here(inner: list[str]) -> bool:
    """Whether a path below the API version is about subscriptions."""
    place = 1 if inner and inner[0].startswith("companies(") else 0
    return len(inner) > place and _KEY.fullmatch(inner[place]) is not None


class SubscriptionResource:
    """Answers the calls about subscriptions; handshakes happen while the call is open."""

    def __init__(self, company: Company, webhooks: Webhooks) -> None:
        self._company = company
        self._webhooks = webhooks

    async def answer(self, call: Call) -> Reply:
        """The reply to a call; refusals become error envelopes."""
        try:
            return await self._answer(call)
        except Refusal as refusal:
            return refusal_reply(refusal)

    async def _answer(self, call: Call) -> Reply:
        segments = [unquote(segment) for segment in call.path.split("/") if segment]
        if segments[0].startswith("companies("):
            self._check_company(segments.pop(0).removeprefix("companies(").removesuffix(")"))
        match = _KEY.fullmatch(segments[0])
        if match is None or len(segments) > 1:
            raise no_set(call.path)
        given = parse_query(call.query)
        if match[1] is None:
            if call.method == "GET":
                return self._list(call, given)
            if call.method == "POST":
                return await self._create(call)
            raise _not_allowed(call.method)
        row = self._by_key(match[1])
        if call.method == "GET":
            return self._one(call, row, 200)
        if call.method in ("PATCH", "PUT"):
            return await self._renew(call, row)
        if call.method == "DELETE":
            check_match(self._company, call, row, required=True)
            self._webhooks.remove([row["subscriptionId"]])
            return Reply(204)
        raise _not_allowed(call.method)

    def supported(self, query: str, context: str) -> Reply:
        """The sets one can subscribe to, in each version of the API."""
        given = parse_query(query)
        names = [f"{v}/{name}" for v in ("v1.0", "v2.0") for name in self._webhooks.sets()]
        wanted = given.get("$filter")
        if wanted is not None:
            match = _SUPPORTED.fullmatch(wanted)
            if match is None:
                raise bad_request("The filter is not understood.")
            text = match[1].lower()
            names = [
                name
                for name in names
                if name.lower() == text
                or (text.endswith("*") and name.lower().startswith(text[:-1]))
            ]
        return Reply(
            200, {"@odata.context": context, "value": [{"resource": name} for name in names]}
        )

    # -- reading ------------------------------------------------------------------------------

    def _check_company(self, named: str) -> None:
        if named.lower() != self._company.identity.company_id.lower():
            raise Refusal(404, "Internal_CompanyNotFound", f"There is no company {named}.")

    def _by_key(self, key: str) -> Row:
        if not (len(key) > 1 and key.startswith("'") and key.endswith("'")):
            raise bad_request("The key of a subscription is text in quotes.")
        row = self._webhooks.living().get(key[1:-1].replace("''", "'"))
        if row is None:
            code = str(self._company.switches["unknown_record_code"])
            raise Refusal(404, code, f"There is no subscription {key}.")
        return row

    def _list(self, call: Call, given: dict[str, str]) -> Reply:
        options = read_options(ENTITY, given)
        living = sorted(self._webhooks.living().values(), key=lambda row: row["subscriptionId"])
        rows = rows_of(self._company, ENTITY, options, living)
        page = page_of(rows, ENTITY.key, options, page_size(call.header("prefer")))
        out: Row = {"@odata.context": f"{call.base}/$metadata#subscriptions"}
        if options.count:
            out["@odata.count"] = page.total
        out["value"] = [
            self._shown(expanded(self._company, ENTITY, row, options)) for row in page.rows
        ]
        if page.next_token is not None:
            out["@odata.nextLink"] = f"{call.base}/{call.path}?$skiptoken={page.next_token}"
        return Reply(200, out)

    def _one(self, call: Call, row: Row, status: int) -> Reply:
        place = f"{call.base}/subscriptions('{row['subscriptionId']}')"
        out: Row = {"@odata.context": f"{call.base}/$metadata#subscriptions/$entity"}
        out |= self._shown(expanded(self._company, ENTITY, row, read_options(ENTITY, {})))
        headers = {"etag": self._company.etag(row)}
        return Reply(status, out, headers | ({"location": place} if status == 201 else {}))

    def _shown(self, out: Row) -> Row:
        """A subscription as it goes out; whether with its state is a switch."""
        if not self._company.switches["webhook_shows_client_state"] and "clientState" in out:
            out["clientState"] = ""
        return out

    # -- writing ------------------------------------------------------------------------------

    @staticmethod
    def _entered(call: Call) -> dict[str, Any]:
        if not call.has_body or call.body is None:
            raise bad_request("The request has no body.")
        fields, _ = read_body(ENTITY, call.body)
        for field, value in fields:
            if len(value) > field.length:
                raise Refusal(
                    400,
                    "Application_StringExceededLength",
                    f"{field.name} takes {field.length} characters at most.",
                )
        return {field.name: value for field, value in fields}

    async def _create(self, call: Call) -> Reply:
        entered = self._entered(call)
        for name in ("notificationUrl", "resource"):
            if not entered.get(name):
                raise missing(name)
        url, resource = entered["notificationUrl"], entered["resource"]
        entity = self._set_of(resource)
        self._webhooks.check_address(url)
        self._check_room(url, entity)
        await self._webhooks.shake_hands(url)
        self._check_room(url, entity)
        row = self._webhooks.add(url, resource, entered.get("clientState", ""), entity)
        return self._one(call, row, 201)

    def _set_of(self, resource: str) -> str:
        """The set a resource names: with the API's path before it, without, or in full."""
        path = urlsplit(resource).path.strip("/")
        match = _RESOURCE.fullmatch(path)
        if match is None:
            raise bad_request(f"The resource '{resource}' names no collection of a company.")
        self._check_company(match[1])
        if match[2] not in self._webhooks.sets():
            raise bad_request(f"The resource '{match[2]}' does not support notifications.")
        if "/api/" in f"/{path}" and "/api/v2.0/companies(" not in f"/{path}":
            raise bad_request(f"The resource '{resource}' is of another version of the API.")
        return match[2]

    def _check_room(self, url: str, entity: str) -> None:
        living = self._webhooks.living().values()
        if len(living) >= int(self._company.switches["webhook_limit"]):
            raise bad_request("The environment has as many subscriptions as it may have.")
        if self._company.switches["webhook_twice"] == "refused" and any(
            row["notificationUrl"] == url and row["_set"] == entity for row in living
        ):
            raise Refusal(
                int(self._company.switches["duplicate_key_status"]),
                "Internal_EntityWithSameKeyExists",
                "There is already such a subscription.",
            )

    async def _renew(self, call: Call, row: Row) -> Reply:
        check_match(self._company, call, row, required=True)
        entered = self._entered(call)
        if "resource" in entered and self._set_of(entered["resource"]) != row["_set"]:
            raise bad_request("The resource of a subscription cannot be changed.")
        url = str(entered.get("notificationUrl", row["notificationUrl"]))
        self._webhooks.check_address(url)
        await self._webhooks.shake_hands(url)
        if row["subscriptionId"] not in self._webhooks.living():
            raise Refusal(
                404, str(self._company.switches["unknown_record_code"]), "The subscription is gone."
            )
        entered.pop("resource", None)
        self._webhooks.renew(row, entered)
        return self._one(call, row, 200)


def _not_allowed(method: str) -> Refusal:
    return Refusal(
        405, "BadRequest_MethodNotAllowed", f"'{method}' is not allowed for subscriptions."
    )
