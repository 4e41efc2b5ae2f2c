"""A noted write that was held up leaves too late to be safe: it is not sent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from ml_connector.business_central.send_deadline import (
    SEND_WITHIN_SECONDS,
    SHORTEST_SECONDS,
    SOCKET_OPTIONS,
    SendDeadline,
)
from ml_connector.domain.clock import FixedClock
from ml_connector.errors import OutcomeUnknown, TransientError

HEAD, BODY = "http11.send_request_headers.started", "http11.send_request_body.started"
SETTLE = 600


@pytest.fixture
def clock() -> FixedClock:
    """A clock that stands still until it is moved."""
    return FixedClock(datetime(2026, 3, 2, 9, tzinfo=UTC))


class _Server(HTTPServer):
    """Counts what arrives."""

    arrived: int = 0


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, _Server)
        self.server.arrived += 1
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[_Server]:
    """A real server on loopback."""
    with _Server(("127.0.0.1", 0), _Handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def post(server: _Server, deadline: SendDeadline) -> httpx.Response:
    """Send a write under *deadline*, with the connector's socket options."""
    transport = httpx.HTTPTransport(socket_options=SOCKET_OPTIONS)
    with httpx.Client(transport=transport, trust_env=False) as client:
        url = f"http://127.0.0.1:{server.server_port}/salesOrders"
        return client.post(url, json={"number": "1"}, extensions={"trace": deadline})


def test_a_write_that_leaves_at_once_is_sent(server: _Server, clock: FixedClock) -> None:
    """Within the time since its note it goes out as any other."""
    deadline = SendDeadline(clock, SETTLE, "POST salesOrders")
    clock.at += timedelta(seconds=SEND_WITHIN_SECONDS)

    assert post(server, deadline).status_code == 204
    assert server.arrived == 1


def test_a_write_that_was_held_up_does_not_leave(server: _Server, clock: FixedClock) -> None:
    """Later than that, not a byte goes out, and the caller knows that it was surely not sent."""
    deadline = SendDeadline(clock, SETTLE, "POST salesOrders")
    clock.at += timedelta(seconds=SEND_WITHIN_SECONDS + 1)

    with pytest.raises(TransientError) as caught:
        post(server, deadline)

    assert not isinstance(caught.value, OutcomeUnknown)
    assert caught.value.code == "sent_too_late"
    assert server.arrived == 0


def test_a_write_held_up_after_its_head_is_uncertain(clock: FixedClock) -> None:
    """Some bytes are on their way, so what became of it has to be looked for."""
    deadline = SendDeadline(clock, SETTLE, "POST salesOrders")
    deadline(HEAD, {})
    clock.at += timedelta(seconds=SEND_WITHIN_SECONDS + 1)

    with pytest.raises(OutcomeUnknown):
        deadline(BODY, {})


def test_other_steps_never_raise(clock: FixedClock) -> None:
    """Once it was sent, waiting for the answer may take its time."""
    deadline = SendDeadline(clock, SETTLE, "POST salesOrders")
    clock.at += timedelta(hours=1)

    deadline("http11.receive_response_headers.started", {})


def test_it_is_given_up_before_it_settles(clock: FixedClock) -> None:
    """Where writes settle sooner than usual, it must leave sooner too."""
    deadline = SendDeadline(clock, SHORTEST_SECONDS + 1, "POST salesOrders")
    clock.at += timedelta(seconds=SHORTEST_SECONDS + 2)

    with pytest.raises(TransientError):
        deadline(HEAD, {})
