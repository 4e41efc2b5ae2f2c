"""What the receiver stores, what it refuses, and what it answers to each."""

from __future__ import annotations

import socket
import time
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from ml_connector.exchange.notified import NOTIFIED_SETS
from ml_connector.receiver import app, patience
from tests.integration.receiver.conftest import COMPANY, STATE, body_of, item

RECORD = "26814998-936a-401c-81c1-0e848a64971d"


@pytest.mark.parametrize("verb", ["POST", "GET"])
def test_a_handshake_gets_its_token_back(receiver: Any, verb: str) -> None:
    """The token comes back as plain text that no browser takes for a page."""
    answer = receiver.client.request(verb, "/bc", params={"validationToken": "a+b/c="})

    assert answer.status_code == 200
    assert answer.text == "a+b/c="
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("token", ["", "x" * 3000, "<b>\n</b>"])
def test_a_token_bc_would_not_send_is_refused(receiver: Any, token: str) -> None:
    """Neither endless nor unprintable text is sent back."""
    answer = receiver.client.post("/bc", params={"validationToken": token})

    assert answer.status_code == 400


@pytest.mark.parametrize("lead", ["", "/", "https://api.example/v2.0/t/Production/"])
@pytest.mark.parametrize("path", ["/", "/bc", "/some/other/path?from=bc", "/bc/%2e%2e%2fhealth%00"])
def test_a_genuine_notification_is_stored(receiver: Any, lead: str, path: str) -> None:
    """With or without a leading slash or host, whatever path a proxy leaves."""
    resource = f"{lead}api/v2.0/companies({COMPANY.upper()})/salesOrders({RECORD.upper()})"

    answer = receiver.post(body_of(item(resource=resource)), path)

    assert answer.status_code == 202
    (change,) = receiver.stored()
    assert change.record_id == RECORD
    assert change.change_type == "updated"
    assert change.source == "notification"
    assert STATE not in str(change)
    assert receiver.ledger.checkpoint("notifications") is not None


def test_a_repeated_delivery_is_stored_once(receiver: Any) -> None:
    """The same item again adds nothing; created and updated of one record are two."""
    first = item(record=RECORD, changeType="created")
    for _ in range(2):
        assert receiver.post(body_of(first, item(record=RECORD))).status_code == 202

    assert [change.change_type for change in receiver.stored()] == ["created", "updated"]


def test_a_collection_keeps_its_time(receiver: Any) -> None:
    """Whether percent-encoded or not, the filter says since when; without it all is meant."""
    base = f"api/v2.0/companies({COMPANY})/salesInvoices"
    times = (
        "lastModifiedDateTime%20gt%202026-11-20T09:59:59.950Z",
        "lastDateTimeModified gt 2026-11-20T08:00:00Z",
    )
    items = [item(resource=f"{base}?$filter={text}", changeType="collection") for text in times]
    items.append(item(resource=base, changeType="collection"))

    assert receiver.post(body_of(*items)).status_code == 202

    stored = receiver.stored("salesInvoices")
    assert [change.record_id for change in stored] == ["*"] * 3
    since = [change.payload.get("since") for change in stored]
    assert datetime.fromisoformat(since[0]) == datetime.fromisoformat("2026-11-20T09:59:59.950Z")
    assert since[2] is None


def test_a_blank_time_never_hides_a_change(receiver: Any) -> None:
    """Items without a usable time are stored each time they come."""
    blank = item(record=RECORD, lastModifiedDateTime="0001-01-01T00:00:00Z")

    for _ in range(2):
        receiver.post(body_of(blank))

    assert len(receiver.stored()) == 2


FORGED = [
    item(clientState="guess"),
    item(clientState=STATE[:-1]),
    item(clientState=STATE + "x"),
    item(clientState=""),
    item(clientState=None),
    item(clientState=17),
    item(clientState=["f3q8-a-random-state"]),
    item(clientState="ü" * 10),
]
IGNORED = {
    "foreign_company": item(company=str(uuid4())),
    "other_set": item(entity_set="vendors"),
    "unreadable_change_type": item(changeType="renamed"),
    "unreadable_resource": item(
        resource=f"api/v2.0/companies({COMPANY})/salesOrders({RECORD})/../customers"
    ),
}
ESCAPED = [
    f"api/v2.0/companies({COMPANY})/salesOrders%28{RECORD}%29",
    f"api/v2.0/companies({COMPANY})/..%2f..%2fsubscriptions",
    f"https://evil.example/%2e%2e/api/v2.0/companies({COMPANY})/salesOrders({RECORD})",
    f"api/v2.0/companies({COMPANY})/salesOrders({RECORD})?$filter=x",
    f"api/v2.0/companies({COMPANY})/salesOrders('{RECORD}')",
    f"file:///api/v2.0/companies({COMPANY})/salesOrders({RECORD})",
    "x" * 5000,
    None,
    {"a": 1},
]


@pytest.mark.parametrize("forged", FORGED)
def test_a_forged_state_is_dropped_and_counted(receiver: Any, forged: dict[str, Any]) -> None:
    """It is answered like any other, stored nowhere, and its genuine neighbour is kept."""
    answer = receiver.post(body_of(forged, item(record=RECORD)))

    assert answer.status_code == 202
    assert [change.record_id for change in receiver.stored()] == [RECORD]
    assert receiver.metrics.items["forged"] == 1


