"""Which Orders the policy hands over, as a SOQL condition."""

from __future__ import annotations

from ml_connector.exchange.systems import Systems
from ml_connector.salesforce.soql import both


def qualifying_order_condition(systems: Systems) -> str:
    """Return the SOQL condition on Order that `policy.orders.qualify` stands for.

    A reduction order never qualifies, whatever the policy says.
    """
    qualify = systems.policy.orders.qualify
    condition = "StatusCode = 'Activated'" if qualify == "activated" else qualify
    has_reductions = systems.salesforce.describe("Order").has("IsReductionOrder")
    return both(condition, "IsReductionOrder = false" if has_reductions else "")
