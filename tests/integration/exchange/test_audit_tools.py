"""The audit as people ask for it: a record's life, a run, the proof, erasure, retention."""

import logging
import sqlite3
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ml_connector.domain.causes import Cause
from ml_connector.domain.clock import FixedClock, SystemClock
from ml_connector.domain.decision import Candidate, Park
from ml_connector.domain.identifiers import Kind, State
from ml_connector.errors import ConfigurationError
from ml_connector.exchange.audit_report import (
    apply_retention,
    audit_of,
    audit_of_run,
    erase,
    verification,
)
from ml_connector.exchange.cause_groups import cause_groups
from ml_connector.exchange.plan import make_plan
from ml_connector.exchange.plan_file import keep_plan, kept_plan
from ml_connector.exchange.reconciliation import reconcile
from ml_connector.exchange.replay import Selection, replay
from ml_connector.exchange.report import connection_status
from ml_connector.exchange.show import show
from ml_connector.exchange.systems import Systems
from ml_connector.exchange.write_protocol import store_decision
from ml_connector.ledger.inbox import QUARANTINE
from ml_connector.ledger.records import NewChange


@pytest.fixture
def synced(connected: Any) -> Any:
    """A connection whose first sync is done."""
    connected.sync()
    return connected


def handed_over(connected: Any) -> dict[str, Any]:
    """Return one Order that BC has."""
    return next(row for row in connected.salesforce("Order") if row.get("BC_Order_Id__c"))


NAMES = {
    "Product2": ("Id", "ProductCode", "BC_Item_Number__c", "BC_Item_Id__c"),
    "Account": ("Id", "AccountNumber", "BC_Customer_Number__c", "BC_Customer_Id__c"),
    "Contact": ("Id", "BC_Contact_Id__c"),
    "Order": ("Id", "OrderNumber", "BC_Order_Number__c", "BC_Order_Id__c"),
}
KINDS = {"Product2": "item", "Account": "customer", "Contact": "contact", "Order": "order"}


@pytest.mark.parametrize("sobject", NAMES)
def test_a_record_is_found_by_every_name_it_has(synced: Any, sobject: str) -> None:
    """Salesforce id in 15 and 18 characters, numbers and BC id lead to the same life, any case."""
    names = NAMES[sobject]
    row = next(each for each in synced.salesforce(sobject) if all(each.get(n) for n in names))
    texts = [row[name] for name in names]
    texts += [row["Id"][:15], row["Id"].lower(), row[names[-1]].upper()]

    with Systems.open(synced.settings) as systems:
        found = [audit_of(systems, text) for text in texts]

    assert {document["record"]["kind"] for document in found if document} == {KINDS[sobject]}
    assert all(document and document["record"] == found[0]["record"] for document in found)
    assert all(document["entries"] == found[0]["entries"] for document in found)
    actions = [entry["action"] for entry in found[0]["entries"]]
    assert actions[0] in ("create", "link")
    assert "show" in actions


def test_an_invoice_leads_to_the_life_of_its_order(synced: Any) -> None:
    """By its BC number or id: what was posted, and the order it belongs to."""
    order = handed_over(synced)
    synced.act("business-central", "draft_invoice", order=order["BC_Order_Number__c"])
    synced.sync()
    (invoice,) = synced.business_central("salesInvoices", orderNumber=order["BC_Order_Number__c"])

    with Systems.open(synced.settings) as systems:
        by_order = audit_of(systems, order["Id"])
        found = [audit_of(systems, invoice[name]) for name in ("number", "id")]

    for document in found:
        assert document
        assert document["record"]["kind"] == "invoice"
        assert "post" in [entry["action"] for entry in document["entries"]]
        assert by_order
        assert document["entries"] == by_order["entries"]


def test_amounts_are_text_with_and_without_cents(synced: Any) -> None:
    """A price of 100 is the text "100", as 9.99 is "9.99": readers need one type."""
    with Systems.open(synced.settings) as systems:
        document = audit_of(systems, handed_over(synced)["Id"])

    assert document
    (created,) = [entry for entry in document["entries"] if entry["action"] == "create"]
    for line in created["after"]["salesOrderLines"]:
        assert isinstance(line["unitPrice"], str)
        assert isinstance(line["quantity"], str)
    assert created["after"]["pricesIncludeTax"] is False


