"""Bulk 2.0 query jobs: made, polled, and read as CSV."""

import base64
import csv
import io
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from ml_connector.sandbox.salesforce.calls import Call, Reply
from ml_connector.sandbox.salesforce.faults import SalesforceFault, not_found
from ml_connector.sandbox.salesforce.ids import record_id
from ml_connector.sandbox.salesforce.org import SalesforceOrg
from ml_connector.sandbox.salesforce.soql import Query
from ml_connector.sandbox.salesforce.soql_syntax import Path, Select, parse
from ml_connector.sandbox.salesforce.values import Value, show, show_instant

DELIMITERS = {
    "COMMA": ",",
    "TAB": "\t",
    "SEMICOLON": ";",
    "PIPE": "|",
    "CARET": "^",
    "BACKQUOTE": "`",
}
ENDINGS = {"LF": "\n", "CRLF": "\r\n"}
_NEXT_STATE = {"UploadComplete": "InProgress", "InProgress": "JobComplete"}
LARGEST_PAGE = 250_000


@dataclass(slots=True)
class Job:
    """A query job."""

    job_id: str
    operation: str
    text: str
    sobject: str
    user_id: str
    created: datetime
    delimiter: str
    ending: str
    state: str
    columns: list[str]
    ids: list[str]


class BulkQuery:
    """Everything under /jobs/query."""

    def __init__(self, org: SalesforceOrg) -> None:
        self._org = org

    @property
    def _jobs(self) -> dict[str, Job]:
        found: dict[str, Job] = self._org.services.setdefault("query_jobs", {})
        return found

    def handle(self, call: Call, rest: list[str]) -> Reply:
        """Serves an address below /jobs/query."""
        match (call.method, rest):
            case ("POST", []):
                return self._create(call)
            case ("GET", []):
                shown = [self._shown(call, job) for job in self._jobs.values()]
                return Reply(200, {"done": True, "nextRecordsUrl": None, "records": shown})
            case ("GET", [job_id]):
                job = self._job(job_id)
                reply = Reply(200, self._shown(call, job, full=True))
                job.state = _NEXT_STATE.get(job.state, job.state)
                return reply
            case ("GET", [job_id, "results"]):
                return self._results(call, self._job(job_id))
            case ("PATCH", [job_id]):
                return self._abort(call, self._job(job_id))
            case ("DELETE", [job_id]):
                job = self._job(job_id)
                if job.state in _NEXT_STATE:
                    raise SalesforceFault("INVALIDJOBSTATE", "The job is not finished")
                del self._jobs[job_id]
                return Reply(204)
        raise not_found()

    def _job(self, job_id: str) -> Job:
        job = self._jobs.get(job_id)
        if job is None:
            raise not_found(f"No job {job_id}")
        return job

    def _create(self, call: Call) -> Reply:
        body = call.json_object()
        operation = body.get("operation")
        if operation not in ("query", "queryAll"):
            raise SalesforceFault("INVALIDJOB", "operation is query or queryAll")
        delimiter = str(body.get("columnDelimiter", "COMMA"))
        ending = str(body.get("lineEnding", "LF"))
        if delimiter not in DELIMITERS or ending not in ENDINGS:
            raise SalesforceFault("INVALIDJOB", "The delimiter or line ending is not known")
        select = parse(str(body.get("query", "")))
        query = Query(self._org, call.user, select, include_deleted=operation == "queryAll")
        columns = _columns(select, query)
        number = self._org.counters.get("job", 0) + 1
        self._org.counters["job"] = number
        job = Job(
            record_id("750", number),
            operation,
            str(body["query"]),
            query.sobject.name,
            call.user.user_id,
            self._org.now(),
            delimiter,
            ending,
            "UploadComplete",
            columns,
            query.ids(),
        )
        self._jobs[job.job_id] = job
        return Reply(200, self._shown(call, job))

    def _shown(self, call: Call, job: Job, *, full: bool = False) -> dict[str, Any]:
        shown = {
            "id": job.job_id,
            "operation": job.operation,
            "object": job.sobject,
            "createdById": job.user_id,
            "createdDate": show_instant(job.created),
            "systemModstamp": show_instant(job.created),
            "state": job.state,
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": float(call.version),
            "lineEnding": job.ending,
            "columnDelimiter": job.delimiter,
        }
        if full:
            done = job.state == "JobComplete"
            shown |= {
                "jobType": "V2Query",
                "numberRecordsProcessed": len(job.ids) if done else 0,
                "retries": 0,
                "totalProcessingTime": 1,
            }
        return shown

    def _abort(self, call: Call, job: Job) -> Reply:
        if call.json_object().get("state") != "Aborted":
            raise SalesforceFault("INVALIDJOBSTATE", "A query job can only be aborted")
        if job.state not in _NEXT_STATE:
            raise SalesforceFault("INVALIDJOBSTATE", "The job is finished")
        job.state = "Aborted"
        return Reply(200, self._shown(call, job))

    def _results(self, call: Call, job: Job) -> Reply:
        if job.state != "JobComplete":
            raise SalesforceFault("INVALIDJOBSTATE", "The job is not complete")
        start = self._start(call.query.get("locator"))
        asked = call.query.get("maxRecords", str(LARGEST_PAGE))
        if not asked.isdigit() or int(asked) < 1:
            raise SalesforceFault("INVALID_INPUT", "maxRecords is a positive number")
        end = start + min(int(asked), LARGEST_PAGE)
        person = self._org.people[job.user_id]
        query = Query(self._org, person, parse(job.text), include_deleted=True)
        getters = [query.own_getter(Path(tuple(name.split(".")))) for name in job.columns]
        out = io.StringIO()
        writer = csv.writer(
            out,
            delimiter=DELIMITERS[job.delimiter],
            lineterminator=ENDINGS[job.ending],
            quoting=csv.QUOTE_ALL,
        )
        writer.writerow(job.columns)
        rows = query.table.rows
        page = [rows[found] for found in job.ids[start:end] if found in rows]
        for row in page:
            writer.writerow([_cell(getter(row)) for getter in getters])
        more = end < len(job.ids)
        locator = base64.b64encode(str(end).encode()).decode() if more else "null"
        headers = {"sforce-locator": locator, "sforce-numberofrecords": str(len(page))}
        return Reply(200, headers=headers, raw=out.getvalue().encode(), content_type="text/csv")

    @staticmethod
    def _start(locator: str | None) -> int:
        if not locator:
            return 0
        try:
            return int(base64.b64decode(locator, validate=True))
        except ValueError as error:
            raise SalesforceFault("INVALID_QUERY_LOCATOR", "The locator is not known") from error


def _columns(select: Select, query: Query) -> list[str]:
    refused = SalesforceFault("INVALIDJOB", "Bulk takes neither child queries nor aggregates")
    if query.shape is None or query.shape.children or select.offset is not None:
        raise refused
    if any(column.kind == "address" for column in query.shape.fields.values()):
        raise SalesforceFault("INVALIDJOB", "Bulk takes no compound fields")
    names = []
    for item in select.items:
        if isinstance(item.what, Path):
            names.append(str(item.what))
        else:
            names += [name for name in query.shape.fields if name not in names]
    return names


def _cell(value: Value | None) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return show_instant(value).replace("+0000", "Z")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):
        return value.isoformat()
    return str(show(value))
