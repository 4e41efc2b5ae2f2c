"""Reconcile on the sandbox: silent on quiet data, finds what was planted, heals what is ours."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from ml_connector.domain.identifiers import Kind
from ml_connector.exchange.findings import Finding, Reconciliation, Side
from ml_connector.exchange.reconciliation import reconcile
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.run_ids import RunIds


def reconciled(connected: Any, *, heal: bool = True) -> Reconciliation:
    """Reconcile the connection once."""
    with Systems.open(connected.settings, RunIds(flow_run_id="reconcile-run")) as systems:
        return reconcile(systems, heal=heal)


@pytest.fixture
def synced(connected: Any) -> Any:
    """A connection whose first sync is done."""
    connected.sync()
    return connected


def an_order(connected: Any, place: int = 0) -> dict[str, Any]:
    """Return one handed-over Order in the company's own currency."""
    found = [
        row
        for row in connected.salesforce("Order")
        if row.get("BC_Order_Id__c") and row["CurrencyIsoCode"] == "USD"
    ]
    return sorted(found, key=lambda row: row["OrderNumber"])[place]


def about(report: Reconciliation, what: str) -> list[Finding]:
    """Return the differences of one code."""
    return [each for each in report.findings if each.what == what]


def new(report: Reconciliation, before: Reconciliation) -> list[Finding]:
    """Return the differences that were not there before."""
    known = {(each.kind, each.key, each.what, each.field) for each in before.findings}
    return [
        each
        for each in report.findings
        if (each.kind, each.key, each.what, each.field) not in known
    ]


def test_quiet_data_agree(new_sandbox: Any, connect: Any) -> None:
    """With nothing parked there is no difference, and the money is equal to the cent."""
    quiet = connect(new_sandbox("--plain", "--orders", "60"))
    quiet.sync()

    report = reconciled(quiet)

    assert report.findings == []
    assert report.agree
    assert report.pairs == len(
        [row for row in quiet.salesforce("Order") if row.get("BC_Order_Id__c")]
    )
    document = report.to_json()
    assert document["money"]
    assert all(Decimal(each["difference"]) == 0 for each in document["money"])


def test_a_busy_day_agrees_after_its_sync(new_sandbox: Any, connect: Any) -> None:
    """Shipped, invoiced in part, paid, credited: once synced, nothing differs."""
    busy = connect(new_sandbox("--plain", "--orders", "30"))
    busy.sync()
    numbers = [
        row["BC_Order_Number__c"]
        for row in busy.salesforce("Order")
        if row.get("BC_Order_Number__c")
    ]
    busy.act("business-central", "ship", order=numbers[0], share=0.5)
    busy.act("business-central", "ship_and_invoice", order=numbers[1], share=0.5)
    for number in numbers[2:6]:
        busy.act("business-central", "ship_and_invoice", order=number)
    busy.act("business-central", "draft_invoice", order=numbers[6])
    invoices = {row["orderNumber"]: row["number"] for row in busy.business_central("salesInvoices")}
    busy.act("business-central", "pay", invoice=invoices[numbers[2]])
    busy.act("business-central", "pay", invoice=invoices[numbers[3]], amount="1.00")
    busy.act("business-central", "credit", invoice=invoices[numbers[4]], amount="1.00")
    busy.sync()

    report = reconciled(busy)

    assert report.findings == []
    assert {state for state, _ in report.states} >= {"Invoiced", "Partly Shipped"}


def test_only_what_status_lists_differs_after_a_sync(synced: Any) -> None:
    """Parked and waiting records are differences, nothing else is, and nothing is written."""
    before = len(synced.writes())

    report = reconciled(synced)

    with Systems.open(synced.settings) as systems:
        stuck = {
            (record.kind, record.key)
            for page in systems.ledger.iterate(states=("waiting", "parked"))
            for record in page
        }
    found = {(each.kind, each.key) for each in report.findings if each.side is Side.THEIRS}
    assert found == stuck
    assert not [each for each in report.findings if each.side is Side.OURS]
    assert len(synced.writes()) == before


