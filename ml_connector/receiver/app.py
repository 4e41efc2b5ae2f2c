"""The web application that BC calls: handshake, notifications, health, metrics.

Any path takes notifications, so that a proxy may rewrite it: what proves a notification is the
text our subscriptions carry. BC deletes every subscription behind an address that answers with
anything but success or "try again", so whatever BC could have sent is answered with success.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ml_connector.business_central.notifications import Notification, read_notification
from ml_connector.domain.clock import Clock, SystemClock
from ml_connector.errors import ConnectorError, ContractError
from ml_connector.exchange.notified import NOTIFIED_SETS, changes_of, whole_set
from ml_connector.ledger.ledger import Ledger
from ml_connector.receiver.metrics import Metrics
from ml_connector.receiver.storing import InboxWriter
from ml_connector.wire_json import decode

log = logging.getLogger("ml_connector")

MOST_BYTES = 1_048_576
"""About 2,500 items. A bigger genuine one is not parsed: every set is read again instead."""
MOST_ITEMS = 5_000
DRAINED_BYTES = 33_554_432
"""How much of a genuine oversized body is taken from the line, so that the answer is heard."""
BODY_SECONDS = 10.0
"""How long a body may take; BC is asked to try again (408) when the line is that slow."""
LONGEST_TOKEN = 2_048
PROOF_BYTES = 65_536
"""Where in an oversized body the first proof of origin is looked for."""
COMPLAINT_SECONDS = 60.0
"""Refusals of one reason are logged at most once in this time; the metrics count them all."""

STORED = "stored"

_PROOF = re.compile(rb'"clientState"\s*:\s*"([^"\\]{1,2048})"')
_TOKEN = re.compile(r"[!-~]+")
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_NO_SNIFFING = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


class Refused(Exception):
    """A request BC could not have sent, or one that it shall send again; carries the status."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True)
class Subscriber:
    """Whose notifications are taken: the company, and the proof they carry."""

    company_id: str
    client_state: SecretStr

    def is_ours(self, state: Any) -> bool:
        """Tell in constant time whether *state* is the text that our subscriptions carry."""
        given = state if isinstance(state, bytes) else str(state).encode("utf-8", "replace")
        wanted = self.client_state.get_secret_value().encode()
        return bool(wanted) and hmac.compare_digest(given, wanted)


def build_receiver(
    store: Ledger,
    connection: str,
    subscriber: Subscriber,
    clock: Clock | None = None,
    metrics: Metrics | None = None,
) -> Starlette:
    """Return the application that stores notifications in the inbox of *connection*."""
    present = clock or SystemClock()
    writer = InboxWriter(store.connection(connection), present)
    face = _Receiver(store, subscriber, writer, present, metrics or Metrics())
    return Starlette(
        routes=[
            Route("/health", face.health, methods=["GET"]),
            Route("/metrics", face.show_metrics, methods=["GET"]),
            Route("/{path:path}", face.receive, methods=_METHODS),
        ]
    )