def test_a_write_carries_the_services_request_id_and_its_run(connected: Any) -> None:
    """From the entry one gets to BC's telemetry, and to the run."""
    report = connected.sync()
    order = handed_over(connected)

    with Systems.open(connected.settings) as systems:
        document = audit_of(systems, order["Id"])
        run = audit_of_run(systems, report.flow_run_id)

    assert document and run
    (created,) = [entry for entry in document["entries"] if entry["action"] == "create"]
    assert len(created["request_id"]) == 36
    assert created["flow_run_id"] == report.flow_run_id
    assert created["policy_version"]
    assert order["Id"] in {record["salesforce_id"] for record in run["records"]}
    assert run["run"]["name"] == "sync"
    ids = [
        entry["request_id"]
        for entry in run["entries"]
        if entry["direction"] == "to_business_central"
    ]
    assert all(ids)
    assert len(ids) == len(set(ids))


def test_an_entry_names_the_policy_it_was_decided_under(connected: Any) -> None:
    """Whatever a run writes or decides names the run's policy; another policy, another name."""
    renewed = connected.with_policy(orders={"reference_prefix": "SF-"})
    named: list[set[str]] = []
    for each in (connected, renewed):
        each.sync()
        fields = {"Phone": f"+49 40 123{len(named)}"}
        account = handed_over(each)["AccountId"]
        each.act("salesforce", "edit", sobject="Account", record=account, fields=fields)
        report = each.sync()
        with Systems.open(each.settings) as systems:
            run = audit_of_run(systems, report.flow_run_id)
        assert run and run["entries"]
        named.append({entry["policy_version"] for entry in run["entries"]})

    assert named == [{each.settings.policy_version()} for each in (connected, renewed)]
    assert "" not in named[0] | named[1]
    assert named[0] != named[1]


@pytest.mark.parametrize(
    ("state", "cause"),
    [
        (State.WAITING, "missing_item"),
        (State.WAITING, "missing_customer"),
        (State.PARKED, "unknown_country"),
        (State.PARKED, "possible_duplicate"),
        (State.EXCLUDED, "reduction_order"),
        (State.EXCLUDED, "no_account"),
    ],
)
def test_why_a_record_did_not_go_through_is_in_the_audit(
    synced: Any, state: State, cause: str
) -> None:
    """One decision entry says where the record stands, by which rule, and the sentence of it."""
    with Systems.open(synced.settings) as systems:
        records = [
            record
            for page in systems.ledger.iterate(states=(state,))
            for record in page
            if record.cause == cause
        ]
        lives = [systems.ledger.audit_entries(record.kind, record.key) for record in records]

    assert records
    for record, entries in zip(records, lives, strict=True):
        (decided,) = [entry for entry in entries if entry.direction == "decision"]
        assert (decided.action, decided.rule, decided.outcome) == (state, cause, state)
        assert record.message
        assert decided.after == {"message": record.message}
        assert decided.policy_version
        assert not [entry for entry in entries if entry.direction == "to_business_central"]


def test_every_record_that_is_not_through_has_its_decision_in_the_audit(synced: Any) -> None:
    """None of the waiting, parked and excluded ones was left aside without a word."""
    states = (State.WAITING, State.PARKED, State.EXCLUDED)
    with Systems.open(synced.settings) as systems:
        listed = [record for page in systems.ledger.iterate(states=states) for record in page]
        for record in listed:
            entries = systems.ledger.audit_entries(record.kind, record.key)
            last = [entry for entry in entries if entry.direction == "decision"][-1]
            assert (last.outcome, last.rule) == (record.state, record.cause)

    assert {record.state for record in listed} == set(states)


def updates_of(connected: Any, salesforce_id: str) -> list[dict[str, Any]]:
    """Return the updates of BC in the life of a record."""
    with Systems.open(connected.settings) as systems:
        document = audit_of(systems, salesforce_id)
    assert document
    return [entry for entry in document["entries"] if entry["action"] == "update"]


