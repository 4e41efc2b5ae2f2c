"""Which Orders the policy hands over, as a SOQL condition."""

from __future__ import annotations

from ml_connector.exchange.systems import Systems


def qualifying_order_condition(systems: Systems) -> str:
    """Return the SOQL condition on Order that `policy.orders.qualify` stands for."""
    policy = systems.policy.orders
    if policy.qualify != "activated":
        return policy.qualify
    condition = "StatusCode = 'Activated'"
    if systems.salesforce.describe("Order").has("IsReductionOrder"):
        condition += " AND IsReductionOrder = false"
    return condition
