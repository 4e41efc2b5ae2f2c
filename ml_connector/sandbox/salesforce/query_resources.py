"""Queries over HTTP: pages, locators, and the limits around them."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ml_connector.sandbox.salesforce.access import Person
from ml_connector.sandbox.salesforce.calls import Call, Reply
from ml_connector.sandbox.salesforce.faults import SalesforceFault, not_found
from ml_connector.sandbox.salesforce.org import SalesforceOrg
from ml_connector.sandbox.salesforce.schema import Child
from ml_connector.sandbox.salesforce.soql import Query, Record, Shape, render
from ml_connector.sandbox.salesforce.soql_syntax import Select, malformed, parse

_BATCH = re.compile(r"batchSize\s*=\s*(\d+)", re.IGNORECASE)
_LOCATOR = re.compile(r"(0r8\w{15})-(\d+)\Z")
_SMALLEST_BATCH = 200


@dataclass(slots=True)
class Cursor:
    """An open query: what it named when it ran, to be read page by page."""

    user_id: str
    select: Select
    include_deleted: bool
    parent: str | None
    ids: list[str]
    page: int
    last_used: datetime


class QueryResources:
    """/query and /queryAll."""

    def __init__(self, org: SalesforceOrg) -> None:
        self._org = org

    @property
    def _cursors(self) -> dict[str, Cursor]:
        found: dict[str, Cursor] = self._org.services.setdefault("cursors", {})
        return found

    def handle(self, call: Call, rest: list[str], *, include_deleted: bool) -> Reply:
        """Serves a first page or a further one."""
        if call.method != "GET":
            raise SalesforceFault("METHOD_NOT_ALLOWED", f"{call.method} is not taken here")
        if len(rest) == 1:
            return self._more(call, rest[0])
        if rest:
            raise not_found()
        text = call.query.get("q")
        if not text:
            raise malformed("The parameter q is missing")
        return Reply(200, self._first(call, text, include_deleted=include_deleted))

    def _first(self, call: Call, text: str, *, include_deleted: bool) -> Record:
        select = parse(text)
        if str(select.source).lower() == "userpermissionaccess":
            self._org.show_permissions(call.user)
        query = Query(self._org, call.user, select, include_deleted=include_deleted)
        if query.counts_only:
            return {"totalSize": len(query.ids()), "done": True, "records": []}
        if query.aggregates:
            rows = query.aggregate()
            return {"totalSize": len(rows), "done": True, "records": rows}
        ids = query.ids()
        size = self._page_size(call)
        cursor = Cursor(
            call.user.user_id, select, include_deleted, None, ids, size, self._org.frame.clock.now()
        )
        return self._page(call, query, cursor, 0, None)

    def _page_size(self, call: Call) -> int:
        largest = int(self._org.switch("query_page_size"))
        asked = _BATCH.search(call.header("sforce-query-options"))
        if asked is None:
            return largest
        return max(min(int(asked[1]), largest), min(_SMALLEST_BATCH, largest))

    def _more(self, call: Call, text: str) -> Reply:
        found = _LOCATOR.match(text)
        cursor = self._cursors.get(found[1]) if found else None
        now = self._org.frame.clock.now()
        idle = timedelta(minutes=float(self._org.switch("query_locator_minutes")))
        known = cursor is not None and cursor.user_id == call.user.user_id
        if found is None or cursor is None or not known or now - cursor.last_used > idle:
            raise SalesforceFault("INVALID_QUERY_LOCATOR", "The query is no longer open")
        start = int(found[2])
        if start >= len(cursor.ids):
            raise SalesforceFault("INVALID_QUERY_LOCATOR", "The query has no such page")
        cursor.last_used = now
        parent = self._org.schema.find(cursor.parent) if cursor.parent else None
        query = Query(
            self._org,
            call.user,
            cursor.select,
            include_deleted=cursor.include_deleted,
            parent=parent,
        )
        return Reply(200, self._page(call, query, cursor, start, found[1]))

    def _page(
        self, call: Call, query: Query, cursor: Cursor, start: int, locator: str | None
    ) -> Record:
        shape = query.shape
        if shape is None:
            raise TypeError("pages are of records")
        rows = query.table.rows
        end = start + cursor.page
        records = [
            render(shape, self._org, call.version, rows[found], self._children(call, query))
            for found in cursor.ids[start:end]
            if found in rows
        ]
        page: Record = {"totalSize": len(cursor.ids), "done": end >= len(cursor.ids)}
        if not page["done"]:
            name = locator or self._keep(cursor)
            page["nextRecordsUrl"] = f"/services/data/v{call.version}/query/{name}-{end}"
        page["records"] = records
        return page

    def _children(self, call: Call, parent: Query) -> Any:
        def page(select: Select, child: Child, record_id: str, ids: list[str]) -> Record:
            del record_id, child
            size = int(self._org.switch("child_page_size"))
            query = self._child_query(call.user, select, parent)
            cursor = Cursor(
                call.user.user_id,
                select,
                parent.include_deleted,
                parent.sobject.name,
                ids,
                size,
                self._org.frame.clock.now(),
            )
            return self._page(call, query, cursor, 0, None)

        return page

    def _child_query(self, _user: Person, select: Select, parent: Query) -> Query:
        shape: Shape | None = parent.shape
        for _, query in shape.children.values() if shape else ():
            if query.select is select:
                return query
        raise TypeError("the child query is the parent's")

    def _keep(self, cursor: Cursor) -> str:
        cursors = self._cursors
        mine = [name for name, other in cursors.items() if other.user_id == cursor.user_id]
        most = int(self._org.switch("query_cursors_per_user"))
        mine.sort(key=lambda name: cursors[name].last_used)
        for name in mine[: max(0, len(mine) - most + 1)]:
            del cursors[name]
        number = self._org.counters.get("query locator", 0) + 1
        self._org.counters["query locator"] = number
        name = f"0r8{number:015d}"
        cursors[name] = cursor
        return name