def test_an_edit_of_a_customer_is_in_the_audit_with_what_it_changed(synced: Any) -> None:
    """Before and after hold the fields that were edited, and no other."""
    (account,) = synced.salesforce("Account", Id=handed_over(synced)["AccountId"])
    (customer,) = synced.business_central("customers", number=account["BC_Customer_Number__c"])
    fields = {"Phone": "+49 431 5550100", "BillingCity": "Kiel"}
    synced.act("salesforce", "edit", sobject="Account", record=account["Id"], fields=fields)
    assert not updates_of(synced, account["Id"])

    report = synced.sync()

    (update,) = updates_of(synced, account["Id"])
    assert update["direction"] == "to_business_central"
    assert update["before"] == {name: customer[name] for name in ("phoneNumber", "city")}
    assert update["after"] == {"phoneNumber": "+49 431 5550100", "city": "Kiel"}
    assert update["outcome"] == "done"
    assert update["flow_run_id"] == report.flow_run_id


def test_an_edit_of_an_order_is_in_the_audit_with_what_it_changed(synced: Any) -> None:
    """Before and after name the changed field of the header, and the changed line alone."""
    order = handed_over(synced)
    number = order["OrderNumber"]
    (bc_order,) = synced.orders_by_reference()[number]
    lines = synced.business_central("salesOrderLines", documentId=bc_order["id"])
    changed = min(lines, key=lambda line: line["sequence"])
    line = min(
        synced.salesforce("OrderItem", OrderId=order["Id"]), key=lambda row: row["OrderItemNumber"]
    )
    quantity = Decimal(str(changed["quantity"])) + 4
    synced.act("salesforce", "draft_order", order=order["Id"])
    for sobject, record, fields in (
        ("OrderItem", line["Id"], {"Quantity": quantity}),
        ("Order", order["Id"], {"ShippingCity": "Hamburg"}),
    ):
        synced.act("salesforce", "edit", sobject=sobject, record=record, fields=fields)
    synced.act("salesforce", "activate_order", order=order["Id"])

    report = synced.sync()

    (update,) = updates_of(synced, order["Id"])
    assert set(update["before"]) == set(update["after"]) == {"shipToCity", "salesOrderLines"}
    assert update["before"]["shipToCity"] == bc_order["shipToCity"] != "Hamburg"
    assert update["after"]["shipToCity"] == "Hamburg"
    (before,), (after,) = (update[name]["salesOrderLines"] for name in ("before", "after"))
    assert before["id"].lower() == after["id"].lower() == changed["id"].lower()
    assert set(before) == {"id", "quantity"}
    assert Decimal(before["quantity"]) == Decimal(str(changed["quantity"]))
    assert Decimal(after["quantity"]) == quantity
    assert update["outcome"] == "done"
    assert update["flow_run_id"] == report.flow_run_id


@pytest.mark.parametrize("answers", [True, False])
def test_a_write_back_carries_the_id_the_orgs_logs_name(connected: Any, answers: bool) -> None:
    """Every call to Salesforce has an id of its own, whether or not its answer tells it."""
    connected.sandbox.admin.post(
        "/salesforce/switches", json={"answers_request_id": answers}
    ).raise_for_status()
    report = connected.sync()

    with Systems.open(connected.settings) as systems:
        run = audit_of_run(systems, report.flow_run_id)

    assert run
    shown = [entry for entry in run["entries"] if entry["direction"] == "to_salesforce"]
    assert shown
    assert all(len(entry["request_id"]) == 32 for entry in shown)
    calls = {entry["request_id"] for entry in shown}
    assert 1 < len(calls) < len(shown)


def test_a_price_that_was_written_is_in_the_audit(connected: Any) -> None:
    """A price in the standard price book is a write like any other: before, after, request."""
    priced = connected.with_policy(catalog={"prices": "standard"})
    priced.sync()
    product = next(row for row in priced.salesforce("Product2") if row.get("BC_Item_Id__c"))
    priced.act("business-central", "set_price", item=product["BC_Item_Number__c"], amount="77.70")
    priced.sync()

    with Systems.open(priced.settings) as systems:
        document = audit_of(systems, product["Id"])

    assert document
    (price,) = [
        entry
        for entry in document["entries"]
        if entry["action"] == "price" and entry["after"]["UnitPrice"] == "77.70"
    ]
    assert price["before"]["UnitPrice"] != "77.70"
    assert len(price["request_id"]) == 32


