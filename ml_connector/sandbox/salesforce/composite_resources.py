"""Several requests in one: composite, graph, batch and tree."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from ml_connector.sandbox.frame.wire import encode
from ml_connector.sandbox.salesforce import records
from ml_connector.sandbox.salesforce.calls import Call, Reply, flag
from ml_connector.sandbox.salesforce.faults import SalesforceFault, not_found
from ml_connector.sandbox.salesforce.schema import SObject
from ml_connector.sandbox.salesforce.transactions import Transaction
from ml_connector.sandbox.salesforce.workspace import Workspace

MOST_PARTS = 25
MOST_HEAVY_PARTS = 5
MOST_TREE_RECORDS = 200
MOST_TREE_LEVELS = 5
MOST_GRAPHS = 75
_REFERENCE = re.compile(r"@\{([A-Za-z]\w*)((?:\.\w+|\[\d+\])*)\}")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_HEAVY = re.compile(r"/services/data/v[\d.]+/(query|queryAll|composite/sobjects)\b")
_INNER = re.compile(r"/services/data/v[\d.]+/")
Dispatch = Callable[[Call], Reply]


class _Halted(Exception):
    """A part refers to a part that failed or to a value that is not there."""


def _too_many(message: str) -> SalesforceFault:
    return SalesforceFault("LIMIT_EXCEEDED", message)


class CompositeResources:
    """Everything under /composite but the collections."""

    def __init__(self, workspace: Workspace, dispatch: Dispatch) -> None:
        self._workspace = workspace
        self._org = workspace.org
        self._dispatch = dispatch

    def handle(self, call: Call, rest: list[str]) -> Reply:
        """Serves an address below /composite."""
        if call.method != "POST":
            if call.method == "GET" and not rest:
                base = f"/services/data/v{call.version}/composite"
                return Reply(200, {n: f"{base}/{n}" for n in ("tree", "batch", "sobjects")})
            raise SalesforceFault("METHOD_NOT_ALLOWED", f"{call.method} is not taken here")
        match rest:
            case []:
                body = call.json_object()
                answers = self._composite(call, body, all_or_none=flag(body.get("allOrNone")))
                return Reply(200, {"compositeResponse": answers})
            case ["graph"]:
                return self._graphs(call)
            case ["batch"]:
                return self._batch(call)
            case ["tree", name]:
                return self._tree(call, name)
        raise not_found()

    # --- composite and graph ---------------------------------------------------------------

    def _composite(
        self, call: Call, body: dict[str, Any], *, all_or_none: bool, most: int = MOST_PARTS
    ) -> list[dict[str, Any]]:
        parts = body.get("compositeRequest")
        if not isinstance(parts, list) or not parts:
            raise SalesforceFault("JSON_PARSER_ERROR", "compositeRequest is a list of requests")
        if len(parts) > most:
            raise _too_many(f"At most {most} requests in one")
        if sum(bool(_HEAVY.match(str(part.get("url")))) for part in parts) > MOST_HEAVY_PARTS:
            raise _too_many(f"At most {MOST_HEAVY_PARTS} queries and collections in one")
        names = [part.get("referenceId") for part in parts]
        if not all(isinstance(name, str) and name for name in names) or len(set(names)) < len(
            names
        ):
            raise SalesforceFault("INVALID_INPUT", "Each request has a referenceId of its own")
        if not all_or_none:
            return self._parts(call, parts)
        with self._workspace.together(call) as shared:
            start = shared.mark()
            answers = self._parts(call, parts, stop=True)
            if any(answer["httpStatusCode"] >= 300 for answer in answers):
                shared.roll_back(start)
                answers = [
                    answer
                    if answer["httpStatusCode"] >= 300
                    else _answer(answer["referenceId"], _halted("Another request failed"))
                    for answer in answers
                ]
        return answers

    def _parts(
        self, call: Call, parts: list[dict[str, Any]], *, stop: bool = False
    ) -> list[dict[str, Any]]:
        results: dict[str, Any] = {}
        failed: set[str] = set()
        answers = []
        for part in parts:
            name = part["referenceId"]
            if stop and failed:
                reply = _halted("An earlier request failed")
            else:
                try:
                    reply = self._part(call, part, results, failed)
                except _Halted as halted:
                    reply = _halted(str(halted))
            if reply.status >= 300:
                failed.add(name)
            results[name] = reply.value
            answers.append(_answer(name, reply))
        return answers

    def _part(
        self, call: Call, part: dict[str, Any], results: dict[str, Any], failed: set[str]
    ) -> Reply:
        url = _replaced(str(part.get("url", "")), results, failed, in_address=True)
        if not _INNER.match(str(url)):
            return Reply(400, SalesforceFault("INVALID_INPUT", "The url is no resource").body())
        body = _resolved(part.get("body"), results, failed)
        path, _, query = str(url).partition("?")
        headers = {**call.headers, "content-type": "application/json"}
        for name, value in (part.get("httpHeaders") or {}).items():
            headers[str(name).lower()] = str(value)
        inner = Call(
            str(part.get("method", "")).upper(),
            quote(path, safe="/%@:+,;=~!$&'()*"),
            query.replace(" ", "+"),
            headers,
            b"" if body is None else encode(body),
            call.person,
        )
        if re.fullmatch(r"/services/data/v[\d.]+/composite(/(graph|batch|tree/.*))?/?", path):
            return Reply(400, SalesforceFault("INVALID_INPUT", "No composite in another").body())
        return self._dispatch(inner)

    def _graphs(self, call: Call) -> Reply:
        graphs = call.json_object().get("graphs")
        if not isinstance(graphs, list) or not graphs:
            raise SalesforceFault("JSON_PARSER_ERROR", "graphs is a list of graphs")
        if len(graphs) > MOST_GRAPHS:
            raise _too_many(f"At most {MOST_GRAPHS} graphs in one")
        if sum(len(graph.get("compositeRequest") or ()) for graph in graphs) > 500:
            raise _too_many("At most 500 requests in all graphs")
        shown = []
        for graph in graphs:
            answers = self._composite(call, graph, all_or_none=True, most=500)
            good = all(answer["httpStatusCode"] < 300 for answer in answers)
            shown.append(
                {
                    "graphId": graph.get("graphId"),
                    "graphResponse": {"compositeResponse": answers},
                    "isSuccessful": good,
                }
            )
        return Reply(200, {"graphs": shown})

    # --- batch -----------------------------------------------------------------------------

    def _batch(self, call: Call) -> Reply:
        body = call.json_object()
        parts = body.get("batchRequests")
        if not isinstance(parts, list) or not parts:
            raise SalesforceFault("JSON_PARSER_ERROR", "batchRequests is a list of requests")
        if len(parts) > MOST_PARTS:
            raise _too_many(f"At most {MOST_PARTS} requests in one")
        results: list[dict[str, Any]] = []
        failed = False
        for part in parts:
            if failed and flag(body.get("haltOnError")):
                refusal = SalesforceFault("BATCH_PROCESSING_HALTED", "An earlier request failed")
                results.append({"statusCode": 412, "result": refusal.body()})
                continue
            path, _, query = str(part.get("url", "")).lstrip("/").partition("?")
            source = part.get("richInput")
            inner = Call(
                str(part.get("method", "")).upper(),
                "/" + (path if path.startswith("services/") else f"services/data/{path}"),
                query.replace(" ", "+"),
                {**call.headers, "content-type": "application/json"},
                b"" if source is None else encode(source),
                call.person,
            )
            reply = self._dispatch(inner)
            failed = failed or reply.status >= 400
            results.append({"statusCode": reply.status, "result": reply.value})
        return Reply(200, {"hasErrors": failed, "results": results})

    # --- tree ------------------------------------------------------------------------------

    def _tree(self, call: Call, name: str) -> Reply:
        sobject = self._workspace.sobject(call, name)
        sources = call.json_object().get("records")
        if not isinstance(sources, list) or not sources:
            raise SalesforceFault("JSON_PARSER_ERROR", "records is a list of objects")
        planted = _Planting(self._workspace)
        with self._workspace.together(call) as transaction:
            start = transaction.mark()
            for source in sources:
                planted.plant(transaction, sobject, source, {}, 1)
            if planted.errors:
                transaction.roll_back(start)
        if planted.errors:
            return Reply(400, {"hasErrors": True, "results": planted.errors})
        return Reply(201, {"hasErrors": False, "results": planted.results})


class _Planting:
    """Creates the records of one tree."""

    def __init__(self, workspace: Workspace) -> None:
        self._org = workspace.org
        self.results: list[dict[str, str]] = []
        self.errors: list[dict[str, Any]] = []
        self._count = 0

    def plant(
        self,
        transaction: Transaction,
        sobject: SObject,
        source: dict[str, Any],
        parent: dict[str, str],
        level: int,
    ) -> None:
        """Creates a record and its children."""
        self._count += 1
        if self._count > MOST_TREE_RECORDS or level > MOST_TREE_LEVELS:
            raise _too_many(f"At most {MOST_TREE_RECORDS} records in {MOST_TREE_LEVELS} levels")
        reference = (source.get("attributes") or {}).get("referenceId")
        if not reference:
            raise SalesforceFault("INVALID_INPUT", "Each record has a referenceId")
        body: dict[str, Any] = dict(parent)
        branches: list[tuple[str, Any]] = []
        for key, value in source.items():
            if isinstance(value, dict) and "records" in value and sobject.child(key):
                branches.append((key, value["records"]))
            else:
                body[key] = value
        mark = transaction.mark()
        try:
            found = records.create(self._org, transaction, sobject, body)
        except SalesforceFault as fault:
            transaction.roll_back(mark)
            self.errors.append({"referenceId": reference, "errors": [fault.item()]})
            return
        self.results.append({"referenceId": reference, "id": found})
        for key, children in branches:
            child = sobject.child(key)
            if child is None:
                continue
            for item in children:
                link = {child.field: found}
                target = self._org.schema[child.sobject]
                self.plant(transaction, target, item, link, level + 1)


def _answer(name: str, reply: Reply) -> dict[str, Any]:
    headers = {"Location": reply.headers["location"]} if "location" in reply.headers else {}
    return {
        "body": reply.value,
        "httpHeaders": headers,
        "httpStatusCode": reply.status,
        "referenceId": name,
    }


def _halted(message: str) -> Reply:
    return Reply(400, SalesforceFault("PROCESSING_HALTED", message).body())


def _resolved(value: Any, results: dict[str, Any], failed: set[str]) -> Any:
    if isinstance(value, dict):
        return {key: _resolved(item, results, failed) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolved(item, results, failed) for item in value]
    return _replaced(value, results, failed) if isinstance(value, str) else value


def _replaced(
    text: str, results: dict[str, Any], failed: set[str], *, in_address: bool = False
) -> Any:
    whole = _REFERENCE.fullmatch(text)
    if whole and not in_address:
        return _referred(whole, results, failed)
    return _REFERENCE.sub(lambda found: str(_referred(found, results, failed)), text)


def _referred(found: re.Match[str], results: dict[str, Any], failed: set[str]) -> Any:
    name = found[1]
    if name in failed:
        raise _Halted(f"{name} failed")
    value: Any = results.get(name)
    for step in _STEP.finditer(found[2]):
        try:
            value = value[int(step[2])] if step[2] else value[step[1]]
        except (KeyError, IndexError, TypeError) as error:
            raise _Halted(f"{found[0]} names nothing") from error
    if value is None:
        raise _Halted(f"{found[0]} names nothing")
    return value
