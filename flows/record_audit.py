"""The whole life of one record on both sides, left as an artifact."""

from __future__ import annotations

from typing import Any

from prefect import flow

from flows.connection_name import ConnectionName
from tasks.audit import publish_audit, read_audit
from tasks.batches import Scope
from tasks.open_systems import open_systems


@flow(name="audit-record", flow_run_name="{connection}: {record}", persist_result=False)
async def audit_record(connection: ConnectionName, record: str) -> dict[str, Any]:
    """Show everything that was decided and written about one record, and in which run.

    Reads the ledger only. Leaves a text with links to both systems and to the runs, and a table
    with what each entry changed.

    Args:
        connection: Name of the connection, as saved by ml-connector connect.
        record: Id or number of the record in Salesforce or Business Central.
    """
    async with open_systems(connection, "read-only") as systems:
        scope = Scope(systems)
        document = await read_audit(scope, record)
        await publish_audit(scope, document)
        return document
