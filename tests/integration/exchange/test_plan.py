"""A plan: everything a sync would do, without a trace in either system or in the ledger."""

from collections import Counter
from decimal import Decimal
from typing import Any

from ml_connector.exchange.plan import Plan, make_plan
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.run_ids import RunIds


def planned(connected: Any) -> Plan:
    """Return the plan of a sync now."""
    with Systems.open(connected.settings, RunIds(flow_run_id="plan")) as systems:
        return make_plan(systems)


def ledger_content(connected: Any) -> list[Any]:
    """Return everything the ledger knows about the connection."""
    with Systems.open(connected.settings) as systems:
        ledger = systems.ledger
        return [
            [record for page in ledger.iterate() for record in page],
            ledger.checkpoints(),
            ledger.change_counts(),
            ledger.last_change_id(),
            ledger.verify_audit(),
            ledger.last_run("sync"),
        ]


def of_kind(plan: Plan, action: str) -> Counter[str]:
    """Return how many records of each kind the plan would act on."""
    return Counter(str(change.kind) for change in plan.changes if change.action == action)


def test_a_plan_of_a_first_sync_says_what_the_sync_then_does(connected: Any) -> None:
    """Creates, links, waits and parks of a plan are those of the sync that follows."""
    plan = planned(connected)

    assert connected.writes() == []
    report = connected.sync()

    assert plan.report.counts == report.counts
    assert plan.report.by_kind == report.by_kind
    stuck = {
        (row["kind"], row["salesforce_id"]): (row["state"], row["cause"], row["message"])
        for row in report.records
        if row["state"] in ("waiting", "parked")
    }
    foreseen = {
        (row["kind"], row["salesforce_id"]): (row["state"], row["cause"], row["message"])
        for row in plan.report.records
        if row["state"] in ("waiting", "parked")
    }
    assert foreseen == stuck
    created = Counter(row["entity"] for row in connected.writes() if row["operation"] == "create")
    creates = of_kind(plan, "create")
    assert created["salesOrders"] == creates["order"] > 30
    assert created["customers"] == creates["customer"]
    assert creates["contact"] == report.by_kind["contact"]["written"]


def test_a_plan_leaves_the_ledger_as_it_was(connected: Any) -> None:
    """Records, checkpoints, inbox, audit and runs are the same after a plan."""
    connected.sync()
    connected.act("business-central", "create_item", number="PROTO-0", displayName="Prototype")
    before = ledger_content(connected)
    written = len(connected.writes())

    plan = planned(connected)

    assert ledger_content(connected) == before
    assert len(connected.writes()) == written
    assert of_kind(plan, "create")["order"] == 1