@pytest.mark.parametrize("reason", IGNORED)
def test_what_is_not_about_us_is_dropped(receiver: Any, reason: str) -> None:
    """A foreign company, another set, an unknown kind: success, nothing stored, counted."""
    assert receiver.post(body_of(IGNORED[reason])).status_code == 202

    assert receiver.everything() == {}
    assert receiver.metrics.items[reason] == 1
    assert f'outcome="{reason}"' in receiver.client.get("/metrics").text


@pytest.mark.parametrize("resource", ESCAPED)
def test_a_strange_resource_is_dropped(receiver: Any, resource: Any) -> None:
    """Escapes, other hosts' tricks and other shapes lead nowhere."""
    assert receiver.post(body_of(item(resource=resource))).status_code == 202

    assert receiver.everything() == {}
    assert receiver.metrics.items["unreadable_resource"] == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"\xff\xfe{}", "invalid_json"),
        (b"[" * 100_000, "invalid_json"),
        (b"[]", "no_notification"),
        (b'{"value": {}}', "no_notification"),
        (b'{"value": ["x"]}', "no_notification"),
        (b'{"values": []}', "no_notification"),
        (b'{"value": [' + b"{}," * 6000 + b"{}]}", "too_many_items"),
    ],
)
def test_what_bc_cannot_have_sent_is_refused(receiver: Any, body: bytes, reason: str) -> None:
    """The reason is in the answer and in the numbers; nothing is stored."""
    answer = receiver.post(body)

    assert answer.status_code in (400, 413)
    assert answer.json() == {"error": reason}
    assert receiver.metrics.refused[reason] == 1
    assert receiver.everything() == {}


def test_an_empty_notification_is_taken(receiver: Any) -> None:
    """No items are no reason for BC to end the subscriptions."""
    assert receiver.post(b'{"value": []}').status_code == 202


@pytest.mark.parametrize("verb", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_wrong_verb_is_refused(receiver: Any, verb: str) -> None:
    """Only POST takes notifications."""
    answer = receiver.client.request(verb, "/bc")

    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


def test_ten_megabytes_without_proof_are_refused(receiver: Any) -> None:
    """An oversized body that carries no proof ends early, and nothing is stored."""
    filler = "x" * 10_000_000

    answer = receiver.post(body_of(item(clientState="guess", filler=filler)))

    assert answer.status_code == 413
    assert receiver.everything() == {}


@pytest.mark.parametrize("size", [2_000, 30_000])
def test_an_oversized_genuine_notification_has_everything_read_again(
    receiver: Any, size: int
) -> None:
    """BC may tell more than is taken apart: success, and a look at every set."""
    body = body_of(*(item(filler="x" * 400) for _ in range(size)))
    assert len(body) > app.MOST_BYTES

    answer = receiver.post(body)

    assert answer.status_code == 202
    assert receiver.everything() == {("business_central", each): 1 for each in NOTIFIED_SETS}


def test_a_garbled_body_with_our_proof_has_everything_read_again(receiver: Any) -> None:
    """Rather read too much than lose the subscriptions."""
    assert receiver.post(body_of(item())[:-3]).status_code == 202

    assert len(receiver.everything()) == len(NOTIFIED_SETS)


def test_slow_bytes_are_asked_to_come_again(receiver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that trickles is given up with 408, upon which BC retries; others are served."""
    monkeypatch.setattr(app, "BODY_SECONDS", 0.5)
    address = urlsplit(receiver.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as line:
        line.sendall(b"POST /bc HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        began = time.monotonic()
        assert receiver.post(body_of(item())).status_code == 202
        assert time.monotonic() - began < 0.4
        assert line.recv(4096).startswith(b"HTTP/1.1 408")
    assert receiver.metrics.refused["too_slow"] == 1


@pytest.mark.parametrize("head", [b"", b"POST /bc HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_a_head_that_never_ends_is_hung_up_on(
    receiver: Any, monkeypatch: pytest.MonkeyPatch, head: bytes
) -> None:
    """Neither silence nor a trickling head keeps a connection; a second request may come later."""
    monkeypatch.setattr(patience, "HEAD_SECONDS", 0.5)
    address = urlsplit(receiver.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as line:
        if head:
            line.sendall(b"POST /bc?validationToken=x HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = b""
            while not answer.endswith(b"\r\n\r\nx"):
                answer += line.recv(4096)
            time.sleep(0.7)
            line.sendall(head)
        assert line.recv(4096) == b""


def test_a_ledger_that_cannot_store_makes_bc_come_again(
    receiver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No success without durability: 503, upon which BC retries."""

    def fail(*_: Any) -> None:
        raise app.ConnectorError("The ledger is busy.", code="ledger_busy")

    monkeypatch.setattr("ml_connector.receiver.storing.InboxWriter._write", fail)

    assert receiver.post(body_of(item())).status_code == 503


def test_health_tells_whether_storing_works(receiver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """200 while the ledger answers, 503 when it does not."""
    assert receiver.client.get("/health").status_code == 200

    def fail(*_: Any) -> None:
        raise app.ConnectorError("gone", code="ledger_unreachable")

    monkeypatch.setattr(type(receiver.store), "ping", fail)
    assert receiver.client.get("/health").status_code == 503
