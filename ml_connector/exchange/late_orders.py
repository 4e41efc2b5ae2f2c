"""A sales order that was sent too late: another worker had taken the Order over and written it.

The last look at the clock keeps all but microseconds of such writes from leaving (send_deadline).
What left all the same is known by its answer, so it is taken back at once.
"""

from __future__ import annotations

import logging

from ml_connector.business_central.models import SalesOrder, parse
from ml_connector.domain.identifiers import Kind
from ml_connector.errors import ConnectorError
from ml_connector.exchange.systems import Systems
from ml_connector.exchange.write_protocol import Direction, Written, audit, fresh_record
from ml_connector.ledger.records import Record

log = logging.getLogger("ml_connector")

RULE = "written_by_another_worker"


def take_back(systems: Systems, key: str, late: Written) -> None:
    """Delete the sales order *late* when the Order *key* is linked to another one.

    Only an order nobody has worked on goes; its ETag guards the call. Never raises: what cannot be
    taken back is logged, and `reconcile` finds it.
    """
    record = fresh_record(systems, Kind.ORDER, key)
    if record.bc_id == late.bc_id:
        return
    name = f"Order {record.salesforce_number or key}"
    try:
        problem = _deleted(systems, record, late)
    except ConnectorError as fault:
        problem = fault.message
    if problem:
        log.error(
            "%s: sales order %s was written too late, after another worker had taken over; it was "
            "not deleted: %s. Run reconcile, and delete it in Business Central if it is double.",
            name, late.bc_number, problem,
        )  # fmt: skip
    else:
        log.warning(
            "%s: sales order %s was written too late and is deleted; %s is the one.",
            name, late.bc_number, record.bc_number,
        )  # fmt: skip


def _deleted(systems: Systems, record: Record, late: Written) -> str:
    """Delete it; returns why not, "" when it is gone."""
    if not record.bc_id:
        return "the other worker has not finished"
    bc = systems.business_central
    order = parse(SalesOrder, bc.fetch("salesOrders", late.bc_id, expand="salesOrderLines"))
    if order.status != "Draft" or any(line.shipped_quantity for line in order.lines):
        return "somebody works on it"
    bc.delete("salesOrders", order.id, order.etag)
    before = {"id": late.bc_id, "number": late.bc_number, "total": order.total_amount_excluding_tax}
    with systems.ledger.transaction() as tx:
        audit(
            tx,
            systems,
            record,
            direction=Direction.TO_BUSINESS_CENTRAL,
            action="delete",
            rule=RULE,
            outcome="done",
            before=before,
            request_id=bc.wire.last_write,
        )
    return ""
