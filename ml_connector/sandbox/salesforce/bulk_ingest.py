"""Bulk 2.0 ingest jobs: rows come as CSV, are written in batches, and leave three result files."""

import csv
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ml_connector.sandbox.salesforce import records
from ml_connector.sandbox.salesforce.bulk_query import DELIMITERS, ENDINGS
from ml_connector.sandbox.salesforce.calls import Call, Reply
from ml_connector.sandbox.salesforce.faults import ManyMatches, SalesforceFault, not_found
from ml_connector.sandbox.salesforce.ids import normal_id, record_id
from ml_connector.sandbox.salesforce.org import SalesforceOrg
from ml_connector.sandbox.salesforce.schema import Field, SObject
from ml_connector.sandbox.salesforce.table import index_key
from ml_connector.sandbox.salesforce.transactions import Origin, Transaction
from ml_connector.sandbox.salesforce.values import accept, show_instant
from ml_connector.sandbox.salesforce.workspace import Workspace

LARGEST_UPLOAD = 150 * 1024 * 1024 * 3 // 4
"""Bytes: the vendor's 150 MB count the data as base64."""

ROWS_PER_TRANSACTION = 200
OPERATIONS = ("insert", "update", "upsert", "delete")
_NULL = "#N/A"
_WAITING = {"UploadComplete": "InProgress", "InProgress": "JobComplete"}
_DONE = ("JobComplete", "Failed", "Aborted")
_RESULTS = {
    "successfulresults": ("sf__Id", "sf__Created"),
    "failedresults": ("sf__Id", "sf__Error"),
    "unprocessedrecords": (),
}
CsvRow = dict[str, str]


@dataclass(slots=True)
class Job:
    """An ingest job; `files` holds, per kind of result, the vendor's columns and the row."""

    job_id: str
    sobject: str
    operation: str
    external_id: str | None
    user_id: str
    origin: Origin
    created: datetime
    delimiter: str
    ending: str
    state: str = "Open"
    problem: str | None = None
    columns: list[str] = field(default_factory=list)
    rows: list[CsvRow] | None = None
    files: dict[str, list[tuple[list[str], CsvRow]]] = field(
        default_factory=lambda: {name: [] for name in _RESULTS}
    )


