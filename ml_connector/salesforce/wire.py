"""One call to Salesforce: session, counters, one new session on 401, errors by the table."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode, urlsplit
from uuid import uuid4

import requests
from simple_salesforce import Salesforce

from ml_connector import wire_json
from ml_connector.domain.clock import Clock, SystemClock, clock_offset
from ml_connector.errors import ConnectorError, ContractError
from ml_connector.salesforce import faults
from ml_connector.salesforce.auth import CALL_OPTIONS, SalesforceAuth, Session
from ml_connector.salesforce.http import CONNECT_SECONDS, READ_SECONDS, open_session
from ml_connector.salesforce.settings import SalesforceSettings

PATIENCE_SECONDS = 60.0
"""How long one call obeys Retry-After in all before it gives up with RateLimited."""

SHORTEST_PAUSE = 1.0

REQUEST_ID = "X-SFDC-Request-Id"
"""Header of a request's id, 32 hexadecimal digits; the org's event logs name it."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request: *path* below the versioned base, or from the host's root when it starts with /.

    `kind` is the word that reports count by; `is_write` says whether repeating could matter.
    """

    method: str
    path: str
    kind: str
    operation: str
    params: Mapping[str, str] | None = None
    body: Any = None
    headers: Mapping[str, str] | None = None
    is_write: bool = False
    raw: bytes | None = None
    """A body that is no JSON; its type is among the headers."""


class SalesforceWire:
    """Sends calls; safe for several threads."""

    def __init__(
        self, settings: SalesforceSettings, clock: Clock, *, sleep: Callable[[float], None]
    ) -> None:
        self.settings = settings
        self.http = open_session(settings.my_domain_url, settings.ca_pem)
        self.calls: Counter[tuple[str, str]] = Counter()
        self.api_usage: tuple[int, int] | None = None
        """Calls used and allowed in the rolling day, as the last answer told them."""
        self.clock_offset: timedelta | None = None
        """How far Salesforce's clock is ahead of this computer's, by its last answer."""
        self.auth = SalesforceAuth(
            settings, self.http, clock, on_call=lambda: self._count("POST", "sign_in")
        )
        self._sleep = sleep
        self._lock = threading.Lock()
        self._org: tuple[Session, Salesforce] | None = None
        self._answered = False
        self.read_only = False
        """Set where nothing may be written: a write is refused before it is sent."""

    def send(self, call: Call) -> Any:
        """Return the decoded answer of *call*; None when it has no body.

        Raises: what the fault table says; OutcomeUnknown when the answer to a write is lost.
        """
        return self._decoded(call, self._checked(call))

    def _checked(self, call: Call) -> requests.Response:
        if self.read_only and call.is_write:
            raise RuntimeError(f"{call.operation} would write where nothing may be written")
        return self._answer(call)

    @staticmethod
    def _decoded(call: Call, response: requests.Response) -> Any:
        if response.status_code == 204:
            return None
        try:
            return wire_json.decode(response.content)
        except ContractError as error:
            raise faults.unreadable(call.operation, is_write=call.is_write) from error

    def send_write(self, call: Call) -> tuple[Any, str]:
        """Return the decoded answer of a write, and the id it has in the vendor's logs.

        The id is the one the answer carries, else the one that was sent along: the org's event logs
        name it. Raises: as `send`.
        """
        sent = uuid4().hex
        headers = {**(call.headers or {}), REQUEST_ID: sent}
        response = self._checked(replace(call, headers=headers))
        return self._decoded(call, response), response.headers.get(REQUEST_ID) or sent

    def download(self, call: Call) -> tuple[bytes, Mapping[str, str]]:
        """Return the body of an answer that is no JSON, and its headers by lower-case name.

        Raises: as `send`.
        """
        response = self._answer(call)
        return response.content, {name.lower(): text for name, text in response.headers.items()}

    def _answer(self, call: Call) -> requests.Response:
        """Return the answer to *call*, which is no error."""
        session = self.auth.session()
        response = self._attempt(call, session)
        renewed = False
        waited = 0.0
        while response.status_code >= 300:
            if response.status_code == 401 and not renewed and self._may_renew(response):
                session, renewed = self.auth.renewed(session), True
            elif (pause := self._pause(response)) is not None and (
                waited + pause <= PATIENCE_SECONDS
            ):
                self._sleep(pause)
                waited += pause
                session = self.auth.session()
            else:
                raise self._error(call, response)
            response = self._attempt(call, session)
        return response

    def _attempt(self, call: Call, session: Session) -> requests.Response:
        org = self._org_for(session)
        url = f"{session.instance_url}{call.path}"
        if not call.path.startswith("/"):
            url = f"{org.base_url}{call.path}"
        if call.params:
            url = f"{url}?{urlencode(call.params, quote_via=quote)}"
        self._count(call.method, call.kind)
        sent_at = SystemClock().now()
        try:
            response: requests.Response = org.session.request(
                call.method,
                url,
                data=call.raw if call.body is None else wire_json.encode(call.body),
                headers={**org.headers, **(call.headers or {})},
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise faults.transport_error(
                error,
                operation=call.operation,
                host=urlsplit(session.instance_url).netloc,
                is_write=call.is_write,
                first_contact=not self._answered,
            ) from error
        self._answered = True
        self.clock_offset = clock_offset(
            response.headers.get("Date", ""), sent_at, SystemClock().now()
        )
        self._note_usage(response)
        return response

    def _org_for(self, session: Session) -> Salesforce:
        with self._lock:
            if self._org is None or self._org[0] is not session:
                org = Salesforce(
                    instance_url=session.instance_url,
                    session_id=session.token,
                    session=self.http,
                    version=self.settings.api_version,
                    parse_float=Decimal,
                )
                org.headers = {
                    "Authorization": f"Bearer {session.token}",
                    "Content-Type": "application/json; charset=UTF-8",
                    "Accept": "application/json",
                    **CALL_OPTIONS,
                }
                self._org = (session, org)
            return self._org[1]

    def _count(self, method: str, kind: str) -> None:
        with self._lock:
            self.calls[(method, kind)] += 1

    def _note_usage(self, response: requests.Response) -> None:
        header = response.headers.get("Sforce-Limit-Info", "")
        for part in header.split(";"):
            name, _, value = part.strip().partition("=")
            used, _, most = value.partition("/")
            if name == "api-usage" and used.isdigit() and most.isdigit():
                self.api_usage = (int(used), int(most))

    @staticmethod
    def _may_renew(response: requests.Response) -> bool:
        code = faults.refusal_of(401, response.headers, response.content).code
        return code != "INVALID_OPERATION_WITH_EXPIRED_PASSWORD"

    @staticmethod
    def _pause(response: requests.Response) -> float | None:
        """How long the answer asks to wait before the same call again; None when it does not.

        Only an answer that proves nothing was done counts: 429, or 503 with an error code.
        """
        if response.status_code not in (429, 503):
            return None
        refusal = faults.refusal_of(response.status_code, response.headers, response.content)
        if refusal.retry_after is None or (response.status_code == 503 and not refusal.code):
            return None
        return max(refusal.retry_after, SHORTEST_PAUSE)

    def _error(self, call: Call, response: requests.Response) -> ConnectorError:
        refusal = faults.refusal_of(response.status_code, response.headers, response.content)
        return faults.error_from(
            refusal,
            operation=call.operation,
            is_write=call.is_write,
            secrets=self.auth.secrets(),
        )


def default_sleep(seconds: float) -> None:
    """Wait for real."""
    time.sleep(seconds)
