"""Delete the sales order of an Order that was withdrawn, where the policy says so.

Only an order that Business Central has not touched since it was written is deleted, its ETag
guards the call, and an order that is gone counts as deleted only while no invoice tells otherwise.
"""

from __future__ import annotations

from collections.abc import Callable

from ml_connector.domain.causes import Cause
from ml_connector.domain.decision import Delete, Exclude, Park
from ml_connector.errors import RecordNotFound
from ml_connector.exchange.chains import read_chains
from ml_connector.exchange.expressed import express
from ml_connector.exchange.outcome import Planned
from ml_connector.exchange.systems import Systems
from ml_connector.exchange.write_protocol import Write, Written, enter_decision
from ml_connector.ledger.records import Intent, Record

REMOVED = "removed"
"""Fact of an Order whose sales order was deleted by policy: the id that it had."""

OPERATION = "delete"


def removal(systems: Systems, record: Record, plan: Planned) -> Write:
    """Return the deletion of *record*'s sales order."""
    decision = plan.decision
    if not isinstance(decision, Delete):
        raise ValueError("only a deletion deletes")
    bc_id, number = decision.bc_id, decision.bc_number

    def send(on_send: Callable[[], None]) -> Written:
        try:
            systems.business_central.delete("salesOrders", bc_id, decision.etag, on_send=on_send)
        except RecordNotFound:
            if not is_removed(systems, record):
                raise
        return Written(bc_id, number, None)

    def look(_: Intent) -> Written | Park | None:
        gone = is_removed(systems, record)
        return Written(bc_id, number, None, adopted=True) if gone else None

    return Write(OPERATION, bc_id, {}, send, look, decision.before, decision.rule)


def is_removed(systems: Systems, record: Record) -> bool:
    """Tell whether BC has neither the sales order of *record* nor an invoice of it."""
    chain = read_chains(systems, [record])[record.key]
    return chain.order is None and not chain.invoices


def forget_partner(systems: Systems, record: Record) -> None:
    """Let *record* stand as left out without a partner, and Salesforce show none. In memory."""
    message = (
        f"Order {record.salesforce_number or record.key} was withdrawn in Salesforce; sales order "
        f"{record.bc_number} was deleted in Business Central."
    )
    record.facts[REMOVED] = record.bc_id.lower()
    record.bc_id = record.bc_number = record.bc_stamp = ""
    record.sent = None
    record.wanted = {name: None for name in record.wanted if name.startswith("BC_")}
    enter_decision(systems, record, Exclude(Cause.WITHDRAWN, message))
    express(record)
