"""The Salesforce client: queries, collections, replication windows, describe and limits.

Every method is one documented REST call, or as few as the vendor's sizes allow. Nothing is
retried here but a call whose session had ended and one that Salesforce asked to repeat later.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlsplit

from ml_connector.domain.clock import Clock, SystemClock
from ml_connector.domain.identifiers import eighteen
from ml_connector.errors import ConfigurationError, FeedError, RecordNotFound
from ml_connector.salesforce import faults
from ml_connector.salesforce.auth import SalesforceAuth
from ml_connector.salesforce.bulk_query import ROWS_PER_PAGE, BulkRow, bulk_pages
from ml_connector.salesforce.describe import Describe, parse_describe
from ml_connector.salesforce.models import SObject, selected_fields
from ml_connector.salesforce.settings import SalesforceSettings
from ml_connector.salesforce.wire import Call, SalesforceWire, default_sleep

RECORDS_PER_CALL = 200
IDS_PER_RETRIEVE = 2000
IDS_PER_ADDRESS = 200
ALERTS_ALLOWED = {"Sforce-Duplicate-Rule-Header": "allowSave=true"}
"""Sent with changes: a duplicate rule that only alerts must not keep a status from its record."""
LONGEST_FIELD_LIST = 6_000
"""Bytes of field names in an address; Salesforce takes 16,384 for address and headers together."""


@dataclass(frozen=True, slots=True)
class ResultError:
    """Why one record of a collections call failed."""

    code: str
    message: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordResult:
    """What happened to one record of a collections call; `created` is known for upserts only."""

    id: str | None
    success: bool
    created: bool | None
    errors: tuple[ResultError, ...]
    request_id: str = field(default="", compare=False)
    """Id of the call in the org's event logs; the records of one call share it."""

    @property
    def is_retryable(self) -> bool:
        """Tell whether the same write may succeed later, such as after a row lock."""
        return bool(self.errors) and all(
            error.code in faults.RETRYABLE_RESULTS for error in self.errors
        )


