"""Preflight of Orders in Salesforce: what counts as closed, and who may still edit those."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from ml_connector.exchange.check_line import CheckLine, Level, examined, fine
from ml_connector.exchange.salesforce_record_checks import PERMISSION_SET
from ml_connector.exchange.systems import Systems
from ml_connector.salesforce.soql import select

PERMISSION = "EditActivatedOrders"


def order_lines(systems: Systems) -> list[CheckLine]:
    """Examine the statuses of Orders and the permission to edit activated ones."""
    return [
        *examined("salesforce_order_status", "The statuses of Orders", partial(_statuses, systems)),
        *examined(
            "salesforce_edit_activated_orders",
            "Whether the run-as user may edit activated Orders",
            partial(_edit_activated, systems),
        ),
    ]


def _statuses(systems: Systems) -> Iterator[CheckLine]:
    """Which statuses close an Order, by Salesforce's own list of them."""
    if systems.policy.orders.qualify != "activated":
        return
    code = "salesforce_order_status"
    rows = systems.salesforce.query_rows(select("OrderStatus", ["ApiName", "StatusCode"]))
    closing = [str(row.get("ApiName")) for row in rows if row.get("StatusCode") == "Activated"]
    if closing:
        yield fine(code, f"Orders in status {', '.join(sorted(closing))} are handed over.")
        return
    yield CheckLine(
        code,
        Level.WARNING,
        "No status of Order is of the category Activated: none will be handed over.",
        "Give a status the category Activated, or set qualify of [policy.orders] to a condition.",
        "Setup → Object Manager → Order → Fields & Relationships → Status",
    )


def _edit_activated(systems: Systems) -> Iterator[CheckLine]:
    """Ask for the run-as user's own permission: no right to view the set-up is needed for it.

    Source: Object Reference, "UserPermissionAccess".
    """
    code = "salesforce_edit_activated_orders"
    field = f"Permissions{PERMISSION}"
    rows = systems.salesforce.query_rows(select("UserPermissionAccess", [field]))
    held = [row.get(field) for row in rows]
    if True in held:
        yield fine(code, "The run-as user may edit activated Orders.")
    elif False in held:
        yield CheckLine(
            code,
            Level.BLOCKING,
            "The run-as user may not edit activated Orders: no status could be written to them.",
            "Give the run-as user the permission Edit Activated Orders, which the package's "
            "permission set holds.",
            f"{PERMISSION_SET} → System Permissions",
        )
    else:
        yield CheckLine(
            f"{code}_not_examined",
            Level.NOTICE,
            "Whether the run-as user may edit activated Orders could not be examined.",
        )
