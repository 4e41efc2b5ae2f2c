"""Many records in one call, each with its own result."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from ml_connector.sandbox.salesforce import records
from ml_connector.sandbox.salesforce.calls import Call, Reply, flag
from ml_connector.sandbox.salesforce.faults import ManyMatches, SalesforceFault, not_found
from ml_connector.sandbox.salesforce.ids import normal_id
from ml_connector.sandbox.salesforce.record_resources import chosen, record_view
from ml_connector.sandbox.salesforce.schema import SObject
from ml_connector.sandbox.salesforce.table import index_key
from ml_connector.sandbox.salesforce.transactions import Transaction
from ml_connector.sandbox.salesforce.values import accept
from ml_connector.sandbox.salesforce.workspace import Workspace

LARGEST_WRITE = 200
LARGEST_READ = 2000
MOST_TYPE_RUNS = 10
Result = dict[str, Any]
Work = Callable[[Transaction], Result]
Refused = tuple[SalesforceFault, Result]


def _envelope(message: str, code: str = "INVALID_INPUT") -> SalesforceFault:
    return SalesforceFault(code, message)


class CollectionResources:
    """Everything under /composite/sobjects."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._org = workspace.org

    def handle(self, call: Call, rest: list[str]) -> Reply:
        """Serves an address below /composite/sobjects."""
        match (call.method, rest):
            case ("POST", []):
                return self._create(call)
            case ("PATCH", []):
                return self._update(call)
            case ("PATCH", [name, field]):
                return self._upsert(call, name, field)
            case ("DELETE", []):
                return self._delete(call)
            case ("GET" | "POST", [name]):
                return self._retrieve(call, name)
        if len(rest) > 2:
            raise not_found()
        raise SalesforceFault("METHOD_NOT_ALLOWED", f"{call.method} is not taken here")

    # --- operations ------------------------------------------------------------------------

    def _create(self, call: Call) -> Reply:
        sources, all_or_none = self._records(call)
        work = [self._create_one(call, source) for source in sources]
        return self._run(call, work, [{} for _ in work], all_or_none=all_or_none)

    def _create_one(self, call: Call, source: dict[str, Any]) -> Work:
        sobject = self._type_of(call, source)

        def create(transaction: Transaction) -> Result:
            found = records.create(self._org, transaction, sobject, source)
            return {"id": found, "success": True, "errors": []}

        return create

    def _update(self, call: Call) -> Reply:
        sources, all_or_none = self._records(call)
        ids = [normal_id(str(_id_of(source) or "")) for source in sources]
        seen = Counter(found for found in ids if found)
        work = [
            self._update_one(call, source, found, doubled=seen[found or ""] > 1)
            for source, found in zip(sources, ids, strict=True)
        ]
        extras: list[Result] = [{"id": found} if found else {} for found in ids]
        return self._run(call, work, extras, all_or_none=all_or_none)

    def _update_one(
        self, call: Call, source: dict[str, Any], found: str | None, *, doubled: bool
    ) -> Work:
        sobject = self._type_of(call, source)
        body = {key: value for key, value in source.items() if key.lower() != "id"}

        def update(transaction: Transaction) -> Result:
            if _id_of(source) is None:
                raise SalesforceFault("MISSING_ARGUMENT", "The record has no id")
            if found is None or not found.startswith(sobject.prefix):
                raise SalesforceFault("MALFORMED_ID", f"{_id_of(source)} is no {sobject.name}")
            if doubled:
                raise SalesforceFault("DUPLICATE_VALUE", f"{found} comes twice in the call")
            records.update(self._org, transaction, sobject, found, body)
            return {"id": found, "success": True, "errors": []}

        return update

    def _upsert(self, call: Call, name: str, field: str) -> Reply:
        sobject = self._workspace.sobject(call, name)
        column = records.external_column(call.user, sobject, field)
        sources, all_or_none = self._records(call)
        for source in sources:
            if self._type_of(call, source) is not sobject:
                raise _envelope("All records of an upsert are of the addressed type")
        values = [_value_of(source, column.name) for source in sources]
        seen = Counter(
            index_key(value.strip()) for value in values if isinstance(value, str) and value.strip()
        )

        def one(source: dict[str, Any], value: Any) -> Work:
            body = {key: v for key, v in source.items() if key.lower() != column.name.lower()}

            def upsert(transaction: Transaction) -> Result:
                wanted = normal_id(str(value)) if column.name == "Id" else accept(column, value)
                if wanted is None:
                    raise SalesforceFault(
                        "MISSING_ARGUMENT", f"{column.name} is empty", (column.name,)
                    )
                if seen[index_key(wanted)] > 1:
                    raise SalesforceFault(
                        "DUPLICATE_VALUE", f"{value} comes twice in the call", (column.name,)
                    )
                try:
                    found, created = records.upsert(
                        self._org, transaction, sobject, column, wanted, body
                    )
                except ManyMatches as many:
                    raise SalesforceFault(
                        "DUPLICATE_EXTERNAL_ID", str(many), (column.name,)
                    ) from many
                return {"id": found, "success": True, "errors": [], "created": created}

            return upsert

        work = [one(source, value) for source, value in zip(sources, values, strict=True)]
        extras: list[Result] = [{"created": False} for _ in work]
        return self._run(call, work, extras, all_or_none=all_or_none)

    def _delete(self, call: Call) -> Reply:
        texts = [text.strip() for text in call.query.get("ids", "").split(",") if text.strip()]
        _bounded(len(texts), LARGEST_WRITE)
        seen = Counter(normal_id(text) for text in texts)

        def one(text: str) -> Work:
            def delete(transaction: Transaction) -> Result:
                found = normal_id(text)
                sobject = self._org.schema.by_prefix(found) if found else None
                if found is None or sobject is None:
                    raise SalesforceFault("MALFORMED_ID", f"{text} is no id")
                if seen[found] > 1:
                    raise SalesforceFault("DUPLICATE_VALUE", f"{found} comes twice in the call")
                records.delete(self._org, transaction, sobject, found)
                return {"id": found, "success": True, "errors": []}

            return delete

        extras: list[Result] = [{"id": normal_id(text) or text} for text in texts]
        all_or_none = flag(call.query.get("allOrNone"))
        return self._run(call, [one(text) for text in texts], extras, all_or_none=all_or_none)

    def _retrieve(self, call: Call, name: str) -> Reply:
        sobject = self._workspace.sobject(call, name)
        if call.method == "GET":
            ids = [text for text in call.query.get("ids", "").split(",") if text]
            fields = [text for text in call.query.get("fields", "").split(",") if text]
        else:
            body = call.json_object()
            ids, fields = body.get("ids") or [], body.get("fields") or []
        if not ids or not fields:
            raise _envelope("ids and fields are needed", "MISSING_ARGUMENT")
        _bounded(len(ids), LARGEST_READ)
        columns = chosen(call, sobject, fields)
        return Reply(200, [self._found(call, sobject, text, columns) for text in ids])

    def _found(self, call: Call, sobject: SObject, text: Any, columns: Any) -> Any:
        found = normal_id(str(text))
        if found is None or not found.startswith(sobject.prefix):
            raise SalesforceFault("MALFORMED_ID", f"{text} is no id of {sobject.name}")
        row = self._org.row(sobject.name, found)
        return None if row is None else record_view(call, sobject, row, columns)

    # --- running ---------------------------------------------------------------------------

    def _run(
        self, call: Call, work: list[Work], extras: list[Result], *, all_or_none: bool
    ) -> Reply:
        results: list[Result] = []
        failed = False
        with self._workspace.writing(call) as transaction:
            start = transaction.mark()
            for do, extra in zip(work, extras, strict=True):
                mark = transaction.mark()
                try:
                    results.append(do(transaction))
                except SalesforceFault as fault:
                    transaction.roll_back(mark)
                    results.append(_refused(fault, extra))
                    failed = True
            if failed and all_or_none:
                transaction.roll_back(start)
                innocent = SalesforceFault(
                    "ALL_OR_NONE_OPERATION_ROLLED_BACK", "Another record of the call failed"
                )
                results = [
                    _refused(innocent, extra) if result["success"] else result
                    for result, extra in zip(results, extras, strict=True)
                ]
        return Reply(200, results)

    def _records(self, call: Call) -> tuple[list[dict[str, Any]], bool]:
        body = call.json_object()
        found = body.get("records")
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise SalesforceFault("JSON_PARSER_ERROR", "records is a list of objects")
        unknown = set(body) - {"records", "allOrNone"}
        if unknown:
            raise SalesforceFault("JSON_PARSER_ERROR", f"{sorted(unknown)} are not known here")
        _bounded(len(found), LARGEST_WRITE)
        runs, last = 0, None
        for item in found:
            name = str((item.get("attributes") or {}).get("type")).lower()
            runs, last = runs + (name != last), name
        if runs > MOST_TYPE_RUNS:
            raise _envelope(f"At most {MOST_TYPE_RUNS} runs of one type", "LIMIT_EXCEEDED")
        return found, flag(body.get("allOrNone"))

    def _type_of(self, call: Call, source: dict[str, Any]) -> SObject:
        attributes = source.get("attributes")
        name = attributes.get("type") if isinstance(attributes, dict) else None
        if not isinstance(name, str):
            raise _envelope("Each record names its type")
        found = self._org.schema.find(name)
        if found is None or not call.user.access.may_read(found):
            raise SalesforceFault("INVALID_TYPE", f"There is no object {name}")
        return found


def _bounded(count: int, most: int) -> None:
    if count > most:
        raise _envelope(f"At most {most} records", "LIMIT_EXCEEDED")


def _id_of(source: dict[str, Any]) -> Any:
    return _value_of(source, "id")


def _value_of(source: dict[str, Any], name: str) -> Any:
    wanted = name.lower()
    return next((value for key, value in source.items() if key.lower() == wanted), None)


def _refused(fault: SalesforceFault, extra: Result) -> Result:
    if fault.code == "NOT_FOUND":
        fault = SalesforceFault("INVALID_CROSS_REFERENCE_KEY", fault.message, fault.fields)
    return {**extra, "success": False, "errors": [fault.item()]}
