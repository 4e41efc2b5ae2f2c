"""A Salesforce client that reads for real and keeps every write to itself."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid5

from ml_connector.domain.clock import Clock
from ml_connector.domain.identifiers import eighteen
from ml_connector.exchange.placeholders import NAMESPACE
from ml_connector.salesforce.client import RecordResult, SalesforceClient
from ml_connector.salesforce.settings import SalesforceSettings

RECORDS_PER_CALL = 200


class RehearsedSalesforce(SalesforceClient):
    """Answers writes as Salesforce would when all goes well; none of them leaves this computer.

    `written` lists (sobject, body) in order; `pretended` counts the calls that were not made.
    """

    def __init__(self, settings: SalesforceSettings, clock: Clock) -> None:
        super().__init__(settings, clock)
        self._wire.read_only = True
        self.written: list[tuple[str, Mapping[str, Any]]] = []
        self.pretended: Counter[tuple[str, str]] = Counter()
        self._writing = threading.Lock()

    def update_records(
        self, sobject: str, records: Sequence[Mapping[str, Any]]
    ) -> list[RecordResult]:
        """Keep the changes; every record takes them."""
        self._keep("PATCH", "update", sobject, records)
        return [_taken(str(record["Id"]), created=None) for record in records]

    def upsert_records(
        self, sobject: str, external_id_field: str, records: Sequence[Mapping[str, Any]]
    ) -> list[RecordResult]:
        """Keep the changes; every record is found, but products, which are created this way."""
        self._keep("PATCH", "upsert", sobject, records)
        creates = sobject == "Product2"
        return [
            _taken(_new_id(sobject, str(record[external_id_field])), created=creates)
            for record in records
        ]

    def create_records(
        self, sobject: str, records: Sequence[Mapping[str, Any]]
    ) -> list[RecordResult]:
        """Keep the new records."""
        self._keep("POST", "create", sobject, records)
        return [_taken(_new_id(sobject, repr(record)), created=True) for record in records]

    def delete_records(self, ids: Sequence[str]) -> list[RecordResult]:
        """Keep the deletion."""
        self._keep("DELETE", "delete", "", [{"Id": each} for each in ids])
        return [_taken(each, created=None) for each in ids]

    def _keep(
        self, method: str, kind: str, sobject: str, records: Sequence[Mapping[str, Any]]
    ) -> None:
        with self._writing:
            self.written += [(sobject, dict(record)) for record in records]
            self.pretended[(method, kind)] += -(-len(records) // RECORDS_PER_CALL)


def _taken(record_id: str, *, created: bool | None) -> RecordResult:
    return RecordResult(id=record_id, success=True, created=created, errors=())


def _new_id(sobject: str, natural_key: str) -> str:
    """Return an id in Salesforce's form for a record that does not exist."""
    return eighteen("zzz" + uuid5(NAMESPACE, f"{sobject} {natural_key}").hex[:12])