def test_tampering_is_found(synced: Any, tmp_path: Path) -> None:
    """An entry changed behind the connector's back is named."""
    with Systems.open(synced.settings) as systems:
        assert verification(systems)["ok"]
    with sqlite3.connect(tmp_path / "ledger.db") as db:
        db.execute("UPDATE audit_entries SET outcome = 'refused' WHERE sequence = 3")

    with Systems.open(synced.settings) as systems:
        document = verification(systems)

    assert (document["ok"], document["first_bad_sequence"]) == (False, 3)


def test_a_person_can_be_erased_and_the_chain_still_verifies(synced: Any, tmp_path: Path) -> None:
    """Name and mail of a contact are nowhere in the ledger's rows afterwards."""
    contact = next(
        row for row in synced.salesforce("Contact") if row.get("BC_Contact_Id__c") and row["Email"]
    )
    with Systems.open(synced.settings) as systems:
        document = erase(systems, contact["Id"])
        whole = verification(systems)

    assert document is not None
    assert {"kind": "contact", "key": contact["Id"]} in document["erased"]
    assert whole["ok"]
    assert whole["erased"] > 0
    with sqlite3.connect(tmp_path / "ledger.db") as db:
        text = "\n".join(db.iterdump())
    assert contact["Email"] not in text


def everything_in(folder: Path) -> str:
    """Return every row of the ledger as text, and the bytes of its file as far as they are text."""
    with sqlite3.connect(folder / "ledger.db") as db:
        text = "\n".join(db.iterdump())
    return text + (folder / "ledger.db").read_bytes().decode(errors="replace")


def blocked_order(connected: Any) -> tuple[dict[str, Any], str]:
    """Park a new Order for its blocked customer; return the Account and the Order's id."""
    order = handed_over(connected)
    (account,) = connected.salesforce("Account", Id=order["AccountId"])
    connected.act("business-central", "block_customer", customer=account["BC_Customer_Number__c"])
    product = next(row for row in connected.salesforce("Product2") if row.get("BC_Item_Id__c"))
    lines = [{"product": product["ProductCode"], "quantity": 1}]
    made = connected.act(
        "salesforce", "create_order", account=account["Id"], lines=lines, activate=True
    )
    connected.sync()
    return account, made["Id"]


def test_an_erased_name_stays_nowhere_in_the_ledger(synced: Any, tmp_path: Path) -> None:
    """Orders that name a blocked customer lose the name, and keep why they are parked."""
    account, key = blocked_order(synced)
    with Systems.open(synced.settings) as systems:
        before = systems.ledger.record(Kind.ORDER, key)
        document = erase(systems, account["Id"])
        whole = verification(systems)
        order = systems.ledger.record(Kind.ORDER, key)
        entries = systems.ledger.audit_entries(Kind.ORDER, key)

    assert before and order and document
    assert account["Name"] in before.message
    assert whole["ok"]
    assert account["Name"] not in everything_in(tmp_path)
    assert (order.state, order.cause) == (State.PARKED, "blocked_customer")
    assert (order.message, order.remedy) == ("(erased on request)", before.remedy)
    assert order.candidates == [{**before.candidates[0], "name": ""}]
    assert order.facts["account_id"] == account["Id"]
    assert all(entry.before is entry.after is None for entry in entries)
    assert {"kind": "order", "key": key} in document["mentions"]


def test_what_salesforce_says_of_an_erased_customer_is_replaced(synced: Any) -> None:
    """The next sync writes the message again; here BC knows the customer by another name."""
    account, key = blocked_order(synced)
    (customer,) = synced.business_central("customers", number=account["BC_Customer_Number__c"])
    for system, sobject, record, field in (
        ("salesforce", {"sobject": "Account"}, account["Id"], "Name"),
        ("business-central", {"entity": "customers"}, customer["number"], "displayName"),
    ):
        synced.act(system, "edit", **sobject, record=record, fields={field: "Nobody"})
    with Systems.open(synced.settings) as systems:
        erase(systems, account["Id"])
        show(systems, Kind.ORDER)
    (order,) = synced.salesforce("Order", Id=key)

    assert order["BC_Sync_Status__c"] == "Parked"
    assert order["BC_Sync_Message__c"].startswith("(erased on request)")
    assert account["Name"] not in order["BC_Sync_Message__c"]