def test_a_plan_tells_what_it_costs(connected: Any) -> None:
    """The calls a plan foresees on each side are those the sync makes, but for a few."""
    plan = planned(connected)
    connected.reset_traffic()
    connected.sync()

    made = connected.traffic()
    for system, foreseen in plan.calls.items():
        told = foreseen["total"]
        actual = made[system.replace("_", "-")] if system not in made else made[system]
        assert abs(told - actual) <= max(3, actual // 20), (system, told, actual)


def test_a_plan_tells_what_postings_and_edits_cost(connected: Any) -> None:
    """What the rehearsal looks up for itself is no call of the run."""
    connected.sync()
    handed = [row for row in connected.salesforce("Order") if row.get("BC_Order_Id__c")]
    for order in handed[:15]:
        connected.act("business-central", "draft_invoice", order=order["BC_Order_Number__c"])
    for order in handed[15:18]:
        line = connected.salesforce("OrderItem", OrderId=order["Id"])[0]
        connected.act("salesforce", "draft_order", order=order["Id"])
        edit = {"sobject": "OrderItem", "record": line["Id"], "fields": {"Quantity": 99}}
        connected.act("salesforce", "edit", **edit)
        connected.act("salesforce", "activate_order", order=order["Id"])

    plan = planned(connected)
    connected.reset_traffic()
    connected.sync()

    assert plan.actions["post"] == 15
    assert plan.actions["update"] > 0
    made = connected.traffic()["business-central"]
    assert abs(plan.calls["business_central"]["total"] - made) <= max(3, made // 20)


def test_a_plan_of_shipping_tells_what_it_costs(connected: Any) -> None:
    """Each order is read, posted and read again, as the run does it."""
    connected.sync()
    ours = connected.with_policy(invoices={"posting": "ship_and_invoice"})

    plan = planned(ours)
    ours.reset_traffic()
    ours.sync()

    made = ours.traffic()["business-central"]
    assert plan.actions["ship_and_invoice"] > 30
    assert abs(plan.calls["business_central"]["total"] - made) <= max(3, made // 20)


def test_a_plan_shows_an_edit_field_by_field_and_its_money(connected: Any) -> None:
    """A changed quantity shows as an update of the order's lines, with net before and after."""
    connected.sync()
    order = next(row for row in connected.salesforce("Order") if row.get("BC_Order_Id__c"))
    line = connected.salesforce("OrderItem", OrderId=order["Id"])[0]
    connected.act("salesforce", "draft_order", order=order["Id"])
    fields = {"Quantity": 99}
    connected.act("salesforce", "edit", sobject="OrderItem", record=line["Id"], fields=fields)
    connected.act("salesforce", "activate_order", order=order["Id"])

    plan = planned(connected)

    (change,) = [each for each in plan.changes if each.action == "update"]
    assert change.salesforce_number == order["OrderNumber"]
    assert "salesOrderLines" in change.after
    (money,) = [row for row in plan.money if row["orders_changed"]]
    assert money["changed_net_before"] == Decimal(str(order["TotalAmount"]))
    assert money["changed_net_after"] != money["changed_net_before"]


def test_a_plan_of_postings_says_what_they_make_of_the_orders(connected: Any) -> None:
    """A draft that would be posted shows with its amount, and so does the order's status."""
    connected.sync()
    orders = [row for row in connected.salesforce("Order") if row.get("BC_Order_Id__c")][:2]
    for order in orders:
        connected.act("business-central", "draft_invoice", order=order["BC_Order_Number__c"])

    plan = planned(connected)
    connected.sync()

    assert plan.actions["post"] == 2
    assert sum(row["invoices_posted"] for row in plan.money) == 2
    foreseen = {
        change.salesforce_id: change.after
        for change in plan.changes
        if change.action == "show" and change.kind == "order"
    }
    for order in orders:
        (row,) = connected.salesforce("Order", Id=order["Id"])
        shown = foreseen[order["Id"]]
        for name in ("BC_Order_Status__c", "BC_Payment_Status__c", "BC_Invoiced_Percent__c"):
            assert str(shown[name]).rstrip("0").rstrip(".") == str(row[name]).rstrip("0").rstrip(
                "."
            )
        assert Decimal(str(shown["BC_Invoiced_Amount__c"])) == Decimal(
            str(row["BC_Invoiced_Amount__c"])
        )


def test_a_plan_of_shipping_and_invoicing_follows_the_orders_to_their_end(connected: Any) -> None:
    """Where the policy ships and invoices, the plan foresees the invoices and their status."""
    ours = connected.with_policy(invoices={"posting": "ship_and_invoice"})

    plan = planned(ours)
    ours.sync()

    handed = [row for row in ours.salesforce("Order") if row.get("BC_Order_Id__c")]
    assert plan.actions["ship_and_invoice"] == len(handed)
    shown = [
        change.after.get("BC_Order_Status__c")
        for change in plan.changes
        if change.action == "show" and change.kind == "order"
    ]
    assert shown.count("Invoiced") == len(handed)


def test_a_plan_of_shipping_and_invoicing_says_what_it_would_post(connected: Any) -> None:
    """Per currency as many invoices and as much with tax as the run then posts."""
    connected.sync()
    partly = [row for row in connected.salesforce("Order") if row.get("BC_Order_Id__c")][:3]
    for order in partly:
        posting = {"order": order["BC_Order_Number__c"], "share": "0.5"}
        connected.act("business-central", "ship_and_invoice", **posting)
    before = {row["id"] for row in connected.business_central("salesInvoices")}
    ours = connected.with_policy(invoices={"posting": "ship_and_invoice"})

    plan = planned(ours)
    ours.sync()

    posted: Counter[str] = Counter()
    amounts: dict[str, Decimal] = {}
    local = ours.settings.business_central.local_currency
    for row in ours.business_central("salesInvoices"):
        if row["id"] not in before:
            currency = row["currencyCode"] or local
            posted[currency] += 1
            amount = Decimal(str(row["totalAmountIncludingTax"]))
            amounts[currency] = amounts.get(currency, Decimal(0)) + amount
    foreseen = {row["currency"]: row for row in plan.money if row["invoices_posted"]}
    assert {name: row["invoices_posted"] for name, row in foreseen.items()} == posted
    assert {name: row["posted_including_tax"] for name, row in foreseen.items()} == amounts