class _Receiver:
    def __init__(
        self,
        store: Ledger,
        subscriber: Subscriber,
        writer: InboxWriter,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._subscriber = subscriber
        self._writer = writer
        self._clock = clock
        self._metrics = metrics
        self._complained: dict[str, float] = {}

    async def health(self, _request: Request) -> Response:
        """Tell whether notifications can be stored."""
        try:
            await asyncio.to_thread(self._store.ping)
        except ConnectorError as error:
            return JSONResponse({"status": "unavailable", "code": error.code}, 503)
        return JSONResponse({"status": "ok"})

    async def show_metrics(self, _request: Request) -> Response:
        """Return the numbers since the start."""
        return PlainTextResponse(self._metrics.text(), media_type="text/plain; version=0.0.4")

    async def receive(self, request: Request) -> Response:
        """Answer a handshake or take a notification."""
        began = time.perf_counter()
        try:
            response = await self._answer(request)
        except Refused as refused:
            self._metrics.refused[refused.reason] += 1
            self._complain(refused.reason)
            headers = {"Allow": "POST"} if refused.status == 405 else {"Connection": "close"}
            response = JSONResponse({"error": refused.reason}, refused.status, headers)
        except ClientDisconnect:
            self._metrics.refused["disconnected"] += 1
            response = Response(status_code=400)
        self._metrics.answered(response.status_code, time.perf_counter() - began)
        return response

    async def _answer(self, request: Request) -> Response:
        token = request.query_params.get("validationToken")
        if token is not None and request.method in ("POST", "GET"):
            return self._shake_hands(token)
        if request.method != "POST":
            raise Refused(405, "wrong_verb")
        body = await self._body(request)
        if body is not None:
            await self._take(body)
        return Response(status_code=202)

    def _shake_hands(self, token: str) -> Response:
        if len(token) > LONGEST_TOKEN or not _TOKEN.fullmatch(token):
            raise Refused(400, "validation_token")
        self._metrics.handshakes += 1
        return PlainTextResponse(token, headers=_NO_SNIFFING)

    # --- bodies ---

    async def _body(self, request: Request) -> bytes | None:
        """Return the body; None for a genuine one that is too big, once all sets are marked.

        Raises: Refused (413 for a big one that is not ours, 408 for one that comes too slowly).
        """
        try:
            async with asyncio.timeout(BODY_SECONDS), aclosing(_stream(request)) as parts:
                body = bytearray()
                async for part in parts:
                    body += part
                    if len(body) > MOST_BYTES:
                        break
                else:
                    return bytes(body)
                if not self._is_proven(bytes(body[:PROOF_BYTES])):
                    raise Refused(413, "too_big")
                await _drain(parts)
        except TimeoutError:
            raise Refused(408, "too_slow") from None
        await self._mark_everything("too_big")
        return None

    def _is_proven(self, body: bytes) -> bool:
        """Tell whether a body that is not parsed carries our proof in its first item."""
        proof = _PROOF.search(body)
        return proof is not None and self._subscriber.is_ours(proof[1])

    async def _mark_everything(self, reason: str) -> None:
        """Make every set be read again: BC told more than can be taken apart here."""
        now = self._clock.now()
        self._metrics.items["everything"] += 1
        log.warning("a notification was %s; all sets are read again", reason)
        await self._store_changes([whole_set(each, now, "notification") for each in NOTIFIED_SETS])

    async def _take(self, body: bytes) -> None:
        """Store what *body* says and proves. Raises: Refused when BC cannot have sent it."""
        try:
            items = _items(body)
        except Refused as refused:
            if not self._is_proven(body):
                raise
            await self._mark_everything(refused.reason)
            return
        notifications = [found for item in items if (found := self._genuine(item)) is not None]
        if notifications:
            await self._store_changes(changes_of(notifications, self._clock.now()))

    def _genuine(self, item: Mapping[str, Any]) -> Notification | None:
        """Return what a genuine item of our company says; anything else is counted and dropped."""
        notification, outcome = self._examined(item)
        self._metrics.items[outcome] += 1
        if outcome != STORED:
            self._complain(outcome)
            return None
        return notification

    def _examined(self, item: Mapping[str, Any]) -> tuple[Notification | None, str]:
        if not self._subscriber.is_ours(item.get("clientState")):
            return None, "forged"
        try:
            notification = read_notification(item)
        except ContractError as error:
            return None, f"unreadable_{error.code}"
        if notification.resource.company_id != self._subscriber.company_id:
            return None, "foreign_company"
        if notification.resource.entity_set not in NOTIFIED_SETS:
            return None, "other_set"
        return notification, STORED

    async def _store_changes(self, changes: list[Any]) -> None:
        try:
            await self._writer.store(changes)
        except ConnectorError as error:
            log.warning("notifications were not stored and will come again: %s", error.message)
            raise Refused(503, "not_stored") from error
        self._metrics.last_stored_at = self._clock.now().timestamp()

    def _complain(self, reason: str) -> None:
        now = time.monotonic()
        if now - self._complained.get(reason, -COMPLAINT_SECONDS) >= COMPLAINT_SECONDS:
            self._complained[reason] = now
            log.warning("the receiver dropped or refused something: %s", reason)


def _items(body: bytes) -> list[dict[str, Any]]:
    """Return the items of a notification. Raises: Refused when *body* is none of a fit size."""
    try:
        content = decode(body)
    except ContractError:
        raise Refused(400, "invalid_json") from None
    items = content.get("value") if isinstance(content, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise Refused(400, "no_notification")
    if len(items) > MOST_ITEMS:
        raise Refused(413, "too_many_items")
    return items


async def _stream(request: Request) -> AsyncGenerator[bytes, None]:
    async for part in request.stream():
        yield part


async def _drain(parts: AsyncIterator[bytes]) -> None:
    taken = 0
    async for part in parts:
        taken += len(part)
        if taken > DRAINED_BYTES:
            return