def test_an_erased_name_is_taken_out_of_what_other_accounts_say(
    synced: Any, tmp_path: Path
) -> None:
    """The Account that may be the same customer keeps its cause and its audit of writes."""
    account, _ = blocked_order(synced)
    with Systems.open(synced.settings) as systems:
        other = next(
            record
            for page in systems.ledger.iterate(kind=Kind.CUSTOMER, states=[State.WRITTEN])
            for record in page
            if record.key != account["Id"]
        )
        linked = systems.ledger.record(Kind.CUSTOMER, account["Id"])
        assert linked
        writes = [
            entry.after
            for entry in systems.ledger.audit_entries(Kind.CUSTOMER, other.key)
            if entry.action == "create"
        ]
        park = Park(
            Cause.POSSIBLE_DUPLICATE,
            f'Account "{account["Name"]}" may be BC customer {linked.bc_number} already.',
            candidates=(Candidate(linked.bc_id, linked.bc_number, account["Name"]),),
        )
        store_decision(systems, other, park)

        erase(systems, account["Id"])

        told = systems.ledger.record(Kind.CUSTOMER, other.key)
        entries = systems.ledger.audit_entries(Kind.CUSTOMER, other.key)
        assert verification(systems)["ok"]
    assert told
    assert (told.state, told.cause) == (State.PARKED, "possible_duplicate")
    assert told.message == "(erased on request)"
    assert told.candidates == [{"bc_id": linked.bc_id, "bc_number": linked.bc_number, "name": ""}]
    assert told.sent == other.sent
    assert writes
    assert [entry.after for entry in entries if entry.action == "create"] == writes
    assert account["Name"] not in everything_in(tmp_path)


def test_an_erased_name_does_not_blank_what_only_contains_its_letters(synced: Any) -> None:
    """Names are looked for as whole words."""
    with Systems.open(synced.settings) as systems:
        one, two, three = next(
            page for page in systems.ledger.iterate(kind=Kind.CONTACT, page_size=3)
        )
        one.salesforce_number, one.sent = "Li", None
        two.message, three.message = "Livraison is unknown.", 'Contact "LI" is unknown.'
        with systems.ledger.transaction() as tx:
            tx.save_all([one, two, three])

        assert erase(systems, one.key)

        messages = [
            record.message
            for record in systems.ledger.records(Kind.CONTACT, [two.key, three.key]).values()
        ]
    assert sorted(messages) == ["(erased on request)", "Livraison is unknown."]


def test_a_name_that_was_typed_for_a_replay_is_not_in_the_audit(
    synced: Any, tmp_path: Path
) -> None:
    """A replay is noted by the keys of the records it meant, so that it can be erased."""
    contact = next(
        row
        for row in synced.salesforce("Contact")
        if row.get("BC_Contact_Id__c") and row.get("FirstName")
    )
    with Systems.open(synced.settings) as systems:
        keys = [record.key for record in systems.ledger.find(contact["Name"])]
    replay(synced.settings, Selection(ids=(contact["Name"],)))

    with Systems.open(synced.settings) as systems:
        entries = systems.ledger.audit_entries(Kind.CONTACT, contact["Id"])
        assert erase(systems, contact["Name"])
    (asked,) = [entry for entry in entries if entry.action == "replay"]
    assert asked.rule == f"id {', '.join(keys)}"
    assert contact["Name"] not in everything_in(tmp_path)


def put_aside(systems: Systems) -> NewChange:
    """Store an event that could not be decoded, and return it."""
    change = NewChange(
        system=QUARANTINE,
        entity="Contact",
        record_id="0a0b",
        change_type="UNDECODABLE",
        changed_at=systems.clock.now(),
        source="event",
        dedupe_key="0a0b:1",
        payload={"reason": "no schema", "payload": "TWFkZSB1cA=="},
    )
    with systems.ledger.transaction() as tx:
        tx.add_changes([change])
    return change


