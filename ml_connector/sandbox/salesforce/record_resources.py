"""Objects and single records: describe, create, read, change, delete, upsert."""

from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from ml_connector.sandbox.salesforce import describe, records
from ml_connector.sandbox.salesforce.calls import Call, Reply, flag
from ml_connector.sandbox.salesforce.faults import ManyMatches, SalesforceFault, not_found
from ml_connector.sandbox.salesforce.schema import Field, SObject
from ml_connector.sandbox.salesforce.values import Row, show_field
from ml_connector.sandbox.salesforce.workspace import Workspace


class RecordResources:
    """Everything under /sobjects but the replication resources."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._org = workspace.org
        self._described_at = workspace.org.now()

    def handle(self, call: Call, rest: list[str]) -> Reply:
        """Serves an address below /sobjects."""
        if not rest:
            return self._global(call)
        sobject = self._workspace.sobject(call, rest[0])
        match rest[1:]:
            case []:
                return self._object(call, sobject)
            case ["describe"]:
                return self._describe(call, sobject)
            case [record_id]:
                return self._record(call, sobject, record_id)
            case [field, value]:
                return self._external(call, sobject, field, value)
        raise not_found()

    # --- objects ---------------------------------------------------------------------------

    def _global(self, call: Call) -> Reply:
        _only(call, "GET")
        access = call.user.access
        shown = [
            describe.summary(sobject, access, call.version)
            for sobject in sorted(self._org.schema.objects.values(), key=lambda s: s.name)
            if access.may_read(sobject)
        ]
        return Reply(200, {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": shown})

    def _object(self, call: Call, sobject: SObject) -> Reply:
        if call.method == "GET":
            summary = describe.summary(sobject, call.user.access, call.version)
            return Reply(200, {"objectDescribe": summary, "recentItems": []})
        _only(call, "POST")
        body = call.json_object()
        with self._workspace.writing(call) as transaction:
            found = records.create(self._org, transaction, sobject, body)
        location = f"/services/data/v{call.version}/sobjects/{sobject.name}/{found}"
        value = {"id": found, "success": True, "errors": []}
        return Reply(201, value, {"location": location})

    def _describe(self, call: Call, sobject: SObject) -> Reply:
        _only(call, "GET")
        since = _http_date(call.header("if-modified-since"))
        if since is not None and since >= self._described_at:
            return Reply(304)
        value = describe.full(self._org, sobject, call.user.access, call.version)
        modified = format_datetime(self._described_at.astimezone(UTC), usegmt=True)
        return Reply(200, value, {"last-modified": modified})

    # --- records ---------------------------------------------------------------------------

    def _record(self, call: Call, sobject: SObject, text: str) -> Reply:
        record_id = records.id_in_address(sobject, text)
        if call.method == "GET":
            return self._read(call, sobject, record_id)
        if call.method == "PATCH":
            body = call.json_object()
            self._check_unmodified(call, sobject, record_id)
            with self._workspace.writing(call) as transaction:
                records.update(self._org, transaction, sobject, record_id, body)
            return Reply(204)
        _only(call, "DELETE")
        with self._workspace.writing(call) as transaction:
            records.delete(self._org, transaction, sobject, record_id)
        return Reply(204)

    def _read(self, call: Call, sobject: SObject, record_id: str) -> Reply:
        row = records.existing(self._org, sobject, record_id)
        since = _http_date(call.header("if-modified-since"))
        stamp = row["LastModifiedDate"]
        if since is not None and isinstance(stamp, datetime) and stamp <= since:
            return Reply(304)
        columns = chosen(call, sobject, call.query.get("fields"))
        return Reply(200, record_view(call, sobject, row, columns))

    def _check_unmodified(self, call: Call, sobject: SObject, record_id: str) -> None:
        since = _http_date(call.header("if-unmodified-since"))
        if since is None:
            return
        stamp = records.existing(self._org, sobject, record_id)["LastModifiedDate"]
        if isinstance(stamp, datetime) and stamp > since:
            raise SalesforceFault("PRECONDITION_FAILED", "The record was changed", status=412)

    def _external(self, call: Call, sobject: SObject, name: str, value: str) -> Reply:
        column = records.external_column(call.user, sobject, name)
        try:
            if call.method in ("PATCH", "POST"):
                return self._upsert(call, sobject, column, value)
            matches = records.matching(self._org, sobject, column, value)
            if len(matches) > 1:
                raise ManyMatches(sobject.name, column.name, matches)
            if not matches:
                raise not_found(f"No {sobject.name} has this {column.name}")
            return self._record(call, sobject, matches[0])
        except ManyMatches as many:
            base = f"/services/data/v{call.version}/sobjects/{sobject.name}"
            return Reply(300, [f"{base}/{found}" for found in many.ids])

    def _upsert(self, call: Call, sobject: SObject, column: Field, value: str) -> Reply:
        body = call.json_object()
        if any(key.lower() == column.name.lower() for key in body):
            raise SalesforceFault(
                "INVALID_FIELD", f"{column.name} belongs into the address only", (column.name,)
            )
        update_only = flag(call.query.get("updateOnly"))
        with self._workspace.writing(call) as transaction:
            found, created = records.upsert(
                self._org, transaction, sobject, column, value, body, update_only=update_only
            )
        if not created and float(call.version) < 46:
            return Reply(204)
        result = {"id": found, "success": True, "errors": [], "created": created}
        return Reply(201 if created else 200, result)


def chosen(call: Call, sobject: SObject, names: str | Iterable[str] | None) -> list[Field]:
    """The fields asked for, or all that the user sees."""
    access = call.user.access
    if names is None:
        return [c for c in sobject.fields.values() if access.readable(sobject, c)]
    wanted = names.split(",") if isinstance(names, str) else list(names)
    columns = {"Id": sobject.fields["Id"]}
    for name in wanted:
        column = sobject.find(name.strip())
        if column is None or not access.readable(sobject, column):
            raise SalesforceFault("INVALID_FIELD", f"{sobject.name} has no column {name}")
        columns[column.name] = column
    return list(columns.values())


def record_view(call: Call, sobject: SObject, row: Row, columns: list[Field]) -> dict[str, Any]:
    """A record as the record resources write it."""
    url = f"/services/data/v{call.version}/sobjects/{sobject.name}/{row['Id']}"
    fields = {column.name: show_field(row, column) for column in columns}
    return {"attributes": {"type": sobject.name, "url": url}, **fields}


def _only(call: Call, *methods: str) -> None:
    if call.method not in methods:
        raise SalesforceFault("METHOD_NOT_ALLOWED", f"{call.method} is not taken here")


def _http_date(text: str) -> datetime | None:
    if not text:
        return None
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
