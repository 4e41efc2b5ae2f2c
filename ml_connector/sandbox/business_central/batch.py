"""`$batch`: one after another, stopping at the first failure unless told otherwise."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from ml_connector.sandbox.business_central.api import Api, refusal_reply
from ml_connector.sandbox.business_central.calls import Call, Reply
from ml_connector.sandbox.business_central.company import Company
from ml_connector.sandbox.business_central.faults import Refusal, bad_request


class _Reverted(Exception):
    """Leaves the snapshot's transaction."""


class Batch:
    """Runs the operations of a batch in order."""

    def __init__(self, company: Company, api: Api, count_inner: Callable[[int], None]) -> None:
        self._company = company
        self._api = api
        self._count_inner = count_inner

    def answer(self, call: Call) -> Reply:
        """The reply to the whole batch."""
        try:
            if call.method != "POST":
                raise Refusal(405, "BadRequest_MethodNotAllowed", "A batch is a POST.")
            operations = self._operations(call)
        except Refusal as refusal:
            return refusal_reply(refusal)
        self._count_inner(max(0, len(operations) - 1))
        go_on = "continue-on-error" in call.header("prefer").lower()
        snapshot = call.header("isolation").strip().lower() == "snapshot"
        responses: list[dict[str, Any]] = []
        if not snapshot:
            self._run(call, operations, responses, go_on=go_on)
        else:
            try:
                with self._company.transaction():
                    if not self._run(call, operations, responses, go_on=False):
                        raise _Reverted
            except _Reverted:
                pass  # what the earlier operations answered stays as it was said
        return Reply(200, {"responses": responses})

    def _operations(self, call: Call) -> list[dict[str, Any]]:
        body = call.body
        if not isinstance(body, dict) or not isinstance(body.get("requests"), list):
            raise bad_request("The body of a batch is an object with a list 'requests'.")
        operations: list[dict[str, Any]] = body["requests"]
        limit = int(self._company.switches["batch_limit"])
        if len(operations) > limit:
            raise Refusal(
                500,
                "Unknown",
                f"The batch exceeds the maximum number of '{limit}' query operations.",
            )
        for operation in operations:
            if (
                not isinstance(operation, dict)
                or not isinstance(operation.get("method"), str)
                or not isinstance(operation.get("url"), str)
            ):
                raise bad_request("Each request of a batch has a method and a url.")
        return operations

    def _run(
        self,
        outer: Call,
        operations: list[dict[str, Any]],
        responses: list[dict[str, Any]],
        *,
        go_on: bool,
    ) -> bool:
        """Run them, and say whether all went well."""
        well = True
        for operation in operations:
            reply = self._one(outer, operation)
            headers = {"content-type": "application/json; odata.metadata=minimal"}
            headers |= {"odata-version": "4.0", **reply.headers}
            responses.append(
                {
                    "id": operation.get("id"),
                    "status": reply.status,
                    "headers": headers,
                    "body": reply.content if reply.text is None else reply.text,
                }
            )
            if reply.status >= 400:
                well = False
                if not go_on:
                    return False
        return well

    def _one(self, outer: Call, operation: dict[str, Any]) -> Reply:
        given = operation.get("headers") or {}
        headers = {str(name).lower(): str(value) for name, value in given.items()}
        address = urlsplit(operation["url"])
        path = address.path
        if "/api/v2.0/" in path:
            path = path.split("/api/v2.0/", 1)[1]
        body = operation.get("body")
        if body is not None and operation["method"].upper() in ("POST", "PATCH"):
            content_type = headers.get("content-type", "")
            if not content_type.startswith("application/json"):
                return refusal_reply(
                    Refusal(415, "BadRequest", "The content type of an operation is JSON.")
                )
        call = Call(
            method=operation["method"].upper(),
            path=path.strip("/"),
            query=address.query,
            headers=headers,
            body=body,
            base=outer.base,
            has_body=body is not None,
        )
        return self._api.answer(call)