class SalesforceClient:
    """Calls one org as the app's run-as user; one instance may serve several threads."""

    def __init__(
        self,
        settings: SalesforceSettings,
        clock: Clock | None = None,
        *,
        sleep: Callable[[float], None] = default_sleep,
    ) -> None:
        self.settings = settings
        self._wire = SalesforceWire(settings, clock or SystemClock(), sleep=sleep)
        self._sleep = sleep
        self._describes: dict[str, Describe] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> SalesforceClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._wire.http.close()

    @property
    def auth(self) -> SalesforceAuth:
        """The session holder, for callers that speak another protocol with the same session."""
        return self._wire.auth

    @property
    def wire(self) -> SalesforceWire:
        """The sender of single calls, for resources beside the records."""
        return self._wire

    @property
    def organization_id(self) -> str:
        """The 18-character id of the org; signs in when needed."""
        return self.auth.session().organization_id or str(self.userinfo()["organization_id"])

    @property
    def user_id(self) -> str:
        """The 18-character id of the run-as user; signs in when needed."""
        return self.auth.session().user_id or str(self.userinfo()["user_id"])

    @property
    def instance_url(self) -> str:
        """The address of the org for every call and for links; signs in when needed."""
        return self.auth.session().instance_url

    @property
    def requests_made(self) -> int:
        """How many HTTP requests left this client, sign-ins included."""
        return sum(self.calls.values())

    @property
    def calls(self) -> dict[tuple[str, str], int]:
        """How many requests left by (method, kind), such as ("PATCH", "upsert")."""
        return dict(self._wire.calls)

    @property
    def api_usage(self) -> tuple[int, int] | None:
        """The org's calls in 24 hours and its allocation, as last told; None before any answer."""
        return self._wire.api_usage

    @property
    def clock_offset(self) -> timedelta | None:
        """How far the org's clock is ahead of this computer's; None before any answer."""
        return self._wire.clock_offset

    # --- metadata ---

    def describe(self, sobject: str) -> Describe:
        """Return what the org says about *sobject*; asked once per client.

        Raises: ConfigurationError code `unknown_object` when the org or user has no such object.
        """
        with self._lock:
            known = self._describes.get(sobject)
        if known is not None:
            return known
        try:
            raw = self._get(f"sobjects/{sobject}/describe", "describe", f"describe {sobject}")
        except RecordNotFound as error:
            raise ConfigurationError(
                f"The org has no object {sobject}, or the run-as user does not see it.",
                system=faults.SYSTEM,
                operation=error.operation,
                code="unknown_object",
                status=error.status,
                remedy=faults.REMEDIES["INVALID_TYPE"],
            ) from error
        described = parse_describe(raw)
        with self._lock:
            self._describes[sobject] = described
        return described

    def fields_for(self, model: type[SObject]) -> tuple[str, ...]:
        """Return the fields to select for *model* in this org."""
        return selected_fields(model, self.describe(model.__name__).has)

    def limits(self) -> dict[str, Any]:
        """Return the org's limits: name → {"Max": n, "Remaining": n}."""
        return self._object(self._get("limits", "limits", "limits"), "limits")

    def versions(self) -> list[dict[str, Any]]:
        """Return the REST versions the org serves, oldest first."""
        answer = self._get("/services/data/", "versions", "versions")
        if not isinstance(answer, list):
            raise faults.misshapen("versions", "no list")
        return answer

    def userinfo(self) -> dict[str, Any]:
        """Return who the run-as user is: user_id, organization_id, preferred_username and more."""
        answer = self._get("/services/oauth2/userinfo", "userinfo", "userinfo")
        return self._object(answer, "userinfo")

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """Return the answer of a GET below the versioned base; with a leading / from the root."""
        return self._get(path, "get", f"GET {path.partition('?')[0]}", params)

    # --- reading ---

    def query(
        self, soql: str, *, batch_size: int | None = None, all_rows: bool = False
    ) -> Iterator[list[dict[str, Any]]]:
        """Yield the records of *soql*, one list per page; child subqueries are complete.

        `all_rows` includes deleted and archived records. Pages may be smaller than `batch_size`.
        Raises: FeedError code `query_locator` when the cursor died between pages: query again;
        ConfigurationError for an unknown field or object.
        """
        headers = {"Sforce-Query-Options": f"batchSize={batch_size}"} if batch_size else None
        resource = "queryAll" if all_rows else "query"
        page = self._wire.send(
            Call("GET", resource, "query", "query", params={"q": soql}, headers=headers)
        )
        seen: set[str] = set()
        while True:
            records = self._records_of(page)
            for record in records:
                self._complete_children(record)
            yield records
            path = self._next_path(page)
            if not path:
                return
            if path in seen:
                raise faults.misshapen("query", "nextRecordsUrl repeats")
            seen.add(path)
            page = self._query_more(path, headers)

    def query_rows(self, soql: str, *, all_rows: bool = False) -> Iterator[dict[str, Any]]:
        """Yield the records of *soql* one by one."""
        for page in self.query(soql, all_rows=all_rows):
            yield from page

    def bulk_query(self, soql: str, *, page_size: int = ROWS_PER_PAGE) -> Iterator[list[BulkRow]]:
        """Yield the records of *soql* page by page through a Bulk API 2.0 query job.

        For thousands of records: a handful of calls whatever their number. Values are text, an
        empty one None; no child queries. Raises: TransientError when the job does not end.
        """
        return bulk_pages(self._wire, soql, self._sleep, page_size)

    def count(self, soql: str) -> int:
        """Return how many rows `SELECT COUNT() …` finds."""
        answer = self._object(
            self._wire.send(Call("GET", "query", "query", "count", params={"q": soql})), "count"
        )
        if not isinstance(answer.get("totalSize"), int):
            raise faults.misshapen("count", "no totalSize")
        return int(answer["totalSize"])

    def retrieve(
        self, sobject: str, ids: Sequence[str], fields: Sequence[str]
    ) -> list[dict[str, Any] | None]:
        """Return the records with *ids*, in their order; None where one is gone or not visible."""
        selected = list(dict.fromkeys(["Id", *fields]))
        found: dict[str, dict[str, Any]] = {}
        wanted = list(dict.fromkeys(ids))
        operation = f"retrieve {sobject}"
        for start in range(0, len(wanted), IDS_PER_RETRIEVE):
            chunk = wanted[start : start + IDS_PER_RETRIEVE]
            answer = self._wire.send(_retrieval(sobject, chunk, selected, operation))
            if not isinstance(answer, list):
                raise faults.misshapen(operation, "no list of records")
            found.update(
                {eighteen(str(r["Id"])): r for r in answer if isinstance(r, dict) and "Id" in r}
            )
        return [found.get(eighteen(wanted_id)) for wanted_id in ids]

    def updated(self, sobject: str, start: datetime, end: datetime) -> tuple[list[str], datetime]:
        """Return (ids created or changed in the window, latest date covered).

        Seconds are cut to the minute; the next window starts at the date covered.
        Raises: FeedError when the window is too old, too wide or the object keeps no such record.
        """
        answer = self._window(sobject, "updated", start, end)
        ids = answer.get("ids")
        if not isinstance(ids, list):
            raise faults.misshapen(f"updated {sobject}", "no list of ids")
        return [str(each) for each in ids], self._moment(answer, "latestDateCovered")

    def deleted(
        self, sobject: str, start: datetime, end: datetime
    ) -> tuple[list[tuple[str, datetime]], datetime, datetime]:
        """Return ([(id, deleted at)], latest date covered, earliest date available).

        When the earliest date available is later than *start*, deletions are missing: read all.
        Raises: FeedError as `updated`.
        """
        answer = self._window(sobject, "deleted", start, end)
        records = answer.get("deletedRecords")
        if not isinstance(records, list):
            raise faults.misshapen(f"deleted {sobject}", "no list of deletedRecords")
        gone = [(str(r.get("id", "")), self._moment(r, "deletedDate")) for r in records]
        covered = self._moment(answer, "latestDateCovered")
        return gone, covered, self._moment(answer, "earliestDateAvailable")

    # --- writing ---

    def update_records(
        self, sobject: str, records: Sequence[Mapping[str, Any]]
    ) -> list[RecordResult]:
        """Change records named by "Id"; one result per record, in order, never all or none.

        Effect: one PATCH per 200; repeating it with equal fields changes nothing. Callers that must
        keep the results of each call pass at most 200.
        Raises: OutcomeUnknown when an answer is lost.
        """
        bodies = [
            {
                "attributes": {"type": sobject},
                "id": record["Id"],
                **{name: value for name, value in record.items() if name != "Id"},
            }
            for record in records
        ]
        return self._collection("PATCH", "composite/sobjects", "update", sobject, bodies)

    def upsert_records(
        self, sobject: str, external_id_field: str, records: Sequence[Mapping[str, Any]]
    ) -> list[RecordResult]:
        """Create or change records named by the External Id each carries.

        Effect: one PATCH per 200; repeating it with equal fields changes nothing.
        Raises: OutcomeUnknown when an answer is lost; ConfigurationError when the org has no such
        External Id field or the user does not see it.
        """
        bodies = [{"attributes": {"type": sobject}, **record} for record in records]
        path = f"composite/sobjects/{sobject}/{external_id_field}"
        try:
            return self._collection("PATCH", path, "upsert", sobject, bodies)
        except RecordNotFound as error:
            raise ConfigurationError(
                f"{sobject} has no External Id field {external_id_field}, or the run-as user does "
                "not see it.",
                system=faults.SYSTEM,
                operation=error.operation,
                code="unknown_external_id",
                status=error.status,
                remedy=faults.REMEDIES["INVALID_FIELD"],
            ) from error

    def create_records(
        self, sobject: str, records: Sequence[Mapping[str, Any]]
    ) -> list[RecordResult]:
        """Create records. Effect: one POST per 200; repeating it creates them again."""
        bodies = [{"attributes": {"type": sobject}, **record} for record in records]
        return self._collection("POST", "composite/sobjects", "create", sobject, bodies)

    def delete_records(self, ids: Sequence[str]) -> list[RecordResult]:
        """Move records to the recycle bin; one result per id, refused for one already there."""
        results: list[RecordResult] = []
        for start in range(0, len(ids), RECORDS_PER_CALL):
            chunk = list(ids[start : start + RECORDS_PER_CALL])
            answer, request_id = self._wire.send_write(
                Call(
                    "DELETE",
                    "composite/sobjects",
                    "delete",
                    "delete records",
                    params={"ids": ",".join(chunk), "allOrNone": "false"},
                    is_write=True,
                )
            )
            results += self._results(answer, len(chunk), "delete records", request_id)
        return results

    # --- inside ---

    def _collection(
        self, method: str, path: str, kind: str, sobject: str, bodies: list[dict[str, Any]]
    ) -> list[RecordResult]:
        results: list[RecordResult] = []
        operation = f"{kind} {sobject}"
        for start in range(0, len(bodies), RECORDS_PER_CALL):
            chunk = bodies[start : start + RECORDS_PER_CALL]
            answer, request_id = self._wire.send_write(
                Call(
                    method,
                    path,
                    kind,
                    operation,
                    body={"allOrNone": False, "records": chunk},
                    headers=ALERTS_ALLOWED if method == "PATCH" else None,
                    is_write=True,
                )
            )
            results += self._results(answer, len(chunk), operation, request_id)
        return results

    def _results(
        self, answer: Any, expected: int, operation: str, request_id: str
    ) -> list[RecordResult]:
        if not isinstance(answer, list) or len(answer) != expected:
            raise faults.misshapen(operation, "not one result per record", is_write=True)
        return [self._result(item, operation, request_id) for item in answer]

    @staticmethod
    def _result(item: Any, operation: str, request_id: str) -> RecordResult:
        if not isinstance(item, dict) or not isinstance(item.get("success"), bool):
            raise faults.misshapen(operation, "a result without success", is_write=True)
        created = item.get("created")
        return RecordResult(
            id=item.get("id") or None,
            success=item["success"],
            created=created if isinstance(created, bool) else None,
            errors=tuple(
                ResultError(
                    code=str(error.get("statusCode") or error.get("errorCode") or ""),
                    message=str(error.get("message") or ""),
                    fields=tuple(str(field) for field in error.get("fields") or ()),
                )
                for error in item.get("errors") or ()
                if isinstance(error, dict)
            ),
            request_id=request_id,
        )

    def _get(
        self, path: str, kind: str, operation: str, params: Mapping[str, str] | None = None
    ) -> Any:
        return self._wire.send(Call("GET", path, kind, operation, params=params))

    @staticmethod
    def _object(answer: Any, operation: str) -> dict[str, Any]:
        if not isinstance(answer, dict):
            raise faults.misshapen(operation, "no object")
        return answer

    @staticmethod
    def _records_of(page: Any) -> list[dict[str, Any]]:
        records = page.get("records") if isinstance(page, dict) else None
        if not isinstance(records, list) or not all(isinstance(r, dict) for r in records):
            raise faults.misshapen("query", "no list of records")
        return records

    @staticmethod
    def _next_path(page: Mapping[str, Any]) -> str:
        """Where the next page is on the org's own host; "" after the last."""
        address = page.get("nextRecordsUrl")
        if page.get("done") is True or not address:
            if page.get("done") is False:
                raise faults.misshapen("query", "more records but no nextRecordsUrl")
            return ""
        parts = urlsplit(str(address))
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        return path if path.startswith("/") else f"/{path}"

    def _query_more(self, path: str, headers: Mapping[str, str] | None) -> Any:
        try:
            return self._wire.send(Call("GET", path, "query", "query", headers=headers))
        except (FeedError, RecordNotFound) as error:
            raise FeedError(
                "Salesforce closed the query's cursor before the last page.",
                system=faults.SYSTEM,
                operation="query",
                code="query_locator",
                status=error.status,
                remedy="Nothing to do: the query starts again.",
            ) from error

    def _complete_children(self, record: dict[str, Any]) -> None:
        for value in record.values():
            if not isinstance(value, dict) or not isinstance(value.get("records"), list):
                continue
            page: Any = value
            while path := self._next_path(page):
                page = self._query_more(path, None)
                value["records"].extend(self._records_of(page))
            value.pop("nextRecordsUrl", None)
            value["done"] = True

    def _window(self, sobject: str, which: str, start: datetime, end: datetime) -> dict[str, Any]:
        first = start.astimezone(UTC).replace(second=0, microsecond=0)
        last = end.astimezone(UTC).replace(second=0, microsecond=0)
        last = max(last, first + timedelta(minutes=1))
        operation = f"{which} {sobject}"
        path = f"sobjects/{quote(sobject)}/{which}/"
        params = {"start": _zoned(first), "end": _zoned(last)}
        return self._object(self._get(path, which, operation, params), operation)

    @staticmethod
    def _moment(answer: Mapping[str, Any], key: str) -> datetime:
        try:
            at = datetime.fromisoformat(str(answer[key]))
        except (KeyError, ValueError) as error:
            raise faults.misshapen("replication window", f"no time in {key}") from error
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def _zoned(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}+00:00"


def _retrieval(sobject: str, ids: Sequence[str], fields: Sequence[str], operation: str) -> Call:
    """Return the call that reads *ids*: a GET while they fit its address, else a POST."""
    path, listed = f"composite/sobjects/{sobject}", ",".join(fields)
    if len(ids) <= IDS_PER_ADDRESS and len(listed) <= LONGEST_FIELD_LIST:
        params = {"ids": ",".join(ids), "fields": listed}
        return Call("GET", path, "retrieve", operation, params=params)
    body = {"ids": list(ids), "fields": list(fields)}
    return Call("POST", path, "retrieve", operation, body=body)
