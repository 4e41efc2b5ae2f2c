"""Which records were touched or deleted within a span of time."""

from datetime import datetime, timedelta

from ml_connector.sandbox.salesforce.calls import Call, Reply
from ml_connector.sandbox.salesforce.faults import SalesforceFault
from ml_connector.sandbox.salesforce.org import BIN_DAYS, SalesforceOrg
from ml_connector.sandbox.salesforce.schema import SObject
from ml_connector.sandbox.salesforce.values import instant, show_instant

UPDATED_DAYS = timedelta(days=30)
MOST_IDS = 600_000


def _wrong(message: str) -> SalesforceFault:
    return SalesforceFault("INVALID_REPLICATION_DATE", message)


class Replication:
    """/sobjects/X/updated and /sobjects/X/deleted."""

    def __init__(self, org: SalesforceOrg) -> None:
        self._org = org

    def updated(self, call: Call, sobject: SObject) -> Reply:
        """Ids of the records created, changed or restored within the span."""
        start, covered = self._span(call, sobject, UPDATED_DAYS)
        table = self._org.table(sobject.name)
        found = []
        for record_id in table.since(start):
            row = table.rows[record_id]
            if not row.get("IsDeleted") and _within(row["SystemModstamp"], start, covered):
                found.append(record_id)
        _bounded(found)
        found.reverse()
        return Reply(200, {"ids": found, "latestDateCovered": show_instant(covered)})

    def deleted(self, call: Call, sobject: SObject) -> Reply:
        """Ids of the records deleted within the span."""
        start, covered = self._span(call, sobject, BIN_DAYS)
        table = self._org.table(sobject.name)
        found = []
        for record_id in table.since(start):
            row = table.rows[record_id]
            stamp = row["SystemModstamp"]
            gone = row.get("IsDeleted") and isinstance(stamp, datetime)
            if gone and isinstance(stamp, datetime) and _within(stamp, start, covered):
                found.append({"id": record_id, "deletedDate": show_instant(stamp)})
        _bounded(found)
        found.reverse()
        earliest = self._org.now() - BIN_DAYS
        return Reply(
            200,
            {
                "deletedRecords": found,
                "earliestDateAvailable": show_instant(earliest),
                "latestDateCovered": show_instant(covered),
            },
        )

    def _span(self, call: Call, sobject: SObject, reach: timedelta) -> tuple[datetime, datetime]:
        if call.method != "GET":
            raise SalesforceFault("METHOD_NOT_ALLOWED", f"{call.method} is not taken here")
        if not sobject.replicateable:
            raise SalesforceFault("INVALID_TYPE", f"{sobject.name} is not replicateable")
        start, end = self._moment(call, "start"), self._moment(call, "end")
        now = self._org.now()
        if end - start < timedelta(minutes=1):
            raise _wrong("end is at least a minute after start")
        if start < now - reach:
            raise _wrong(f"start is more than {reach.days} days ago")
        if start > now:
            raise _wrong("start is in the future")
        lag = timedelta(seconds=float(self._org.switch("replication_lag_seconds")))
        return start, max(start, min(end, now - lag))

    def _moment(self, call: Call, name: str) -> datetime:
        text = call.query.get(name, "")
        if text.endswith(("Z", "z")) and not self._org.switch("accept_bare_z"):
            raise _wrong(f"{name} needs its zone as +00:00")
        found = instant(text)
        if found is None:
            raise _wrong(f"{name} is no instant with a zone")
        return found.replace(second=0, microsecond=0)


def _within(stamp: object, start: datetime, end: datetime) -> bool:
    return isinstance(stamp, datetime) and start <= stamp <= end


def _bounded(found: list[object] | list[str] | list[dict[str, str]]) -> None:
    if len(found) > MOST_IDS:
        raise SalesforceFault("EXCEEDED_ID_LIMIT", "Too many records; ask for a shorter span")