class BulkIngest:
    """Everything under /jobs/ingest."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._org: SalesforceOrg = workspace.org

    @property
    def _jobs(self) -> dict[str, Job]:
        found: dict[str, Job] = self._org.services.setdefault("ingest_jobs", {})
        return found

    def handle(self, call: Call, rest: list[str]) -> Reply:
        """Serves an address below /jobs/ingest."""
        if not rest:
            if call.method == "POST":
                return self._create(call)
            shown = [self._shown(call, job) for job in self._jobs.values()]
            return Reply(200, {"done": True, "nextRecordsUrl": None, "records": shown})
        job = self._jobs.get(rest[0])
        if job is None:
            raise not_found(f"No job {rest[0]}")
        match (call.method, [part.lower() for part in rest[1:]]):
            case ("GET", []):
                self._advance(job)
                return Reply(200, self._shown(call, job))
            case ("PUT", ["batches"]):
                return self._upload(call, job)
            case ("PATCH", []):
                return self._close(call, job)
            case ("DELETE", []):
                if job.state not in _DONE:
                    raise _wrong_state("The job is not finished")
                del self._jobs[job.job_id]
                return Reply(204)
            case ("GET", [name]) if name in _RESULTS:
                return self._results(job, name)
        raise not_found()

    # --- making and filling ----------------------------------------------------------------

    def _create(self, call: Call) -> Reply:
        body = call.json_object()
        operation = str(body.get("operation"))
        if operation not in OPERATIONS:
            raise SalesforceFault("INVALIDJOB", f"operation is one of {', '.join(OPERATIONS)}")
        if body.get("contentType", "CSV") != "CSV":
            raise SalesforceFault("INVALIDJOB", "contentType is CSV")
        delimiter = str(body.get("columnDelimiter", "COMMA"))
        ending = str(body.get("lineEnding", "LF"))
        if delimiter not in DELIMITERS or ending not in ENDINGS:
            raise SalesforceFault("INVALIDJOB", "The delimiter or line ending is not known")
        sobject = self._workspace.sobject(call, str(body.get("object")))
        external_id = body.get("externalIdFieldName")
        if operation == "upsert":
            if not external_id:
                raise SalesforceFault("INVALIDJOB", "An upsert names externalIdFieldName")
            external_id = records.external_column(call.user, sobject, str(external_id)).name
        number = self._org.counters.get("job", 0) + 1
        self._org.counters["job"] = number
        job = Job(
            record_id("750", number),
            sobject.name,
            operation,
            external_id if operation == "upsert" else None,
            call.user.user_id,
            Origin("bulkapi", call.version, call.origin.client),
            self._org.now(),
            delimiter,
            ending,
        )
        self._jobs[job.job_id] = job
        return Reply(200, self._shown(call, job))

    def _upload(self, call: Call, job: Job) -> Reply:
        if job.state != "Open" or job.rows is not None:
            raise _wrong_state("The job takes one upload while it is open")
        if call.header("content-type").partition(";")[0].strip().lower() != "text/csv":
            raise SalesforceFault("UNSUPPORTED_MEDIA_TYPE", "The rows come as text/csv")
        if len(call.body) > LARGEST_UPLOAD:
            raise SalesforceFault("LIMIT_EXCEEDED", "The data of a job are at most 150 MB")
        try:
            text = call.body.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise SalesforceFault("INVALID_INPUT", "The rows are not UTF-8") from error
        delimiter = DELIMITERS[job.delimiter]
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
        job.columns = list(reader.fieldnames or [])
        job.rows = [{name: row.get(name) or "" for name in job.columns} for row in reader]
        return Reply(201)

    def _close(self, call: Call, job: Job) -> Reply:
        state = call.json_object().get("state")
        if state == "UploadComplete" and job.state == "Open" and job.rows is not None:
            job.state = "UploadComplete"
        elif state == "Aborted" and job.state not in _DONE:
            job.state = "Aborted"
            job.files["unprocessedrecords"] = [([], row) for row in job.rows or ()]
        else:
            raise _wrong_state(f"The job cannot become {state} now")
        return Reply(200, self._shown(call, job))

    # --- working ---------------------------------------------------------------------------

    def _advance(self, job: Job) -> None:
        """Lets a closed job go one step on at each look."""
        if job.state == "InProgress":
            self._work(job)
        if job.state in _WAITING:
            job.state = _WAITING[job.state]

    def _work(self, job: Job) -> None:
        sobject = self._org.schema[job.sobject]
        unknown = [name for name in job.columns if not _is_known(sobject, name)]
        rows = job.rows or []
        if unknown:
            job.state, job.problem = "Failed", f"InvalidBatch : unknown column {unknown[0]}"
            job.files["unprocessedrecords"] = [([], row) for row in rows]
            return
        keys = [_key(job, row) for row in rows]
        seen = Counter(key for key in keys if key is not None)
        person = self._org.people[job.user_id]
        for start in range(0, len(rows), ROWS_PER_TRANSACTION):
            transaction = self._org.begin(person, job.origin)
            for row, key in _slice(rows, keys, start):
                mark = transaction.mark()
                try:
                    if key is not None and seen[key] > 1:
                        raise SalesforceFault("DUPLICATE_VALUE", "The key comes twice in the job")
                    done = self._write(job, sobject, row, transaction)
                except SalesforceFault as fault:
                    transaction.roll_back(mark)
                    text = f"{fault.code}:{fault.message}:{' '.join(fault.fields)} --"
                    job.files["failedresults"].append(([_id(row) or "", text], row))
                else:
                    job.files["successfulresults"].append((done, row))
            self._org.commit(transaction)
        for results in job.files.values():
            results.reverse()  # the vendor promises no order

    def _write(
        self, job: Job, sobject: SObject, row: CsvRow, transaction: Transaction
    ) -> list[str]:
        org = self._org
        found = normal_id(_id(row) or "")
        if job.operation == "delete":
            records.delete(org, transaction, sobject, _needed(found, sobject))
            return [str(found), "false"]
        left_out = {"id"} | ({job.external_id.lower()} if job.external_id else set())
        body = _body(sobject, row, left_out)
        if job.operation == "insert":
            return [records.create(org, transaction, sobject, body), "true"]
        if job.operation == "update":
            records.update(org, transaction, sobject, _needed(found, sobject), body)
            return [str(found), "false"]
        column = sobject.fields[str(job.external_id)]
        text = _cell(row, column.name)
        value = normal_id(text) if column.name == "Id" else accept(column, text)
        if value is None:
            raise SalesforceFault("MISSING_ARGUMENT", f"{column.name} is empty", (column.name,))
        try:
            upserted, created = records.upsert(org, transaction, sobject, column, value, body)
        except ManyMatches as many:
            raise SalesforceFault("DUPLICATE_EXTERNAL_ID", str(many), (column.name,)) from many
        return [upserted, str(created).lower()]

    # --- showing ---------------------------------------------------------------------------

    def _shown(self, call: Call, job: Job) -> dict[str, Any]:
        failed = len(job.files["failedresults"])
        shown = {
            "id": job.job_id,
            "operation": job.operation,
            "object": job.sobject,
            "createdById": job.user_id,
            "createdDate": show_instant(job.created),
            "systemModstamp": show_instant(job.created),
            "state": job.state,
            "externalIdFieldName": job.external_id,
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": float(call.version),
            "jobType": "V2Ingest",
            "contentUrl": f"services/data/v{call.version}/jobs/ingest/{job.job_id}/batches",
            "lineEnding": job.ending,
            "columnDelimiter": job.delimiter,
            "numberRecordsProcessed": failed + len(job.files["successfulresults"]),
            "numberRecordsFailed": failed,
            "retries": 0,
        }
        return shown if job.problem is None else {**shown, "errorMessage": job.problem}

    def _results(self, job: Job, name: str) -> Reply:
        if job.state not in _DONE:
            raise _wrong_state("The job is not finished")
        out = io.StringIO()
        writer = csv.writer(
            out,
            delimiter=DELIMITERS[job.delimiter],
            lineterminator=ENDINGS[job.ending],
            quoting=csv.QUOTE_ALL,
        )
        writer.writerow([*_RESULTS[name], *job.columns])
        for told, row in job.files[name]:
            writer.writerow([*told, *(row[column] for column in job.columns)])
        return Reply(200, raw=out.getvalue().encode(), content_type="text/csv")


def _wrong_state(message: str) -> SalesforceFault:
    return SalesforceFault("INVALIDJOBSTATE", message)


def _slice(
    rows: list[CsvRow], keys: list[str | None], start: int
) -> Iterator[tuple[CsvRow, str | None]]:
    end = start + ROWS_PER_TRANSACTION
    return zip(rows[start:end], keys[start:end], strict=True)


def _key(job: Job, row: CsvRow) -> str | None:
    """What names the record of a row; None for a new one."""
    if job.operation == "insert":
        return None
    if job.operation == "upsert" and job.external_id != "Id":
        return str(index_key(_cell(row, str(job.external_id)))) or None
    return normal_id(_cell(row, "Id"))


def _cell(row: CsvRow, name: str) -> str:
    wanted = name.lower()
    return next((text for column, text in row.items() if column.lower() == wanted), "").strip()


def _id(row: CsvRow) -> str | None:
    return _cell(row, "Id") or None


def _needed(found: str | None, sobject: SObject) -> str:
    if found is None or not found.startswith(sobject.prefix):
        raise SalesforceFault("MALFORMED_ID", f"The row has no id of {sobject.name}", ("Id",))
    return found


def _is_known(sobject: SObject, column: str) -> bool:
    relation, _, key = column.partition(".")
    if key:
        return sobject.relation(relation) is not None
    return sobject.find(column) is not None


def _body(sobject: SObject, row: CsvRow, left_out: set[str]) -> dict[str, Any]:
    """The fields of a row: an empty cell says nothing, #N/A says null."""
    body: dict[str, Any] = {}
    for name, text in row.items():
        if text == "" or name.lower() in left_out:
            continue
        value = None if text == _NULL else text
        relation, _, key = name.partition(".")
        if key:
            body[relation] = None if value is None else {key: value}
        else:
            body[name] = _typed(sobject.find(name), value)
    return body


def _typed(column: Field | None, text: str | None) -> Any:
    if column is None or text is None:
        return text
    if column.kind == "boolean" and text.lower() in ("true", "false", "1", "0"):
        return text.lower() in ("true", "1")
    if column.kind == "int" and text.lstrip("-").isdigit():
        return int(text)
    return text