def test_erasure_takes_kept_plans_and_undecodable_events_along(connected: Any) -> None:
    """Whom a plan or an undecodable event is about cannot be told, so none of them stays."""
    with Systems.open(connected.settings) as systems:
        plan_id = keep_plan(systems, make_plan(systems))
    connected.sync()
    contact = next(row for row in connected.salesforce("Contact") if row.get("BC_Contact_Id__c"))
    with Systems.open(connected.settings) as systems:
        change = put_aside(systems)
        assert kept_plan(systems, plan_id)

        assert erase(systems, contact["Id"])

        with pytest.raises(ConfigurationError) as refused:
            kept_plan(systems, plan_id)
        (aside,) = systems.ledger.changes_of(change.record_id)
    assert refused.value.code == "unknown_plan"
    assert aside.payload == {"reason": "no schema"}


def test_undecodable_events_are_kept_for_the_days_of_the_inbox(synced: Any) -> None:
    """Nobody ever deals with them, and yet they do not stay for good."""
    with Systems.open(synced.settings) as systems:
        change = put_aside(systems)
        days = systems.policy.audit.inbox_days
    for passed, kept in ((days - 1, 1), (days + 1, 0)):
        later = FixedClock(SystemClock().now() + timedelta(days=passed))
        with Systems.open(synced.settings, clock=later) as systems:
            apply_retention(systems)
            assert len(systems.ledger.changes_of(change.record_id)) == kept


def test_retention_erases_what_is_older(synced: Any) -> None:
    """The policy's days decide; by default entries are kept for good."""
    later = FixedClock(SystemClock().now() + timedelta(days=100))
    with Systems.open(synced.settings, clock=later) as systems:
        assert apply_retention(systems)["entries"] == 0
    short = synced.with_policy(audit={"keep_days": 30})
    with Systems.open(short.settings, clock=later) as systems:
        assert apply_retention(systems)["entries"] > 0
        assert verification(systems)["ok"]


def test_what_one_cure_releases_is_one_group(synced: Any) -> None:
    """A blocked customer is one line that counts its orders."""
    order = handed_over(synced)
    (account,) = synced.salesforce("Account", Id=order["AccountId"])
    number = account["BC_Customer_Number__c"]
    synced.act("business-central", "block_customer", customer=number)
    product = next(row for row in synced.salesforce("Product2") if row.get("BC_Item_Id__c"))
    for _ in range(2):
        synced.act(
            "salesforce",
            "create_order",
            account=order["AccountId"],
            lines=[{"product": product["ProductCode"], "quantity": 1}],
            activate=True,
        )
    synced.sync()

    with Systems.open(synced.settings) as systems:
        groups = {group.sentence: group for group in cause_groups(systems)}
        document = connection_status(systems)

    assert groups[f"customer {number} is blocked: 2 orders"].owner == "finance"
    assert sum(group["count"] for group in document["groups"]) == (
        document["counts"]["waiting"] + document["counts"]["parked"]
    )


def test_no_secret_of_the_run_is_in_anything_it_wrote(
    connected: Any,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    tokens_given: dict[str, set[str]],
) -> None:
    """Neither secrets nor tokens are in the ledger's files, the logs, or what commands print.

    The tokens are those the run worked with, the one that Salesforce ended as well.
    """
    caplog.set_level(logging.DEBUG)
    connected.fault("salesforce", path="query", status=401, times=1)
    report = connected.sync()
    with Systems.open(connected.settings) as systems:
        printed = [str(report.to_json()), str(connection_status(systems))]
        printed += [
            str(audit_of(systems, record.key))
            for page in systems.ledger.iterate(kind=Kind.ORDER, states=tuple(State))
            for record in page
        ]
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    written += [text.encode() for text in (*printed, caplog.text)]

    assert len(tokens_given["salesforce"]) > 1
    assert tokens_given["business_central"]
    secrets = {
        connected.settings.salesforce.client_secret.get_secret_value(),
        connected.settings.business_central.client_secret.get_secret_value(),
        *tokens_given["salesforce"],
        *tokens_given["business_central"],
    }
    assert all(len(secret) > 7 for secret in secrets)
    assert len(written) > 3
    for secret in secrets:
        assert not [text for text in written if secret.encode() in text]


def test_a_reconciliation_leaves_no_copy_behind(
    synced: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file both sides were copied into is deleted."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))

    with Systems.open(synced.settings) as systems:
        reconcile(systems)

    assert list(folder.iterdir()) == []