def test_an_order_made_by_hand_with_the_same_reference_is_found(synced: Any) -> None:
    """A second sales order with an Order's number is theirs to decide and counts in the money."""
    before = reconciled(synced)
    order = an_order(synced)
    item = synced.business_central("items")[0]
    synced.act(
        "business-central",
        "create_order",
        customerNumber=an_account(synced, order)["BC_Customer_Number__c"],
        externalDocumentNumber=order["OrderNumber"],
        salesOrderLines=[{"itemId": item["id"], "quantity": 1, "unitPrice": 5}],
    )

    (found,) = new(reconciled(synced), before)

    assert (found.side, found.what) == (Side.THEIRS, "duplicate_reference")
    assert found.salesforce_number == order["OrderNumber"]


def test_the_documents_of_another_order_with_the_same_reference_are_no_doubles(
    connected: Any,
) -> None:
    """Two Orders under one PO number, one of them invoiced, differ in nothing; a third does."""
    ours = connected.with_policy(orders={"reference": "po_number"})
    ours.sync()
    before = reconciled(ours)
    ours.two_orders("PO-4711")
    ours.sync()
    first, second = ours.orders_by_reference()["PO-4711"]

    both_open = reconciled(ours)
    ours.act("business-central", "ship_and_invoice", order=first["number"])
    ours.sync()
    one_invoiced = reconciled(ours)

    for report in (both_open, one_invoiced):
        assert about(report, "duplicate_reference") == []
        assert gap(report) == gap(before)
    ours.act(
        "business-central",
        "create_order",
        customerNumber=second["customerNumber"],
        externalDocumentNumber="PO-4711",
        salesOrderLines=[
            {"itemId": ours.business_central("items")[0]["id"], "quantity": 1, "unitPrice": 5}
        ],
    )
    assert len(about(reconciled(ours), "duplicate_reference")) == 2


def an_account(connected: Any, order: dict[str, Any]) -> dict[str, Any]:
    """Return the Account of an Order."""
    (row,) = connected.salesforce("Account", Id=order["AccountId"])
    return row


def test_a_line_edited_in_bc_is_found(synced: Any) -> None:
    """A changed quantity is theirs, with the line and both values."""
    before = reconciled(synced)
    order = an_order(synced)
    synced.act(
        "business-central",
        "edit_order_line",
        order=order["BC_Order_Number__c"],
        sequence=10000,
        fields={"quantity": 77},
    )

    found = new(reconciled(synced), before)

    assert {each.side for each in found} == {Side.THEIRS}
    (line,) = [each for each in found if each.field == "quantity"]
    assert line.business_central == 77
    assert "line 1" in line.where
    assert [each.what for each in found if each.field == "totalAmountExcludingTax"] == ["total"]


def test_an_invoice_paid_in_part_is_shown_again(synced: Any) -> None:
    """A payment that no sync has seen is ours: found, written, and gone at the next look."""
    order = an_order(synced)
    synced.act("business-central", "ship_and_invoice", order=order["BC_Order_Number__c"])
    synced.sync()
    before = reconciled(synced)
    (invoice,) = synced.business_central("salesInvoices", orderNumber=order["BC_Order_Number__c"])
    synced.act("business-central", "pay", invoice=invoice["number"], amount="1.00")

    found = new(reconciled(synced), before)

    assert {each.field for each in found} >= {"BC_Open_Amount__c", "BC_Paid_Amount__c"}
    assert all(each.side is Side.OURS and each.healed for each in found)
    (row,) = synced.salesforce("Order", Id=order["Id"])
    assert Decimal(str(row["BC_Paid_Amount__c"])) == 1
    assert new(reconciled(synced), before) == []


def test_an_overwritten_status_field_and_a_deleted_link_are_healed(synced: Any) -> None:
    """What a person overwrote in Salesforce is written again, External Id included."""
    before = reconciled(synced)
    overwritten, unlinked = an_order(synced, 0), an_order(synced, 1)
    synced.act(
        "salesforce",
        "edit",
        sobject="Order",
        record=overwritten["Id"],
        fields={"BC_Order_Status__c": "Delivered"},
    )
    synced.act(
        "salesforce",
        "edit",
        sobject="Order",
        record=unlinked["Id"],
        fields={"BC_Order_Id__c": None},
    )

    found = new(reconciled(synced), before)

    assert {(each.what, each.field) for each in found} == {
        ("field", "BC_Order_Status__c"),
        ("link_missing", "BC_Order_Id__c"),
    }
    assert all(each.healed for each in found)
    (first,) = synced.salesforce("Order", Id=overwritten["Id"])
    (second,) = synced.salesforce("Order", Id=unlinked["Id"])
    assert first["BC_Order_Status__c"] == overwritten["BC_Order_Status__c"]
    assert second["BC_Order_Id__c"] == unlinked["BC_Order_Id__c"]


