"""Points of a running sync at which something happens to it: it dies, it freezes, the world moves.

The product has no hooks. A worker process of the examination counts every commit of the ledger and
every call of a vendor, before and after, by wrapping SQLAlchemy's commit and the two transports.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import httpx
from requests.adapters import HTTPAdapter
from sqlalchemy.engine.default import DefaultDialect

from ml_connector.domain import clock

Group = Literal["any", "commit", "write", "create"]
LONGEST_SLEEP = 0.05
_CREATIONS = ("/salesOrders", "/Microsoft.NAV.post", "/Microsoft.NAV.shipAndInvoice")
_READS = ("GET", "/token", "/query", "/$metadata")


@dataclass(frozen=True)
class Event:
    """Something that happens at the *nth* point of a *group*.

    Attributes:
        what: "kill" (SIGKILL), "stop" (SIGSTOP) or "act" (a rep or a clerk does something).
        body: for "act": the system and the verb's JSON body.
    """

    group: Group
    nth: int
    what: Literal["kill", "stop", "act"]
    body: dict[str, Any] = field(default_factory=dict)


class Points:
    """Counts the points of this process and lets the planned events happen."""

    def __init__(self, events: list[Event], admin_url: str) -> None:
        self._events = events
        self._admin_url = admin_url
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()

    def reach(self, *groups: Group) -> None:
        """Note that a point of *groups* is reached, and do what is planned for it."""
        due: list[Event] = []
        with self._lock:
            for group in ("any", *groups):
                count = self._counts[group] = self._counts.get(group, 0) + 1
                due += [each for each in self._events if (each.group, each.nth) == (group, count)]
        for event in due:
            match event.what:
                case "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                case "stop":
                    os.kill(os.getpid(), signal.SIGSTOP)
                case "act":
                    self._act(event.body)

    def _act(self, body: dict[str, Any]) -> None:
        """Let a person act; a refusal (the record is not in that state now) changes nothing."""
        content = json.dumps({k: v for k, v in body.items() if k != "system"}).encode()
        request = urllib.request.Request(  # noqa: S310  # the sandbox's own address
            f"{self._admin_url}/{body['system']}/act", data=content, method="POST"
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            opener.open(request, timeout=30).close()
        except OSError:
            return

    def install(self) -> None:
        """Wrap the commit of every database and both vendors' transports in this process."""
        self._wrap_commits()
        httpx.HTTPTransport.handle_request = self._wrapped(  # type: ignore[method-assign]
            httpx.HTTPTransport.handle_request, lambda request: (request.method, str(request.url))
        )
        HTTPAdapter.send = self._wrapped(  # type: ignore[method-assign]
            HTTPAdapter.send, lambda request: (str(request.method), str(request.url))
        )

    def _wrap_commits(self) -> None:
        commit = DefaultDialect.do_commit

        def do_commit(dialect: Any, connection: Any) -> None:
            self.reach("commit")
            commit(dialect, connection)
            self.reach("commit")

        DefaultDialect.do_commit = do_commit  # type: ignore[method-assign]

    def _wrapped(
        self, send: Callable[..., Any], named: Callable[[Any], tuple[str, str]]
    ) -> Callable[..., Any]:
        def sent(transport: Any, request: Any, *arguments: Any, **options: Any) -> Any:
            groups = _groups(*named(request))
            self.reach(*groups)
            answer = send(transport, request, *arguments, **options)
            self.reach(*groups)
            return answer

        return sent


def _groups(method: str, url: str) -> list[Group]:
    path = url.partition("?")[0]
    if method == "GET" or any(part in path for part in _READS[1:]):
        return []
    is_order = method == "POST" and path.endswith(_CREATIONS)
    return ["write", "create"] if is_order else ["write"]


def shift_clock(seconds: float) -> None:
    """Let this process live later by *seconds*, and wait for nothing longer than a moment."""
    ahead = timedelta(seconds=seconds)

    def now(_: clock.SystemClock) -> datetime:
        return datetime.now(UTC) + ahead

    clock.SystemClock.now = now  # type: ignore[method-assign]
    sleep = time.sleep
    time.sleep = lambda seconds: sleep(min(seconds, LONGEST_SLEEP))
