"""Points of a running sync at which something happens to it: it dies, it freezes, the world moves.

The product has no hooks. A worker process of the examination counts every commit of the ledger and
every call of a vendor, before and after, by wrapping SQLAlchemy's commit and the two transports.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx
from requests.adapters import HTTPAdapter
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.default import DefaultDialect

Group = Literal["any", "commit", "write", "create"]
PATIENCE = 20.0
"""How long a freeze waits for transactions of other threads to end."""
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


class Transactions:
    """Which threads are inside a transaction, and a gate that keeps them from beginning one.

    A process frozen inside a transaction keeps an SQLite ledger locked for everybody; that is a
    known limit and not what a freeze examines.
    """

    def __init__(self) -> None:
        self._inside: set[int] = set()
        self._closed = False
        self._changed = threading.Condition()

    def begin(self, _: Connection) -> None:
        """Wait until the gate is open."""
        me = threading.get_ident()
        with self._changed:
            self._changed.wait_for(lambda: not self._closed or me in self._inside)
            self._inside.add(me)

    def end(self) -> None:
        """Note that this thread's transaction is over."""
        with self._changed:
            self._inside.discard(threading.get_ident())
            self._changed.notify_all()

    def freeze(self) -> None:
        """Stop the process while no other thread is inside a transaction."""
        me = threading.get_ident()
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: not self._inside - {me}, PATIENCE)
            os.kill(os.getpid(), signal.SIGSTOP)
            self._closed = False
            self._changed.notify_all()


class Points:
    """Counts the points of this process and lets the planned events happen."""

    def __init__(self, events: list[Event], admin_url: str) -> None:
        self._events = events
        self._admin_url = admin_url
        self._counts: dict[str, int] = {}
        self._transactions = Transactions()
        self._lock = threading.Lock()

    def reach(self, *groups: Group) -> None:
        """Note that a point of *groups* is reached, and do what is planned for it."""
        due: list[Event] = []
        with self._lock:
            for group in ("any", *groups):
                count = self._counts[group] = self._counts.get(group, 0) + 1
                due += [each for each in self._events if (each.group, each.nth) == (group, count)]
        for each in due:
            match each.what:
                case "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                case "stop":
                    self._transactions.freeze()
                case "act":
                    self._act(each.body)

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
        commit, rollback = DefaultDialect.do_commit, DefaultDialect.do_rollback

        def do_commit(dialect: Any, connection: Any) -> None:
            self.reach("commit")
            commit(dialect, connection)
            self._transactions.end()
            self.reach("commit")

        def do_rollback(dialect: Any, connection: Any) -> None:
            rollback(dialect, connection)
            self._transactions.end()

        event.listen(Engine, "begin", self._transactions.begin)
        DefaultDialect.do_commit = do_commit  # type: ignore[method-assign]
        DefaultDialect.do_rollback = do_rollback  # type: ignore[method-assign]

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
