"""The guard and saved plans: a run that would do more than was looked at stops before writing."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ml_connector.configuration.fields import FieldMapping
from ml_connector.errors import ConfigurationError, GuardTripped
from ml_connector.exchange.plan import Plan, make_plan
from ml_connector.exchange.plan_file import load_plan, require_fresh, save_plan
from ml_connector.exchange.sync import run_sync
from ml_connector.exchange.systems import Systems


def edit_contacts(connected: Any, count: int) -> None:
    """Give so many linked Contacts another title."""
    linked = [row for row in connected.salesforce("Contact") if row.get("BC_Contact_Id__c")]
    assert len(linked) >= count
    for row in linked[:count]:
        fields = {"Title": "Head of everything"}
        connected.act("salesforce", "edit", sobject="Contact", record=row["Id"], fields=fields)


def mapped(connected: Any, *pairs: tuple[str, str]) -> Any:
    """Return the connection with *pairs* as custom fields that Business Central owns."""
    fields = tuple(
        FieldMapping(salesforce=left, business_central=right, owner="business_central")
        for left, right in pairs
    )
    policy = connected.settings.policy.model_copy(update={"fields": fields})
    settings = connected.settings.model_copy(update={"policy": policy})
    return type(connected)(connected.sandbox, settings)


def planned(connected: Any) -> Plan:
    """Return the plan of a sync now."""
    with Systems.open(connected.settings) as systems:
        return make_plan(systems)


def apply(connected: Any, saved: dict[str, Any]) -> None:
    """Make sure that a saved plan still holds."""
    with Systems.open(connected.settings) as systems:
        require_fresh(systems, saved)


def test_a_run_that_would_change_too_much_stops_before_writing(connected: Any) -> None:
    """Sixty edited contacts are more than fifty and than five percent; the switch lets them in."""
    connected.sync()
    edit_contacts(connected, 60)
    before = len(connected.writes())

    with pytest.raises(GuardTripped) as caught:
        connected.sync()

    assert caught.value.code == "guard"
    assert "60 of " in caught.value.message
    assert "--allow-changes" in caught.value.remedy
    assert len(connected.writes()) == before
    plan = planned(connected)
    assert plan.to_json()["guard"]["stops"]
    report = run_sync(connected.settings, allow_changes=Decimal(100))
    titles = [row["jobTitle"] for row in connected.business_central("contacts")]
    assert titles.count("Head of everything") == 60
    assert report.by_kind["contact"]["written"] == 60


def test_a_single_order_that_moves_too_much_money_stops_the_run(
    new_sandbox: Any, connect: Any
) -> None:
    """In a book of many orders one that grows a hundredfold is taken for a mistake."""
    connected = connect(new_sandbox("--orders", "150", "--plain"))
    connected.sync()
    order = next(
        row
        for row in connected.salesforce("Order")
        if row.get("BC_Order_Id__c") and row["CurrencyIsoCode"] == "USD"
    )
    line = connected.salesforce("OrderItem", OrderId=order["Id"])[0]
    connected.act("salesforce", "draft_order", order=order["Id"])
    fields = {"Quantity": 90000}
    connected.act("salesforce", "edit", sobject="OrderItem", record=line["Id"], fields=fields)
    connected.act("salesforce", "activate_order", order=order["Id"])
    before = len(connected.writes())

    with pytest.raises(GuardTripped) as caught:
        connected.sync()

    assert "net amounts" in caught.value.message
    assert "USD" in caught.value.message
    assert len(connected.writes()) == before
    report = run_sync(connected.settings, allow_changes=Decimal(100))
    assert report.by_kind["order"]["written"] == 1


def test_deleting_orders_worth_too_much_stops_the_run(new_sandbox: Any, connect: Any) -> None:
    """Few as they are, they hold more of the money; parked before the policy said so as well."""
    connected = connect(new_sandbox("--orders", "150", "--plain"))
    connected.sync()
    deleting = connected.with_policy(orders={"on_cancel": "delete_untouched"})
    orders = [
        row
        for row in connected.salesforce("Order")
        if row.get("BC_Order_Status__c") == "Draft" and row["CurrencyIsoCode"] == "USD"
    ]
    orders.sort(key=lambda row: Decimal(str(row["TotalAmount"])), reverse=True)
    for order in orders[:8]:
        connected.act("salesforce", "draft_order", order=order["Id"])
    net = sum(Decimal(str(order["TotalAmount"])) for order in orders[:8])
    before = len(connected.writes())

    with pytest.raises(GuardTripped) as new:
        deleting.sync()
    assert len(connected.writes()) == before
    connected.sync()
    with pytest.raises(GuardTripped) as parked:
        deleting.sync()

    for caught in (new, parked):
        assert f"net amounts of linked orders by {net} USD" in caught.value.message
    row = next(each for each in planned(deleting).money if each["currency"] == "USD")
    assert (row["orders_deleted"], row["deleted_net"]) == (8, net)
    run_sync(deleting.settings, allow_changes=Decimal(100))
    numbers = {row["externalDocumentNumber"] for row in connected.business_central("salesOrders")}
    assert not numbers & {order["OrderNumber"] for order in orders[:8]}


def test_fifty_changes_always_go_through(connected: Any) -> None:
    """The first fifty changes are not judged by a share."""
    connected.sync()
    edit_contacts(connected, 50)

    report = connected.sync()

    assert report.by_kind["contact"]["written"] == 50


def test_a_field_that_bc_owns_is_not_mapped_over_what_everybody_has_without_asking(
    new_sandbox: Any, connect: Any
) -> None:
    """Mapped later, it would overwrite every Account; once let through, it follows quietly."""
    connected = connect(new_sandbox("--customers", "80", "--items", "20", "--orders", "10"))
    connected.sync()
    linked = [row for row in connected.salesforce("Account") if row.get("BC_Customer_Id__c")]
    assert len(linked) > 50
    ours = mapped(connected, ("Account.Site", "customers.type"))
    before = len(ours.writes())

    with pytest.raises(GuardTripped) as caught:
        ours.sync()

    assert f"{len(linked)} of {len(linked)} linked customers" in caught.value.message
    assert len(ours.writes()) == before
    run_sync(ours.settings, allow_changes=Decimal(100))
    assert len([row for row in ours.salesforce("Account") if row.get("Site")]) == len(linked)
    written = len(ours.writes())
    ours.sync()
    assert len(ours.writes()) == written


@pytest.mark.parametrize(
    ("sobject", "pair"),
    [
        ("Account", ("Account.Site", "customers.city")),
        ("Order", ("Order.PoNumber", "salesOrders.sellToCity")),
    ],
)
def test_a_mass_edit_in_bc_of_a_mapped_field_stops_the_run(
    new_sandbox: Any, connect: Any, sobject: str, pair: tuple[str, str]
) -> None:
    """Nobody touched Salesforce, and yet the run would overwrite a field of more than fifty."""
    connected = mapped(connect(new_sandbox("--customers", "80", "--orders", "120")), pair)
    connected.sync()
    connected.sync()
    entity, name = pair[1].split(".")
    link = {"customers": "BC_Customer_Number__c", "salesOrders": "BC_Order_Number__c"}[entity]
    linked = [row[link] for row in connected.salesforce(sobject) if row.get(link)]
    for number in linked[:60]:
        if entity == "customers":
            act = {"entity": entity, "record": number, "fields": {name: "Atlantis"}}
            connected.act("business-central", "edit", **act)
        else:
            fields = {name: "Atlantis"}
            connected.act("business-central", "edit_order", order=number, fields=fields)
    before = len(connected.writes())

    with pytest.raises(GuardTripped) as caught:
        connected.sync()

    assert f"60 of {len(linked)} linked" in caught.value.message
    assert len(connected.writes()) == before


def test_the_guard_costs_an_idle_run_one_read_per_set_that_owns_fields(connected: Any) -> None:
    """Customers and sales orders are read once more where fields come from them."""
    ours = mapped(
        connected, ("Account.Site", "customers.type"), ("Order.PoNumber", "salesOrders.sellToCity")
    )
    ours.sync()
    ours.sync()
    ours.reset_traffic()
    run_sync(ours.settings, allow_changes=Decimal(100))
    unguarded = ours.traffic()
    ours.reset_traffic()

    ours.sync()

    guarded = ours.traffic()
    assert guarded["business-central"] == unguarded["business-central"] + 2
    assert guarded["salesforce"] <= unguarded["salesforce"]


def test_a_saved_plan_holds_until_something_changes(connected: Any, tmp_path: Path) -> None:
    """Fresh it may be applied; after an edit on either side, or of the policy, it is stale."""
    connected.sync()
    edit_contacts(connected, 3)
    file = tmp_path / "plan.json"
    save_plan(planned(connected), file)
    saved = load_plan(file, connected.settings.name)

    apply(connected, saved)

    assert json.loads(file.read_text(encoding="utf-8"))["plan"] is True
    with pytest.raises(GuardTripped) as caught:
        apply(connected.with_policy(guard={"changed_percent": "7"}), saved)
    assert caught.value.code == "stale_plan"
    contact = next(row for row in connected.salesforce("Contact") if row.get("BC_Contact_Id__c"))
    edited = [row for row in connected.business_central("contacts") if row["type"] == "Person"]
    row = next(each for each in edited if each["id"].lower() == contact["BC_Contact_Id__c"])
    fields = {"jobTitle": "Somebody else"}
    connected.act(
        "business-central", "edit", entity="contacts", record=row["number"], fields=fields
    )
    with pytest.raises(GuardTripped) as caught:
        apply(connected, saved)
    assert caught.value.code == "stale_plan"


def test_a_plan_is_stale_once_it_was_applied_or_something_new_came(
    connected: Any, tmp_path: Path
) -> None:
    """What is done already, and what nobody has looked at, is not written by a plan."""
    connected.sync()
    edit_contacts(connected, 1)
    file = tmp_path / "plan.json"
    save_plan(planned(connected), file)
    saved = load_plan(file, connected.settings.name)
    edit_contacts(connected, 2)
    with pytest.raises(GuardTripped) as new:
        apply(connected, saved)
    connected.sync()
    with pytest.raises(GuardTripped) as done:
        apply(connected, saved)

    assert "is new" in new.value.message
    assert "is dealt with already" in done.value.message


def test_a_file_that_is_no_plan_is_refused(connected: Any, tmp_path: Path) -> None:
    """The message names the file and what is wrong with it."""
    file = tmp_path / "plan.json"
    file.write_text("{}", encoding="utf-8")

    with pytest.raises(ConfigurationError) as caught:
        load_plan(file, connected.settings.name)

    assert caught.value.code == "plan_file"
    assert str(file) in caught.value.message