def test_a_deleted_link_of_account_and_product_is_healed(synced: Any) -> None:
    """The External Ids of Account and Product2 come back as well."""
    before = reconciled(synced)
    account = next(row for row in synced.salesforce("Account") if row["BC_Customer_Id__c"])
    product = next(row for row in synced.salesforce("Product2") if row["BC_Item_Id__c"])
    for sobject, row, field in (
        ("Account", account, "BC_Customer_Id__c"),
        ("Product2", product, "BC_Item_Id__c"),
    ):
        synced.act("salesforce", "edit", sobject=sobject, record=row["Id"], fields={field: None})

    found = new(reconciled(synced), before)

    assert sorted(each.kind for each in found) == ["customer", "item"]
    assert all(each.healed and each.what == "link_missing" for each in found)
    (again,) = synced.salesforce("Account", Id=account["Id"])
    assert again["BC_Customer_Id__c"] == account["BC_Customer_Id__c"]


def test_a_doubled_customer_is_found(synced: Any) -> None:
    """A second customer of the same name is theirs to decide, and blocking it is the cure."""
    before = reconciled(synced)
    account = an_account(synced, an_order(synced))
    (customer,) = [
        row
        for row in synced.business_central("customers")
        if row["number"] == account["BC_Customer_Number__c"]
    ]
    synced.act("business-central", "create_customer", displayName=customer["displayName"])

    (found,) = new(reconciled(synced), before)

    assert (found.side, found.what) == (Side.THEIRS, "doubled_customer")
    assert found.salesforce_id == account["Id"]
    twin = found.business_central
    synced.act("business-central", "block_customer", customer=twin, blocked="Invoice")
    assert [each.what for each in new(reconciled(synced), before)] == ["doubled_customer"]
    synced.act("business-central", "block_customer", customer=twin)
    assert new(reconciled(synced), before) == []


def test_a_deleted_sales_order_is_told_from_an_invoiced_one(synced: Any) -> None:
    """Gone without an invoice is a difference; gone because it was invoiced is none."""
    deleted, invoiced = an_order(synced, 0), an_order(synced, 1)
    synced.act("business-central", "delete_order", order=deleted["BC_Order_Number__c"])
    synced.act("business-central", "ship_and_invoice", order=invoiced["BC_Order_Number__c"])
    synced.sync()

    report = reconciled(synced)

    (found,) = about(report, "deleted_in_bc")
    assert found.salesforce_number == deleted["OrderNumber"]
    assert not [each for each in report.findings if each.key == invoiced["Id"]]


def gap(report: Reconciliation) -> Decimal:
    """Return by how much the money of both sides differs in the company's own currency."""
    return report.net["USD"].salesforce - report.net["USD"].business_central


@pytest.mark.parametrize("policy", ["park", "keep"])
def test_a_withdrawn_order_whose_sales_order_was_deleted_is_over(synced: Any, policy: str) -> None:
    """Cured as the remedy says, it is no difference and not in the sums, synced or not."""
    ours = synced.with_policy(orders={"on_cancel": policy})
    before = reconciled(ours)
    order = an_order(ours)
    ours.act("salesforce", "draft_order", order=order["Id"])
    ours.sync()
    ours.act("business-central", "delete_order", order=order["BC_Order_Number__c"])

    deleted = reconciled(ours)
    ours.sync()
    settled = reconciled(ours)

    for report in (deleted, settled):
        found = [each for each in report.findings if each.key == order["Id"]]
        assert {each.what for each in found if each.side is Side.EXCLUDED} == {"withdrawn"}
        assert not [each for each in found if each.side is Side.THEIRS]
        assert report.net["USD"].salesforce == before.net["USD"].salesforce - Decimal(
            str(order["TotalAmount"])
        )
        assert gap(report) == gap(before)
    assert [each.side for each in settled.findings if each.key == order["Id"]] == [Side.EXCLUDED]


