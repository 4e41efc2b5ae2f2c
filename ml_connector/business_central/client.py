"""The Business Central client: pages, look-ups, single writes with ETags, actions and batches.

Every method is one documented OData call, or as few as the vendor's sizes allow. Nothing is
retried here but a call whose token had died and one that BC asked to repeat later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import Any

import httpx

from ml_connector.business_central import faults, odata
from ml_connector.business_central.auth import BusinessCentralAuth
from ml_connector.business_central.models import Company, parse
from ml_connector.business_central.pacing import Pace, pace_of
from ml_connector.business_central.settings import BusinessCentralSettings
from ml_connector.business_central.wire import BusinessCentralWire, Call, OnSend
from ml_connector.domain.clock import Clock, SystemClock
from ml_connector.errors import (
    ConfigurationError,
    ConnectorError,
    RecordNotFound,
    RecordRejected,
    TransientError,
)

OPERATIONS_PER_BATCH = 100


@dataclass(frozen=True, slots=True)
class BatchOperation:
    """One operation of a batch; *url* as `batch_url` gives it, *id* unique within the call."""

    id: str
    method: str
    url: str
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What BC answered to one operation of a batch."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def succeeded(self) -> bool:
        """Tell whether the operation was done."""
        return 200 <= self.status < 300

    def error(self, operation: str, *, is_write: bool = False) -> ConnectorError | None:
        """Return the error of the operation by the fault table; None when it was done."""
        if self.succeeded:
            return None
        refusal = faults.refusal_of(self.status, self.headers, self.body)
        return faults.error_from(refusal, operation=operation, is_write=is_write)


class BusinessCentralClient:
    """Calls one company as the app user; one instance may serve several threads.

    All clients of one app in this process share its places in flight and its rate.
    """

    def __init__(
        self,
        settings: BusinessCentralSettings,
        clock: Clock | None = None,
        *,
        transport: httpx.BaseTransport | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self._wire = BusinessCentralWire(
            settings,
            pace
            or pace_of(
                settings.base_url, settings.tenant_id, settings.client_id, settings.max_in_flight
            ),
            self.clock,
            transport=transport,
        )
        self._company: Company | None = None

    def __enter__(self) -> BusinessCentralClient:
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
        self._wire.close()

    @property
    def auth(self) -> BusinessCentralAuth:
        """The token holder."""
        return self._wire.auth

    @property
    def wire(self) -> BusinessCentralWire:
        """The sender of single calls, for resources that are no set of the company."""
        return self._wire

    @property
    def requests_made(self) -> int:
        """How many HTTP requests left this client, sign-ins included."""
        return sum(self.calls.values())

    @property
    def calls(self) -> dict[tuple[str, str], int]:
        """How many requests left by (method, kind), such as ("POST", "salesOrders")."""
        return dict(self._wire.calls)

    @property
    def clock_offset(self) -> timedelta | None:
        """How far the service's clock is ahead of this computer's; None before any answer."""
        return self._wire.clock_offset

    @property
    def rate(self) -> tuple[int, int]:
        """Requests of the last five minutes, and how many this process may make in them."""
        return self._wire.rate

    @contextmanager
    def using_share(self, percent: int) -> Iterator[None]:
        """Let this client's calls start only while *percent* of the rate is not used."""
        before = self._wire.share_percent
        self._wire.share_percent = percent
        try:
            yield
        finally:
            self._wire.share_percent = before

    # --- company ---

    def environments(self) -> list[str]:
        """Return the names of the tenant's environments.

        Source: Business Central, "Get environments".
        """
        address = f"{self.settings.base_url.removesuffix('/v2.0')}/environments/v1.2"
        operation = "GET environments"
        answer = self._wire.send(Call("GET", address, "environments", operation))
        return [str(row.get("name") or "") for row in self._rows_of(answer, operation)]

    def companies(self) -> list[Company]:
        """Return the companies of the environment.

        Raises: ConfigurationError code `wrong_environment` when the environment is not there.
        """
        operation = "GET companies"
        try:
            answer = self._wire.send(
                Call("GET", f"{self._wire.root}/companies", "companies", operation)
            )
        except RecordNotFound as error:
            raise ConfigurationError(
                f"Business Central has no environment {self.settings.environment} in the tenant.",
                system=faults.SYSTEM,
                operation=operation,
                code="wrong_environment",
                status=error.status,
                remedy="Correct environment, tenant_id or base_url in the connection file.",
                request_id=error.request_id,
            ) from error
        return [parse(Company, row) for row in self._rows_of(answer, operation)]

    def company(self) -> Company:
        """Return the company of the settings, looked up once.

        Raises: ConfigurationError code `wrong_company` when it is not in the environment or not
        named clearly, `wrong_environment` when the environment is not there.
        """
        if self._company is None:
            self._company = self._chosen(self.companies())
        return self._company

    def _chosen(self, companies: Sequence[Company]) -> Company:
        wanted_id, wanted_name = self.settings.company_id, self.settings.company_name
        if wanted_id:
            found = [c for c in companies if c.id == wanted_id]
        else:
            name = wanted_name.strip().casefold()
            found = [c for c in companies if c.name.casefold() == name]
            found = found or [c for c in companies if name and c.display_name.casefold() == name]
        if len(found) == 1:
            return found[0]
        names = ", ".join(sorted(c.name or c.id for c in companies)) or "none"
        wanted = wanted_id or wanted_name or "no company_id and no company_name"
        raise ConfigurationError(
            f"The environment {self.settings.environment} has no single company for {wanted}; "
            f"it has: {names}.",
            system=faults.SYSTEM,
            operation="GET companies",
            code="wrong_company",
            remedy="Correct company_id or company_name in the connection file.",
        )

    # --- reading ---

    def pages(
        self,
        entity_set: str,
        *,
        filter: str = "",  # noqa: A002  # OData's own word
        select: Sequence[str] = (),
        expand: str = "",
        orderby: str = "",
        page_size: int | None = None,
    ) -> Iterator[list[dict[str, Any]]]:
        """Yield the rows of *entity_set*, one list per page, following BC's own links.

        *entity_set* may be a path such as `customers(id)/contactsInformation`.
        Raises: ConfigurationError when there is no such set; ContractError when a link leads
        nowhere.
        """
        operation = f"GET {_set_name(entity_set)}"
        url = self._company_url(entity_set) + odata.query_string(
            {
                "$filter": filter,
                "$select": ",".join(select),
                "$expand": expand,
                "$orderby": orderby,
            }
        )
        headers = {"Prefer": f"odata.maxpagesize={page_size}"} if page_size else None
        seen: set[str] = set()
        while url:
            seen.add(url)
            answer = self._page(url, operation, entity_set, headers)
            yield self._rows_of(answer, operation)
            url = self._next_url(answer, url, operation)
            if url in seen:
                raise faults.misshapen(operation, "nextLink repeats")

    def rows(
        self,
        entity_set: str,
        *,
        filter: str = "",  # noqa: A002  # OData's own word
        select: Sequence[str] = (),
        expand: str = "",
        orderby: str = "",
        page_size: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Yield the rows of *entity_set* one by one; see `pages`."""
        for page in self.pages(
            entity_set,
            filter=filter,
            select=select,
            expand=expand,
            orderby=orderby,
            page_size=page_size,
        ):
            yield from page

    def find_by(
        self,
        entity_set: str,
        field: str,
        values: Iterable[str],
        *,
        quote: bool = True,
        select: Sequence[str] = (),
        expand: str = "",
        extra_filter: str = "",
    ) -> Iterator[dict[str, Any]]:
        """Yield each row once whose *field* is one of *values*, whatever their case.

        *quote* is False for ids. At most 50 values a call, several calls at once; nothing is called
        without values.
        A value that the field cannot hold (no id, or too long a text) finds and spoils nothing.
        """
        if quote:
            wanted = list(dict.fromkeys(value.strip() for value in values if value.strip()))
        else:
            ids = (value.strip().lower() for value in values)
            wanted = list(dict.fromkeys(value for value in ids if odata.is_guid(value)))
        folded = {value.casefold() for value in wanted}
        fields = list(dict.fromkeys([*select, field])) if select else []
        seen: set[str] = set()
        chunks = self._filter_chunks(entity_set, field, wanted, quote, extra_filter)
        options = (fields, expand, extra_filter)
        for row in self._rows_of_chunks(entity_set, field, list(chunks), quote, options):
            key = str(row.get("id") or "")
            if str(row.get(field) or "").strip().casefold() not in folded or key in seen:
                continue
            if key:
                seen.add(key)
            yield row

    def fetch(self, entity_set: str, id: str, *, expand: str = "") -> dict[str, Any]:  # noqa: A002
        """Return one record. Raises: RecordNotFound."""
        operation = f"GET {entity_set}"
        url = self._company_url(odata.entity_path(entity_set, id))
        url += odata.query_string({"$expand": expand})
        answer = self._wire.send(Call("GET", url, entity_set, operation, record_id=id))
        if not isinstance(answer, dict):
            raise faults.misshapen(operation, "no object")
        return answer

    def get(self, path: str) -> Any:
        """Return the answer of a GET below `/api/v2.0/`, such as `subscriptions`."""
        address = f"{self._wire.root}/{path.lstrip('/')}"
        return self._wire.send(Call("GET", address, "get", f"GET {_set_name(path)}"))

    # --- writing ---

    def create(
        self,
        entity_set: str,
        body: Mapping[str, Any],
        *,
        expand: str = "",
        on_send: OnSend | None = None,
    ) -> dict[str, Any]:
        """Create a record and return it as BC answers it, perhaps without what `expand` names.

        Effect: one POST, never repeated; *on_send* runs just before it may leave this computer.
        Raises: OutcomeUnknown when the answer is lost; DuplicateKey, RecordRejected.
        """
        operation = f"POST {entity_set}"
        url = self._company_url(entity_set) + odata.query_string({"$expand": expand})
        answer = self._wire.send(
            Call(
                "POST", url, entity_set, operation, body=dict(body), is_write=True, on_send=on_send
            )
        )
        if not isinstance(answer, dict) or not answer.get("id"):
            raise faults.misshapen(operation, "no record", is_write=True)
        return answer

    def update(
        self,
        entity_set: str,
        id: str,  # noqa: A002  # BC's own word
        etag: str,
        body: Mapping[str, Any],
        *,
        on_send: OnSend | None = None,
    ) -> dict[str, Any]:
        """Change the given properties of a record whose version is *etag*, and return it.

        Effect: one PATCH; repeating it after success is a ConcurrentEdit. Where BC answers without
        the record it is read again.
        Raises: ConcurrentEdit, RecordNotFound, RecordRejected, OutcomeUnknown.
        """
        operation = f"PATCH {entity_set}"
        answer = self._wire.send(
            Call(
                "PATCH",
                self._company_url(odata.entity_path(entity_set, id)),
                entity_set,
                operation,
                body=dict(body),
                headers={"If-Match": etag or "*"},
                is_write=True,
                record_id=id,
                on_send=on_send,
            )
        )
        if isinstance(answer, dict) and answer.get("id"):
            return answer
        try:
            return self.fetch(entity_set, id)
        except TransientError as lost:
            raise faults.not_read_back(operation, lost, record_id=id) from lost

    def delete(
        self,
        entity_set: str,
        id: str,  # noqa: A002  # BC's own word
        etag: str,
        *,
        on_send: OnSend | None = None,
    ) -> None:
        """Delete a record whose version is *etag*. Raises: RecordNotFound when it is gone."""
        self._wire.send(
            Call(
                "DELETE",
                self._company_url(odata.entity_path(entity_set, id)),
                entity_set,
                f"DELETE {entity_set}",
                headers={"If-Match": etag or "*"},
                is_write=True,
                has_answer=False,
                record_id=id,
                on_send=on_send,
            )
        )

    def act(
        self,
        entity_set: str,
        id: str,  # noqa: A002  # BC's own word
        action: str,
        *,
        etag: str = "",
        on_send: OnSend | None = None,
    ) -> None:
        """Run a bound action such as "post" on a record; read the document before repeating it.

        Raises: RecordRejected when BC refuses it, RecordNotFound, ConcurrentEdit, OutcomeUnknown.
        """
        self._wire.send(
            Call(
                "POST",
                f"{self._company_url(odata.entity_path(entity_set, id))}/Microsoft.NAV.{action}",
                f"{entity_set}.{action}",
                f"{action} {entity_set}",
                headers={"If-Match": etag} if etag else None,
                is_write=True,
                has_answer=False,
                record_id=id,
                on_send=on_send,
            )
        )

    def batch_url(self, entity_set: str, id: str = "", *, query: str = "") -> str:  # noqa: A002
        """Return the address of a set or record for a `BatchOperation`."""
        return f"companies({self.company().id})/{odata.entity_path(entity_set, id)}{query}"

    def batch(
        self,
        operations: Sequence[BatchOperation],
        *,
        continue_on_error: bool = True,
        all_or_nothing: bool = False,
        on_send: OnSend | None = None,
    ) -> dict[str, BatchResult]:
        """Return what BC answered to each operation by its id; one not run or unanswered is absent.

        Effect: one POST per 100, each operation in a transaction of its own. Callers that write and
        must keep the results of each call pass at most 100. With *all_or_nothing* (at most 100) one
        transaction holds them all; its results count only when every operation succeeded, since BC
        answers 201 to what it takes back.
        Raises: OutcomeUnknown when the answer to a batch with writes is lost.
        """
        if all_or_nothing and len(operations) > OPERATIONS_PER_BATCH:
            raise ValueError(f"one transaction holds at most {OPERATIONS_PER_BATCH} operations")
        preference = {"Prefer": "odata.continue-on-error"} if continue_on_error else {}
        headers = {"Isolation": "snapshot"} if all_or_nothing else preference
        results: dict[str, BatchResult] = {}
        for start in range(0, len(operations), OPERATIONS_PER_BATCH):
            chunk = operations[start : start + OPERATIONS_PER_BATCH]
            answer = self._wire.send(
                Call(
                    "POST",
                    f"{self._wire.root}/$batch",
                    "batch",
                    "POST $batch",
                    body={"requests": [_batch_request(operation) for operation in chunk]},
                    headers=headers or None,
                    is_write=any(operation.method != "GET" for operation in chunk),
                    requests=len(chunk),
                    on_send=on_send,
                )
            )
            results.update(_batch_results(answer, chunk))
        return results

    # --- inside ---

    def _company_url(self, path: str) -> str:
        return f"{self._wire.root}/companies({self.company().id})/{path}"

    def _rows_of_chunks(
        self,
        entity_set: str,
        field: str,
        chunks: Sequence[list[str]],
        quoted: bool,
        options: tuple[Sequence[str], str, str],
    ) -> Iterator[dict[str, Any]]:
        """Yield what the chunks find, in their order; several are asked for at once."""
        if len(chunks) < 2:
            for chunk in chunks:
                yield from self._rows_with(entity_set, field, chunk, quoted, options)
            return

        def found(chunk: list[str]) -> list[dict[str, Any]]:
            return list(self._rows_with(entity_set, field, chunk, quoted, options))

        lanes = min(len(chunks), self.settings.max_in_flight)
        with ThreadPoolExecutor(lanes, thread_name_prefix="look-up") as pool:
            for start in range(0, len(chunks), lanes):
                for rows in pool.map(found, chunks[start : start + lanes]):
                    yield from rows

    def _rows_with(
        self,
        entity_set: str,
        field: str,
        values: list[str],
        quoted: bool,
        options: tuple[Sequence[str], str, str],
    ) -> Iterator[dict[str, Any]]:
        """Yield what one filter finds; when BC refuses a value in it, what the others find."""
        select, expand, extra_filter = options
        condition = odata.both(odata.or_filter(field, values, quoted=quoted), extra_filter)
        try:
            yield from self.rows(entity_set, filter=condition, select=select, expand=expand)
        except RecordRejected as error:
            if error.code != "Application_FilterErrorException":
                raise
            half = len(values) // 2
            for part in (values[:half], values[half:]) if half else ():
                yield from self._rows_with(entity_set, field, part, quoted, options)

    def _filter_chunks(
        self, entity_set: str, field: str, values: list[str], quoted: bool, extra_filter: str
    ) -> Iterator[list[str]]:
        if not values:
            return iter(())
        base = len(self._company_url(entity_set)) + 1_000

        def length_of(chunk: list[str]) -> int:
            condition = odata.both(odata.or_filter(field, chunk, quoted=quoted), extra_filter)
            return base + len(odata.query_string({"$filter": condition}))

        return odata.chunks(values, length_of, at_most=odata.VALUES_PER_FILTER)

    def _page(
        self, url: str, operation: str, entity_set: str, headers: Mapping[str, str] | None
    ) -> Any:
        try:
            return self._wire.send(
                Call("GET", url, _set_name(entity_set), operation, headers=headers)
            )
        except RecordNotFound as error:
            if "(" in entity_set:
                raise
            raise ConfigurationError(
                f"Business Central does not know {entity_set} in this company.",
                system=faults.SYSTEM,
                operation=operation,
                code="unknown_entity_set",
                status=error.status,
                remedy="Check environment and company in the connection file.",
                request_id=error.request_id,
            ) from error

    @staticmethod
    def _rows_of(answer: Any, operation: str) -> list[dict[str, Any]]:
        rows = answer.get("value") if isinstance(answer, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise faults.misshapen(operation, "no list of records in value")
        return rows

    def _next_url(self, answer: Mapping[str, Any], url: str, operation: str) -> str:
        link = answer.get("@odata.nextLink")
        return self._wire.following(url, str(link), operation) if link else ""


def _set_name(entity_set: str) -> str:
    """The set that a path ends in: `customers(id)/contactsInformation` → contactsInformation."""
    return entity_set.partition("?")[0].rpartition("/")[2].partition("(")[0]


def _batch_request(operation: BatchOperation) -> dict[str, Any]:
    request: dict[str, Any] = {
        "id": operation.id,
        "method": operation.method,
        "url": operation.url,
    }
    headers = dict(operation.headers)
    if operation.body is not None:
        headers.setdefault("Content-Type", "application/json")
        request["body"] = operation.body
    if headers:
        request["headers"] = headers
    return request


def _batch_results(answer: Any, operations: Sequence[BatchOperation]) -> dict[str, BatchResult]:
    responses = answer.get("responses") if isinstance(answer, dict) else None
    if not isinstance(responses, list):
        is_write = any(operation.method != "GET" for operation in operations)
        raise faults.misshapen("POST $batch", "no list of responses", is_write=is_write)
    asked = {operation.id for operation in operations}
    results: dict[str, BatchResult] = {}
    for response in responses:
        if not isinstance(response, dict) or str(response.get("id")) not in asked:
            continue
        headers = response.get("headers")
        lowered = {str(k).lower(): str(v) for k, v in (headers or {}).items()}
        status = response.get("status")
        if isinstance(status, int):
            results[str(response["id"])] = BatchResult(status, response.get("body"), lowered)
    return results
