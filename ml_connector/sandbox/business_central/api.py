"""API v2.0: from a path and a body to rows and back."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from ml_connector.sandbox.business_central import services
from ml_connector.sandbox.business_central.actions import run_action
from ml_connector.sandbox.business_central.calls import Call, Reply
from ml_connector.sandbox.business_central.company import Company
from ml_connector.sandbox.business_central.entities import ENTITIES, LINES, Entity
from ml_connector.sandbox.business_central.faults import (
    Refusal,
    bad_request,
    changed,
    error_content,
    no_set,
)
from ml_connector.sandbox.business_central.filters import is_guid
from ml_connector.sandbox.business_central.metadata import entity_definitions, metadata_document
from ml_connector.sandbox.business_central.odata import (
    Options,
    expanded,
    navigate,
    page_of,
    page_size,
    parse_query,
    read_options,
    rows_of,
)
from ml_connector.sandbox.business_central.tables import Row
from ml_connector.sandbox.business_central.views import contacts_of_customer, derived_rows

JSON = "application/json; odata.metadata=minimal; odata.streaming=true"
_SEGMENT = re.compile(r"([A-Za-z_$][\w.$]*)(?:\((.*)\))?")
_ACTION = "microsoft.nav."


@dataclass(slots=True)
class Target:
    """Where a path leads: a set, one of its rows, and the row it was reached from."""

    entity: Entity
    row: Row | None = None
    parent: Row | None = None
    base: list[Row] | None = None
    single: bool = False
    count: bool = False
    action: str = ""
    context: str = ""


class Api:
    """Answers the calls of API v2.0 for the one company."""

    def __init__(self, company: Company) -> None:
        self._company = company

    def answer(self, call: Call) -> Reply:
        """The reply to a call; refusals become error envelopes."""
        try:
            return self._answer(call)
        except Refusal as refusal:
            return refusal_reply(refusal)

    def _answer(self, call: Call) -> Reply:
        if call.header("data-access-intent").lower() == "readonly" and call.method != "GET":
            raise bad_request("Data-Access-Intent: ReadOnly is for GET only.")
        given = parse_query(call.query)
        segments = [segment for segment in call.path.split("/") if segment]
        if not segments:
            return self._service_document(call)
        head = segments[0]
        if head == "$metadata":
            return Reply(200, text=metadata_document(), media_type="application/xml")
        if head == "entityDefinitions":
            return Reply(200, entity_definitions(call.base, self._company))
        if head.partition("(")[0] == "companies":
            return self._companies(call, segments, given)
        if head.partition("(")[0] == "subscriptions":
            raise Refusal(501, "BadRequest_MethodNotImplemented", "A batch holds no subscriptions.")
        self._check_company(given.get("company") or call.header("company"))
        return self._entity(call, segments, given)

    def _service_document(self, call: Call) -> Reply:
        value = [{"name": name, "kind": "EntitySet", "url": name} for name in ENTITIES]
        return Reply(200, {"@odata.context": f"{call.base}/$metadata", "value": value})

    def _check_company(self, named: str) -> None:
        identity = self._company.identity
        if not named:
            raise bad_request("Give the company the request is for.")
        plain = unquote(named).strip("'\"")
        if plain.lower() not in (identity.company_id.lower(), identity.company_name.lower()):
            raise _no_company(plain)

    def _companies(self, call: Call, segments: list[str], given: dict[str, str]) -> Reply:
        match = _SEGMENT.fullmatch(segments[0])
        if match is None:
            raise no_set(call.path)
        key = match[2]
        if len(segments) > 1 and key is not None:
            if is_guid(key):
                self._check_company(key)
            elif key.startswith(("name=", "'")):
                self._check_company(key.removeprefix("name="))
            else:
                raise no_set(call.path)
            if segments[1].partition("(")[0] == "subscriptions":
                raise Refusal(
                    501, "BadRequest_MethodNotImplemented", "A batch holds no subscriptions."
                )
            return self._entity(call, segments[1:], given)
        if call.method != "GET":
            raise Refusal(
                405,
                "BadRequest_MethodNotAllowed",
                f"'{call.method}' requests for 'companies' are not allowed.",
            )
        if key is not None and (not is_guid(key) or self._company.row("companies", key) is None):
            raise _no_company(key)
        return self._entity(call, segments, given)

    # -- paths --------------------------------------------------------------------------------

    def _entity(self, call: Call, segments: list[str], given: dict[str, str]) -> Reply:
        target = self._resolve(call, segments)
        if target.action:
            return self._act(call, target)
        match call.method:
            case "GET":
                return self._read(call, target, given)
            case "POST":
                return self._create(call, target, given)
            case "PATCH" | "PUT":
                return self._change(call, target, given)
            case "DELETE":
                return self._delete(call, target)
        raise _not_allowed(call.method, target.entity.name)

    def _resolve(self, call: Call, segments: list[str]) -> Target:
        match = _SEGMENT.fullmatch(segments[0])
        if match is None or match[1] not in ENTITIES:
            raise no_set(call.path)
        target = Target(ENTITIES[match[1]], context=match[1])
        if match[2] is not None:
            target.row = self._by_key(target, match[2], call)
        for segment in segments[1:]:
            self._step(call, target, segment)
        return target

    def _step(self, call: Call, target: Target, segment: str) -> None:
        match = _SEGMENT.fullmatch(segment)
        if match is None or target.action or target.count:
            raise no_set(call.path)
        name, key = match[1], match[2]
        if name == "$count" and target.row is None and key is None:
            target.count = True
            return
        if target.row is None:
            raise no_set(call.path)
        if name.lower().startswith(_ACTION):
            target.action = name[len(_ACTION) :]
            return
        navigation = target.entity.navigation.get(name)
        if navigation is None:
            raise no_set(call.path)
        if not navigation.target:
            raise Refusal(
                404 if navigation.single else 501,
                "BadRequest_MethodNotImplemented",
                f"The sandbox holds no {name}.",
            )
        parent = target.row
        base = navigate(self._company, parent, navigation)
        target.context = f"{target.context}({parent[target.entity.key]})/{name}"
        target.entity = ENTITIES[navigation.target]
        target.parent, target.base, target.row = parent, base, None
        target.single = navigation.single
        if navigation.single:
            target.row = base[0] if base else None
        elif key is not None:
            target.row = self._by_key(target, key, call)

    def _by_key(self, target: Target, key: str, call: Call) -> Row:
        key = key.removeprefix("id=")
        if not is_guid(key):
            raise no_set(call.path)
        key = key.lower()
        entity = target.entity
        row: Row | None
        if target.base is not None:
            row = next((row for row in target.base if row[entity.key] == key), None)
        elif entity.derived:
            row = self._derived(entity, key)
        elif entity.name == "dimensionSetLines":
            row = None
        else:
            row = self._company.row(entity.name, key)
        if row is None:
            raise Refusal(
                404,
                str(self._company.switches["unknown_record_code"]),
                f"There is no {entity.type_name} with the id {key}.",
            )
        return row

    def _derived(self, entity: Entity, key: str) -> Row | None:
        company = self._company
        if entity.name in ("customerFinancialDetails", "agedAccountsReceivables"):
            customer = company.row("customers", key)
            return derived_rows(company, entity.name, [customer])[0] if customer else None
        if entity.name == "contactsInformation":
            contact = company.row("contacts", key)
            main = (
                company.table("contacts").first("number", contact["companyNumber"])
                if contact
                else None
            )
            customer = company.row("customers", main["_customer"]) if main else None
            rows = contacts_of_customer(company, customer) if customer else []
            return next((row for row in rows if row["contactId"] == key), None)
        rows = derived_rows(company, entity.name, company.table("customers").in_order())
        return next((row for row in rows if row[entity.key] == key), None)

    # -- reading ------------------------------------------------------------------------------

    def _context(self, call: Call, target: Target, select: tuple[str, ...] | None) -> str:
        company = self._company.identity.company_id
        names = f"({','.join(select)})" if select is not None else ""
        if target.entity.name == "companies":
            return f"{call.base}/$metadata#companies{names}"
        return f"{call.base}/$metadata#companies({company})/{target.context}{names}"

    def _read(self, call: Call, target: Target, given: dict[str, str]) -> Reply:
        company = self._company
        options = read_options(target.entity, given)
        if target.row is not None:
            one: Row = {"@odata.context": self._context(call, target, options.select) + "/$entity"}
            one |= expanded(company, target.entity, target.row, options)
            return Reply(200, one, {"etag": company.etag(target.row)})
        if target.single:
            return Reply(204)
        rows = rows_of(company, target.entity, options, target.base)
        if target.count:
            return Reply(200, text=str(len(rows)), media_type="text/plain")
        size = page_size(call.header("prefer"))
        page = page_of(rows, target.entity.key, options, size)
        out: Row = {"@odata.context": self._context(call, target, options.select)}
        if options.count:
            out["@odata.count"] = page.total
        out["value"] = [expanded(company, target.entity, row, options) for row in page.rows]
        if page.next_token is not None:
            out["@odata.nextLink"] = self._next_link(call, page.next_token)
        return Reply(200, out)

    @staticmethod
    def _next_link(call: Call, token: str) -> str:
        kept = [
            part
            for part in call.query.split("&")
            if part and unquote(part.partition("=")[0]) not in ("$skiptoken", "$skip")
        ]
        kept.append(f"$skiptoken={quote(token)}")
        return f"{call.base}/{call.path.strip('/')}?{'&'.join(kept)}"

    # -- writing ------------------------------------------------------------------------------

    @staticmethod
    def _body(call: Call) -> Any:
        if not call.has_body:
            raise bad_request("The request has no body.")
        if call.body is None:
            raise bad_request("The request body is not valid JSON.")
        return call.body

    def _create(self, call: Call, target: Target, given: dict[str, str]) -> Reply:
        if target.row is not None or target.count:
            raise _not_allowed("POST", target.entity.name)
        services.check_verb(target.entity.name, "P", "POST")
        options = read_options(target.entity, given)
        body = self._body(call)
        row = services.create(self._company, target.entity.name, body, target.parent)
        location = (
            f"{call.base}/companies({self._company.identity.company_id})/"
            f"{target.entity.name}({row[target.entity.key]})"
        )
        if _wants_nothing(call.header("prefer")):
            return Reply(204, headers={"location": location, "odata-entityid": location})
        out = {"@odata.context": self._context(call, target, options.select) + "/$entity"}
        self._adjust_expand(target.entity, options)
        out |= expanded(self._company, target.entity, row, options)
        return Reply(201, out, {"location": location, "etag": self._company.etag(row)})

    def _adjust_expand(self, entity: Entity, options: Options) -> None:
        """Whether the answer to a deep insert shows the lines."""
        lines = LINES.get(entity.name)
        if lines is None:
            return
        setting = self._company.switches["deep_insert_returns_lines"]
        if setting == "never":
            options.expand.pop(lines, None)
        elif setting == "always":
            options.expand.setdefault(lines, Options())

    def _change(self, call: Call, target: Target, given: dict[str, str]) -> Reply:
        if target.row is None:
            raise _not_allowed(call.method, target.entity.name)
        services.check_verb(target.entity.name, "M", call.method)
        check_match(self._company, call, target.row, required=True)
        body = self._body(call)
        options = read_options(target.entity, given)
        services.change(self._company, target.entity.name, target.row, body)
        if _wants_nothing(call.header("prefer")):
            return Reply(204)
        out = {"@odata.context": self._context(call, target, options.select) + "/$entity"}
        out |= expanded(self._company, target.entity, target.row, options)
        return Reply(200, out, {"etag": self._company.etag(target.row)})

    def _delete(self, call: Call, target: Target) -> Reply:
        if target.row is None:
            raise _not_allowed("DELETE", target.entity.name)
        services.check_verb(target.entity.name, "D", "DELETE")
        check_match(self._company, call, target.row, required=False)
        services.remove(self._company, target.entity.name, target.row)
        return Reply(204)

    def _act(self, call: Call, target: Target) -> Reply:
        if call.method != "POST":
            raise _not_allowed(call.method, target.entity.name)
        assert target.row is not None  # noqa: S101 - an action stands behind a key
        check_match(self._company, call, target.row, required=False)
        if call.has_body and call.body not in ({}, None):
            raise bad_request("The action takes no parameters.")
        run_action(self._company, target.entity.name, target.row, target.action)
        return Reply(204)


def check_match(company: Company, call: Call, row: Row, *, required: bool) -> None:
    """If-Match: missing or malformed is refused, a star always fits, a stale tag conflicts."""
    tag = call.header("if-match").strip()
    if not tag and not required:
        return
    if tag == "*":
        return
    if not (tag.startswith(('W/"', '"')) and tag.endswith('"') and len(tag) > 3):
        raise Refusal(
            400,
            "BadRequest_InvalidToken",
            "The request needs a valid concurrency token in If-Match.",
        )
    if tag.removeprefix("W/") != company.etag(row).removeprefix("W/"):
        raise changed()


def refusal_reply(refusal: Refusal) -> Reply:
    """A refusal as a reply."""
    return Reply(refusal.status, error_content(refusal.code, refusal.message))


def _not_allowed(method: str, name: str) -> Refusal:
    return Refusal(
        405,
        "BadRequest_MethodNotAllowed",
        f"'{method}' requests for '{name}' of this kind are not allowed.",
    )


def _no_company(named: str) -> Refusal:
    return Refusal(404, "Internal_CompanyNotFound", f"There is no company {named}.")


def _wants_nothing(prefer: str) -> bool:
    text = prefer.lower().replace(" ", "")
    return "return-no-content" in text or "return=minimal" in text