def test_without_healing_nothing_is_written(synced: Any) -> None:
    """A look only reports; the same differences are there at the next look."""
    order = an_order(synced)
    synced.act(
        "salesforce",
        "edit",
        sobject="Order",
        record=order["Id"],
        fields={"BC_Paid_Amount__c": "12.34"},
    )
    before = len(synced.writes())

    first = reconciled(synced, heal=False)
    second = reconciled(synced, heal=False)

    assert len(about(first, "field")) == len(about(second, "field")) == 1
    assert not about(first, "field")[0].healed
    assert len(synced.writes()) == before


def test_the_evidence_is_in_the_audit(synced: Any) -> None:
    """The run's entries tell the sums and every record that needs somebody."""
    report = reconciled(synced)

    with Systems.open(synced.settings) as systems:
        entries = systems.ledger.audit_of_run("reconcile-run")
        assert systems.ledger.verify_audit().ok
    (whole,) = [entry for entry in entries if not entry.key]
    assert whole.outcome == "differ"
    assert (whole.after or {})["pairs"] == report.pairs
    theirs = {each.key for each in report.findings if each.side is Side.THEIRS}
    assert {entry.key for entry in entries if entry.key} == theirs


def test_bulk_jobs_give_the_same_result(synced: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read by bulk jobs or by query, the comparison comes to the same."""
    plain = reconciled(synced).to_json()
    monkeypatch.setattr("ml_connector.exchange.company_copy.BULK_ABOVE", 0)

    bulk = reconciled(synced).to_json()

    assert bulk["pairs_by_kind"] == plain["pairs_by_kind"]
    assert bulk["differences"] == plain["differences"]
    assert bulk["money"] == plain["money"]


def test_a_lost_ledger_is_found_and_the_next_sync_links_again(synced: Any, tmp_path: Any) -> None:
    """With an empty ledger every link is unknown; nothing is written twice afterwards."""
    orders = len(synced.business_central("salesOrders"))
    for file in tmp_path.glob("ledger.db*"):
        file.unlink()

    report = reconciled(synced)
    synced.sync()

    unknown = [each for each in about(report, "link_unknown") if each.kind is Kind.ORDER]
    assert len(unknown) == orders
    assert len(synced.business_central("salesOrders")) == orders


def a_linked(connected: Any, sobject: str, field: str, place: int = 0) -> dict[str, Any]:
    """Return a linked record of Salesforce."""
    rows = [row for row in connected.salesforce(sobject) if row.get(field)]
    return sorted(rows, key=lambda row: str(row["Id"]))[place]


def test_a_customer_and_a_contact_edited_in_bc_are_found(synced: Any) -> None:
    """A mapped property that BC changed is theirs to decide, names both values, and stays found."""
    before = reconciled(synced)
    account = a_linked(synced, "Account", "BC_Customer_Id__c")
    contact = a_linked(synced, "Contact", "BC_Contact_Id__c")
    customer, person = account["BC_Customer_Id__c"], contact["BC_Contact_Id__c"]
    synced.act(
        "business-central",
        "edit",
        entity="customers",
        record=customer,
        fields={"city": "Elsewhere"},
    )
    synced.act(
        "business-central", "edit", entity="contacts", record=person, fields={"jobTitle": "Boss"}
    )

    found = new(reconciled(synced), before)

    assert sorted((each.kind, each.field, each.what) for each in found) == [
        (Kind.CONTACT, "jobTitle", "edited_in_bc"),
        (Kind.CUSTOMER, "city", "edited_in_bc"),
    ]
    assert {each.side for each in found} == {Side.THEIRS}
    (city,) = [each for each in found if each.kind is Kind.CUSTOMER]
    assert (city.salesforce, city.business_central) == (account["BillingCity"], "Elsewhere")
    assert city.salesforce_id == account["Id"]
    synced.act(
        "salesforce", "edit", sobject="Account", record=account["Id"], fields={"Phone": "555 0101"}
    )
    synced.sync()
    again = new(reconciled(synced), before)
    assert {(each.kind, each.field) for each in again} == {
        (Kind.CONTACT, "jobTitle"), (Kind.CUSTOMER, "city"),
    }  # fmt: skip


def test_the_same_value_in_salesforce_ends_a_difference_in_content(synced: Any) -> None:
    """When Salesforce takes over what BC has, both sides agree again."""
    before = reconciled(synced)
    account = a_linked(synced, "Account", "BC_Customer_Id__c")
    synced.act(
        "business-central",
        "edit",
        entity="customers",
        record=account["BC_Customer_Id__c"],
        fields={"city": "Elsewhere"},
    )
    assert new(reconciled(synced), before)
    synced.act(
        "salesforce",
        "edit",
        sobject="Account",
        record=account["Id"],
        fields={"BillingCity": "Elsewhere"},
    )
    synced.sync()

    assert new(reconciled(synced), before) == []


def test_a_change_of_an_account_that_was_missed_is_ours(synced: Any) -> None:
    """What Salesforce changed and nobody carried over goes through with the next sync."""
    before = reconciled(synced)
    account = a_linked(synced, "Account", "BC_Customer_Id__c")
    fields = {"BillingCity": "Newtown"}
    synced.act("salesforce", "edit", sobject="Account", record=account["Id"], fields=fields)
    with Systems.open(synced.settings) as systems:
        point = systems.ledger.checkpoint("salesforce/Account")
        with systems.ledger.transaction() as tx:  # the change was missed: the feed is past it
            tx.move_checkpoint("salesforce/Account", point.position, far_from_now(systems))

    (found,) = new(reconciled(synced), before)

    assert (found.side, found.what, found.field) == (Side.OURS, "content", "city")
    synced.sync()
    (customer,) = [
        row
        for row in synced.business_central("customers")
        if row["id"] == account["BC_Customer_Id__c"]
    ]
    assert customer["city"] == "Newtown"
    assert new(reconciled(synced), before) == []


def far_from_now(systems: Systems) -> Any:
    """Return a time that no change of the test reaches."""
    return systems.clock.now() + timedelta(days=1)


def test_what_bc_kept_at_the_link_is_left_out_by_rule(connected: Any) -> None:
    """A value that BC had before the link is no difference; one changed since is."""
    account = next(
        row
        for row in connected.salesforce("Account")
        if any(
            row.get("AccountNumber") == each["number"]
            for each in connected.business_central("customers")
        )
    )
    (customer,) = [
        row
        for row in connected.business_central("customers")
        if row["number"] == account["AccountNumber"]
    ]
    connected.act(
        "business-central",
        "edit",
        entity="customers",
        record=customer["id"],
        fields={"displayName": f"{customer['displayName'].strip()} Holding"},
    )
    connected.sync()

    report = reconciled(connected)

    (kept,) = [each for each in report.findings if each.field == "displayName"]
    assert (kept.side, kept.what, kept.key) == (Side.EXCLUDED, "kept_in_bc", account["Id"])
    connected.act(
        "business-central",
        "edit",
        entity="customers",
        record=customer["id"],
        fields={"displayName": "Quite another name"},
    )
    (edited,) = new(reconciled(connected), report)
    assert (edited.side, edited.what) == (Side.THEIRS, "edited_in_bc")


def test_an_item_renamed_in_bc_is_shown_and_left_out_by_rule(synced: Any) -> None:
    """The product shows the new number; that the code is another is no difference to cure."""
    before = reconciled(synced)
    product = a_linked(synced, "Product2", "BC_Item_Id__c")
    synced.act(
        "business-central",
        "edit",
        entity="items",
        record=product["BC_Item_Id__c"],
        fields={"number": "RENAMED-1"},
    )

    found = new(reconciled(synced), before)

    assert {(each.side, each.what) for each in found} == {
        (Side.OURS, "field"), (Side.EXCLUDED, "renamed"),
    }  # fmt: skip
    (shown,) = synced.salesforce("Product2", Id=product["Id"])
    assert shown["BC_Item_Number__c"] == "RENAMED-1"
