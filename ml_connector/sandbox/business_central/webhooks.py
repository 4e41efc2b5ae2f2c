"""Webhooks: who subscribed, what waits to be told, and what became of each notification."""

import asyncio
import contextlib
import ssl
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from ml_connector.sandbox.business_central.company import Company, wire_time
from ml_connector.sandbox.business_central.faults import bad_request
from ml_connector.sandbox.business_central.tables import Row
from ml_connector.sandbox.business_central.webhook_merging import Noted, Notice, merged
from ml_connector.sandbox.frame.admin import AdminError
from ml_connector.sandbox.frame.wire import encode

LIFE = timedelta(days=3)
DOCUMENTED_SETS = (
    "accounts",
    "companyInformation",
    "countriesRegions",
    "currencies",
    "customerPaymentJournals",
    "customers",
    "dimensions",
    "employees",
    "generalLedgerEntries",
    "itemCategories",
    "items",
    "journals",
    "paymentMethods",
    "paymentTerms",
    "purchaseInvoices",
    "salesCreditMemos",
    "salesInvoices",
    "salesOrders",
    "salesQuotes",
    "shipmentMethods",
    "unitsOfMeasure",
    "vendors",
)
"""The sets the documentation lists; a switch adds those that a live service may offer besides."""

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_TICK_SECONDS = 0.05
_AGAIN = (408, 429)


@dataclass(slots=True)
class Delivery:
    """A notification on its way to one address."""

    url: str
    notices: list[Notice]
    attempt: int
    due: datetime


