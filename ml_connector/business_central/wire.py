"""One call to BC: pace, token, Retry-After, errors by the table."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import httpx

from ml_connector import wire_json
from ml_connector.business_central import faults
from ml_connector.business_central.auth import BusinessCentralAuth, Token
from ml_connector.business_central.pacing import Pace
from ml_connector.business_central.send_deadline import SOCKET_OPTIONS, SendDeadline
from ml_connector.business_central.settings import BusinessCentralSettings
from ml_connector.domain.clock import Clock, SystemClock, clock_offset
from ml_connector.errors import ContractError
from ml_connector.proxy import proxy_for
from ml_connector.tls import trusted_context

TIMEOUTS = httpx.Timeout(connect=10.0, read=120.0, write=120.0, pool=600.0)
KEEP_ALIVE_SECONDS = 4.0
"""A connection idle for longer is opened anew: one that the other side is about to close would turn
a write into an unknown outcome."""
PATIENCE_SECONDS = 60.0
"""How long one call obeys Retry-After in all before it gives up with RateLimited."""
BACK_OFF_SECONDS = (1.0, 2.0, 4.0, 8.0)
"""Waits before a 429 without Retry-After is given up, each spread by a random half."""
SHORTEST_PAUSE = 0.5

OnSend = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Call:
    """One request to an absolute *url*.

    `kind` is the word that reports count by; `requests` is how many it counts for in BC's rate;
    `is_write` says whether a lost answer leaves something unknown, `has_answer` whether a body is
    documented for it.
    """

    method: str
    url: str
    kind: str
    operation: str
    body: Any = None
    headers: Mapping[str, str] | None = None
    is_write: bool = False
    has_answer: bool = True
    record_id: str = ""
    requests: int = 1
    on_send: OnSend | None = None


class BusinessCentralWire:
    """Sends calls; safe for several threads."""

    def __init__(
        self,
        settings: BusinessCentralSettings,
        pace: Pace,
        clock: Clock | None = None,
        *,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.settings = settings
        self.calls: Counter[tuple[str, str]] = Counter()
        self.root = (
            f"{settings.base_url}/{quote(settings.tenant_id, safe='')}"
            f"/{quote(settings.environment, safe='')}/api/v2.0"
        )
        context = trusted_context(settings.ca_pem)
        self._http = _client(settings.base_url, context, transport)
        self._sign_in_http = _client(settings.authority, context, transport)
        self.auth = BusinessCentralAuth(
            settings, self._sign_in_http, on_call=lambda method: self._count(method, "sign_in")
        )
        self._pace = pace
        self.share_percent = 100
        """Share of the rate that calls may use from now on."""
        self.clock_offset: timedelta | None = None
        """How far Business Central's clock is ahead of this computer's, by its last answer."""
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._answered = False
        self._of_thread = threading.local()
        self.read_only = False
        """Set where nothing may be written: a write is refused before it is sent."""

    @property
    def last_write(self) -> str:
        """The service's id of the last write this thread sent; "" when it gave none."""
        return str(getattr(self._of_thread, "last_write", ""))

    def forget_last_write(self) -> None:
        """Begin anew, so that an earlier write's id is not taken for the next one's."""
        self._of_thread.last_write = ""

    def following(self, url: str, link: str, operation: str) -> str:
        """Return where the next page of *url* is; *link* is what BC says of it.

        A link to our host is followed as it is. Behind a gateway BC names its own host, which we
        may not reach and which never gets our token: the same path is asked for at our address.
        Raises: ContractError when the link is no address of the API.
        """
        following = urljoin(url, link)
        ours, theirs = urlsplit(self.root), urlsplit(following)
        if (theirs.scheme, theirs.netloc.lower()) == (ours.scheme, ours.netloc.lower()):
            return following
        _, found, path = following.partition("/api/")
        if not found:
            raise faults.misshapen(operation, "nextLink is no address of the API")
        return f"{self.root.removesuffix('v2.0')}{path}"

    @property
    def rate(self) -> tuple[int, int]:
        """Requests of the last five minutes, and how many this process may make in them."""
        return self._pace.usage()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
        self._sign_in_http.close()

    def send(self, call: Call) -> Any:
        """Return the decoded answer of *call*; None when it has no body.

        Raises: what the fault table says; OutcomeUnknown when the answer to a write is lost.
        """
        if self.read_only and call.is_write:
            raise RuntimeError(f"{call.operation} would write where nothing may be written")
        token = self.auth.token()
        response = self._attempt(call, token)
        renewed = False
        waited = 0.0
        tries = 0
        while True:
            if response.status_code == 401 and not renewed:
                token, renewed = self.auth.renewed(token), True
            elif (pause := self._pause(response, tries)) is not None and (
                waited + pause <= PATIENCE_SECONDS
            ):
                self._pace.pause(pause)
                waited += pause
                tries += 1
                token = self.auth.token()
            else:
                return self._content(call, response)
            response = self._attempt(call, token)

    def _attempt(self, call: Call, token: Token) -> httpx.Response:
        body = None if call.body is None else wire_json.encode(call.body)
        headers = {
            "Authorization": f"Bearer {token.secret}",
            "Accept": "application/json",
            "Accept-Language": "en-US",
            **({} if body is None else {"Content-Type": "application/json"}),
            **(call.headers or {}),
        }
        request = self._http.build_request(call.method, call.url, content=body, headers=headers)
        with self._pace.slot(call.requests, share_percent=self.share_percent):
            if call.on_send is not None:
                call.on_send()
                request.extensions["trace"] = self._deadline(call)
            self._count(call.method, call.kind)
            sent_at = SystemClock().now()
            try:
                response = self._http.send(request)
            except (httpx.TransportError, httpx.DecodingError) as error:
                raise faults.transport_error(
                    error,
                    operation=call.operation,
                    host=urlsplit(call.url).netloc,
                    is_write=call.is_write,
                    first_contact=not self._answered,
                ) from error
        self._answered = True
        self.clock_offset = clock_offset(
            response.headers.get("Date", ""), sent_at, SystemClock().now()
        )
        if call.is_write:
            self._of_thread.last_write = faults.request_id_of(response.headers)
        return response

    def _deadline(self, call: Call) -> SendDeadline:
        return SendDeadline(self._clock, self.settings.settle_seconds, call.operation)

    def _count(self, method: str, kind: str) -> None:
        with self._lock:
            self.calls[(method, kind)] += 1

    @staticmethod
    def _pause(response: httpx.Response, tries: int) -> float | None:
        """How long to wait before the same call again; None when it must not be repeated here.

        Only an answer that proves nothing was done counts: 429, or 503 with an error of BC.
        """
        if response.status_code not in (429, 503):
            return None
        refusal = faults.refusal_of_body(response.status_code, response.headers, response.content)
        if response.status_code == 503 and (not refusal.code or refusal.retry_after is None):
            return None
        if refusal.retry_after is not None:
            return max(refusal.retry_after, SHORTEST_PAUSE)
        if tries >= len(BACK_OFF_SECONDS):
            return None
        return BACK_OFF_SECONDS[tries] * random.uniform(0.75, 1.25)

    def _content(self, call: Call, response: httpx.Response) -> Any:
        if response.status_code >= 300:
            raise faults.error_from(
                faults.refusal_of_body(response.status_code, response.headers, response.content),
                operation=call.operation,
                is_write=call.is_write,
                record_id=call.record_id,
                secrets=self.auth.secrets(),
            )
        if response.status_code == 204 or not call.has_answer:
            return None
        try:
            return wire_json.decode(response.content)
        except ContractError as error:
            raise faults.unreadable(
                call.operation, is_write=call.is_write, record_id=call.record_id
            ) from error


def _client(url: str, context: Any, transport: httpx.BaseTransport | None) -> httpx.Client:
    limits = httpx.Limits(
        max_connections=20, max_keepalive_connections=10, keepalive_expiry=KEEP_ALIVE_SECONDS
    )
    sender = transport or httpx.HTTPTransport(
        verify=context,
        trust_env=False,
        proxy=proxy_for(url) or None,
        limits=limits,
        socket_options=SOCKET_OPTIONS,
    )
    return httpx.Client(trust_env=False, timeout=TIMEOUTS, follow_redirects=False, transport=sender)