class Webhooks:
    """The subscriptions of the environment and the job that tells them of changes."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self._trust: ssl.SSLContext | None = None
        self._client: httpx.AsyncClient | None = None
        self._wake = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self.rows: dict[str, Row] = {}
        self.waiting: list[Noted] = []
        self.due: datetime | None = None
        self.retries: list[Delivery] = []
        self.log: deque[dict[str, Any]] = deque(maxlen=100_000)
        self.delivered = 0
        company.watchers.append(self.note)

    def trust(self, ca_file: Path) -> None:
        """Trust the sandbox's own authority besides the system's."""
        self._trust = ssl.create_default_context()
        self._trust.load_verify_locations(cafile=ca_file)

    # -- subscriptions ------------------------------------------------------------------------

    def sets(self) -> tuple[str, ...]:
        """The sets that can be subscribed to."""
        more = [str(name) for name in self._company.switches["webhook_more_sets"]]
        return tuple(sorted({*DOCUMENTED_SETS, *more}))

    def living(self) -> dict[str, Row]:
        """The subscriptions whose three days are not over; the others are deleted."""
        now = wire_time(self._company.frame.clock.now())
        self.remove([key for key, row in self.rows.items() if row["expirationDateTime"] <= now])
        return self.rows

    def add(self, notification_url: str, resource: str, client_state: str, entity: str) -> Row:
        """Store a subscription for three days."""
        company = self._company
        company.version += 1
        stamp = company.stamp()
        row: Row = {
            "subscriptionId": uuid.uuid4().hex,
            "notificationUrl": notification_url,
            "resource": resource,
            "timestamp": stamp,
            "userId": company.seeded_id("user", company.actor.who),
            "lastModifiedDateTime": stamp,
            "clientState": client_state,
            "expirationDateTime": wire_time(company.frame.clock.now() + LIFE),
            "systemCreatedAt": stamp,
            "systemCreatedBy": company.seeded_id("user", company.actor.who),
            "systemModifiedAt": stamp,
            "systemModifiedBy": company.seeded_id("user", company.actor.who),
            "_v": company.version,
            "_set": entity,
        }
        self.rows[row["subscriptionId"]] = row
        return row

    def renew(self, row: Row, values: Row) -> None:
        """Let a subscription live for another three days."""
        self._company.version += 1
        stamp = self._company.stamp()
        row |= values
        row |= {
            "timestamp": stamp,
            "lastModifiedDateTime": stamp,
            "systemModifiedAt": stamp,
            "expirationDateTime": wire_time(self._company.frame.clock.now() + LIFE),
            "_v": self._company.version,
        }

    def remove(self, keys: Iterable[str]) -> None:
        """Delete subscriptions and whatever waits for them."""
        gone = {key for key in keys if self.rows.pop(key, None) is not None}
        if gone:
            self.waiting = [noted for noted in self.waiting if noted.subscription_id not in gone]

    def check_address(self, url: str) -> None:
        """Refuse an address that notifications cannot go to."""
        parts = urlsplit(url)
        near = parts.hostname in _LOOPBACK
        plain = parts.scheme == "http" and near
        allowed = bool(self._company.switches["webhook_http_on_loopback"])
        if not parts.hostname or not (parts.scheme == "https" or (plain and allowed)):
            raise bad_request("The notificationUrl has to be an https address.")

    # -- the handshake ------------------------------------------------------------------------

    async def shake_hands(self, url: str) -> None:
        """Ask the receiver to send a token back; it answers 200 with it, within five seconds."""
        token = uuid.uuid4().hex
        separator = "&" if urlsplit(url).query else "?"
        target = f"{url}{separator}validationToken={quote(token)}"
        seconds = float(self._company.switches["webhook_handshake_seconds"])
        began = time.monotonic()
        status: int | None = None
        fits = False
        try:
            async with asyncio.timeout(seconds):
                answer = await self._http().post(target, content=b"")
            status, fits = answer.status_code, answer.text.strip() == token
        except (TimeoutError, httpx.HTTPError, ssl.SSLError, OSError):
            status = None
        self._write_log("handshake", url, status, began, items=0, attempt=1)
        if status != 200 or not fits:
            raise bad_request("The notificationUrl did not send the validation token back.")

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(
                verify=self._trust or ssl.create_default_context(),
                trust_env=False,
                follow_redirects=False,
                timeout=600,  # `asyncio.timeout` of each call is the one that counts
                limits=httpx.Limits(max_connections=100, keepalive_expiry=2),
            )
        return self._client

    # -- changes ------------------------------------------------------------------------------

    def note(self, entry: dict[str, Any]) -> None:
        """Take in a change of the company for each subscription to its set."""
        if entry.get("null") or not self.rows:
            return
        switches = self._company.switches
        for key, row in self.living().items():
            if row["_set"] != entry["entity_set"]:
                continue
            if len(self.waiting) >= int(switches["webhook_queue_limit"]):
                return
            self.waiting.append(Noted(key, entry["id"], entry["kind"], entry["at"]))
            if self.due is None:
                self.due = entry["at"] + self._scaled(float(switches["webhook_delay_seconds"]))
                self._wake.set()

    def _scaled(self, seconds: float) -> timedelta:
        return timedelta(seconds=seconds * float(self._company.switches["webhook_scale"]))

    async def run(self) -> None:
        """Tell subscriptions of changes, until cancelled."""
        try:
            while True:
                if self.due is None and not self.retries:
                    await self._wake.wait()
                else:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._wake.wait(), _TICK_SECONDS)
                self._wake.clear()
                self.step()
        finally:
            for task in self._running:
                task.cancel()
            if self._client is not None:
                await self._client.aclose()

    def step(self) -> None:
        """Start what is due."""
        now = self._company.frame.clock.now()
        if self.due is not None and now >= self.due:
            self.send_waiting()
        for delivery in [each for each in self.retries if now >= each.due]:
            self.retries.remove(delivery)
            self._start(delivery)

    def send_waiting(self) -> None:
        """Send everything that waits, one notification for each address."""
        self.due = None
        waiting, self.waiting = self.waiting, []
        living = self.living()
        most = int(self._company.switches["webhook_most_items"])
        noted: dict[str, list[Noted]] = {}
        for change in waiting:
            if change.subscription_id in living:
                noted.setdefault(change.subscription_id, []).append(change)
        by_address: dict[str, list[Notice]] = {}
        for key, changes in noted.items():
            url = living[key]["notificationUrl"]
            by_address.setdefault(url, []).extend(merged(changes, most))
        now = self._company.frame.clock.now()
        for url, notices in by_address.items():
            self._start(Delivery(url, notices, 1, now))

    def _start(self, delivery: Delivery) -> None:
        task = asyncio.get_running_loop().create_task(self._deliver(delivery))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _deliver(self, delivery: Delivery) -> None:
        living = self.living()
        notices = [each for each in delivery.notices if each.subscription_id in living]
        if not notices:
            return
        body = encode({"value": [self._item(living[n.subscription_id], n) for n in notices]})
        call = str(uuid.uuid4())
        headers = {
            "content-type": "application/json; charset=utf-8",
            "clientrequestid": call,
            "x-ms-correlation-id": call,
        }
        began = time.monotonic()
        status: int | None = None
        with contextlib.suppress(TimeoutError, httpx.HTTPError, ssl.SSLError, OSError):
            async with asyncio.timeout(float(self._company.switches["webhook_answer_seconds"])):
                answer = await self._http().post(delivery.url, content=body, headers=headers)
            status = answer.status_code
        self._write_log(
            "notification",
            delivery.url,
            status,
            began,
            items=len(notices),
            attempt=delivery.attempt,
        )
        self._settle(delivery, notices, status)

    def _item(self, row: Row, notice: Notice) -> dict[str, Any]:
        resource = str(row["resource"]).rstrip("/")
        match self._company.switches["webhook_resource_style"]:
            case "slash":
                resource = "/" + resource.lstrip("/")
            case "no_slash":
                resource = resource.lstrip("/")
        return {
            "subscriptionId": row["subscriptionId"],
            "clientState": row["clientState"],
            "expirationDateTime": row["expirationDateTime"],
            "resource": f"{resource}{notice.suffix}",
            "changeType": notice.kind,
            "lastModifiedDateTime": wire_time(notice.at),
        }

    def _settle(self, delivery: Delivery, notices: list[Notice], status: int | None) -> None:
        """Delivered, tried again later, or the end of the subscriptions."""
        if status is not None and 200 <= status < 300:
            self.delivered += len(notices)
            return
        if status is None or status in _AGAIN or status >= 500:
            minutes = list(self._company.switches["webhook_retry_minutes"])
            if delivery.attempt <= len(minutes):
                wait = self._scaled(60 * float(minutes[delivery.attempt - 1]))
                due = self._company.frame.clock.now() + wait
                again = Delivery(delivery.url, notices, delivery.attempt + 1, due)
                self.retries.append(again)
                self._wake.set()
                return
            self.remove({notice.subscription_id for notice in notices})
            return
        behind = [k for k, row in self.rows.items() if row["notificationUrl"] == delivery.url]
        self.remove(behind)
        self.retries = [each for each in self.retries if each.url != delivery.url]

    def _write_log(
        self, what: str, url: str, status: int | None, began: float, *, items: int, attempt: int
    ) -> None:
        self.log.append(
            {
                "what": what,
                "at": self._company.frame.clock.now(),
                "url": url,
                "status": status,
                "milliseconds": round((time.monotonic() - began) * 1000, 3),
                "items": items,
                "attempt": attempt,
            }
        )

    # -- the admin surface --------------------------------------------------------------------

    def act(self, name: str, arguments: dict[str, Any]) -> Any:
        """An admin verb about webhooks."""
        verbs: dict[str, Callable[..., Any]] = {
            "webhook_log": self._shown_log,
            "webhook_waiting": self._shown_waiting,
            "webhook_send_now": self._send_now,
            "webhook_add": self._plant,
            "webhook_remove": self._lose,
            "webhook_expire": self._expire,
        }
        if name not in verbs:
            raise AdminError(f"there is no act {name}; there are {sorted(verbs)}")
        return verbs[name](**arguments)

    def records(self) -> list[Row]:
        """The living subscriptions, as they are stored."""
        return list(self.living().values())

    def state(self) -> dict[str, Any]:
        """Numbers for the overview."""
        return {
            "subscriptions": len(self.living()),
            "waiting": len(self.waiting),
            "retrying": len(self.retries),
            "under_way": len(self._running),
            "delivered": self.delivered,
        }

    def _shown_log(self) -> list[dict[str, Any]]:
        return list(self.log)

    def _shown_waiting(self) -> list[dict[str, Any]]:
        return [
            {"subscription": n.subscription_id, "id": n.record_id, "kind": n.kind, "at": n.at}
            for n in self.waiting
        ]

    def _send_now(self) -> dict[str, Any]:
        for delivery in self.retries:
            delivery.due = self._company.frame.clock.now()
        self.send_waiting()
        self._wake.set()
        return self.state()

    def _plant(self, notification_url: str, resource: str, client_state: str = "") -> Row:
        entity = resource.rstrip("/").rpartition("/")[2]
        return self.add(notification_url, resource, client_state, entity)

    def _chosen(self, subscription: str | None, entity_set: str | None) -> list[str]:
        return [
            key
            for key, row in self.rows.items()
            if subscription in (None, key) and entity_set in (None, row["_set"])
        ]

    def _lose(self, subscription: str | None = None, entity_set: str | None = None) -> Any:
        chosen = self._chosen(subscription, entity_set)
        self.remove(chosen)
        return {"removed": chosen}

    def _expire(self, subscription: str | None = None, entity_set: str | None = None) -> Any:
        chosen = self._chosen(subscription, entity_set)
        for key in chosen:
            self.rows[key]["expirationDateTime"] = self._company.stamp()
        return {"expired": chosen}

    # -- whole state --------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """What a snapshot keeps: subscriptions and what waits; nothing under way."""
        return {
            "rows": {key: dict(row) for key, row in self.rows.items()},
            "waiting": list(self.waiting),
            "due": self.due,
            "retries": list(self.retries),
        }

    def restore(self, content: dict[str, Any]) -> None:
        """Set the state as a snapshot had it; what is under way ends, the log begins anew."""
        for task in self._running:
            task.cancel()
        self.rows = {key: dict(row) for key, row in content["rows"].items()}
        self.waiting = list(content["waiting"])
        self.due = content["due"]
        self.retries = list(content["retries"])
        self.log.clear()
        self.delivered = 0
        self._wake.set()
