"""What `check` says about a healthy set-up and about broken ones: the one line that tells it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from ml_connector.exchange.check_line import CheckLine, Level
from ml_connector.exchange.checks import check_lines
from tests.integration.exchange.conftest import Connected

Breaking = Callable[[Connected], Connected]


def serious(lines: list[CheckLine]) -> dict[str, CheckLine]:
    """Return the lines that warn or block, by code."""
    return {line.code: line for line in lines if line.level in (Level.WARNING, Level.BLOCKING)}


def act(system: str, name: str, **arguments: Any) -> Breaking:
    """Break a set-up by an act of the sandbox."""

    def broken(connected: Connected) -> Connected:
        connected.act(system, name, **arguments)
        return connected

    return broken


def switch(system: str, **switches: Any) -> Breaking:
    """Break a set-up by a switch of the sandbox."""

    def broken(connected: Connected) -> Connected:
        connected.sandbox.admin.post(f"/{system}/switches", json=switches).raise_for_status()
        return connected

    return broken


def fault(system: str, **rule: Any) -> Breaking:
    """Break a set-up by a rule of the sandbox's fault plan."""

    def broken(connected: Connected) -> Connected:
        connected.fault(system, times=None, **rule)
        return connected

    return broken


def policy(**areas: Any) -> Breaking:
    """Break a set-up by its policy."""
    return lambda connected: connected.with_policy(**areas)


def setting(system: str, **values: Any) -> Breaking:
    """Break a set-up by a setting of the connection file."""

    def broken(connected: Connected) -> Connected:
        part = getattr(connected.settings, system).model_copy(update=values)
        settings = connected.settings.model_copy(update={system: part})
        return Connected(connected.sandbox, settings)

    return broken


def pallets(connected: Connected) -> Connected:
    """Let a product be sold by a unit that BC does not have."""
    product = next(row for row in connected.salesforce("Product2") if row["IsActive"])
    fields = {"QuantityUnitOfMeasure": "PALLET"}
    connected.act("salesforce", "edit", sobject="Product2", record=product["Id"], fields=fields)
    return connected


def crowded(connected: Connected) -> Connected:
    """Let another object hold the fifth place, in sight of a user who may see every topic."""
    switch("salesforce", integration_profile="admin")(connected)
    entities = ["Account", "Contact", "Opportunity", "Order", "OrderItem"]
    connected.act("salesforce", "pubsub_select", entities=entities)
    return connected


def bare_item(connected: Connected) -> Connected:
    """Take the posting groups from one item."""
    number = connected.business_central("items")[0]["number"]
    connected.act("business-central", "remove_posting_groups", item=number)
    return connected


def no_template(connected: Connected) -> Connected:
    """Let the connector create customers to which BC applies no template."""
    switch("business-central", templates=False)(connected)
    connected.sync()
    return connected


BROKEN: dict[str, tuple[Breaking, str, Level]] = {
    "package not deployed": (
        act("salesforce", "remove_package"),
        "salesforce_account_fields",
        Level.BLOCKING,
    ),
    "field hidden": (
        act("salesforce", "withdraw", permission="Order.BC_Order_Status__c"),
        "salesforce_order_fields",
        Level.BLOCKING,
    ),
    "standard field hidden": (
        act("salesforce", "withdraw", permission="Account.Phone"),
        "salesforce_account_hidden",
        Level.BLOCKING,
    ),
    "external id not unique": (
        act("salesforce", "make_not_unique", field="Order.BC_Order_Id__c"),
        "salesforce_order_external_id",
        Level.WARNING,
    ),
    "activated orders not editable": (
        act("salesforce", "withdraw", permission="EditActivatedOrders"),
        "salesforce_edit_activated_orders",
        Level.BLOCKING,
    ),
    "orders off": (
        switch("salesforce", orders_enabled=False),
        "salesforce_order_missing",
        Level.BLOCKING,
    ),
    "API version": (
        setting("salesforce", api_version="99.0"),
        "salesforce_api_version",
        Level.BLOCKING,
    ),
    "wrong secret": (
        setting("salesforce", client_secret=SecretStr("not-this-one")),
        "salesforce_wrong_secret",
        Level.BLOCKING,
    ),
    "no run-as user": (
        switch("salesforce", run_as_user=False),
        "salesforce_invalid_grant",
        Level.BLOCKING,
    ),
    "sixth object": (
        policy(
            feeds={
                "entities": ["Account", "Contact", "Opportunity", "Order", "Product2", "OrderItem"]
            }
        ),
        "salesforce_event_objects",
        Level.BLOCKING,
    ),
    "object not selected": (
        act("salesforce", "pubsub_select", entities=["Account", "Contact", "Opportunity", "Order"]),
        "salesforce_events_product2",
        Level.WARNING,
    ),
    "no place for the object": (
        crowded,
        "salesforce_event_slots",
        Level.WARNING,
    ),
    "condition refused": (
        policy(orders={"qualify": "Nothing__c = 'x'"}),
        "salesforce_policy_condition",
        Level.BLOCKING,
    ),
    "tax field unknown": (
        policy(customers={"tax_id_field": "Nothing__c"}),
        "salesforce_policy_field",
        Level.BLOCKING,
    ),
    "app not registered in BC": (
        switch("business-central", app_registered=False),
        "business_central_Authentication_InvalidCredentials",
        Level.BLOCKING,
    ),
    "no admin consent": (
        switch("business-central", app_roles=[]),
        "business_central_app_permissions",
        Level.BLOCKING,
    ),
    "no permission set": (
        switch("business-central", permission_missing=True),
        "business_central_missing_permission",
        Level.BLOCKING,
    ),
    "one kind not readable": (
        fault("business-central", path="salesShipments", status=400, code="Internal_ServerError"),
        "business_central_shipments",
        Level.BLOCKING,
    ),
    "one kind forbidden": (
        fault("business-central", path="/contacts", status=403, code="Authorization_Denied"),
        "business_central_contacts",
        Level.BLOCKING,
    ),
    "wrong environment": (
        setting("business_central", environment="Elsewhere"),
        "business_central_wrong_environment",
        Level.BLOCKING,
    ),
    "wrong company": (
        setting("business_central", company_id="00000000-0000-0000-0000-000000000001"),
        "business_central_wrong_company",
        Level.BLOCKING,
    ),
    "wrong local currency": (
        setting("business_central", local_currency="EUR"),
        "business_central_local_currency",
        Level.BLOCKING,
    ),
    "item without posting groups": (
        bare_item,
        "business_central_item_posting_groups",
        Level.WARNING,
    ),
    "no customer template": (no_template, "business_central_customer_template", Level.WARNING),
    "currency unknown to BC": (
        fault("business-central", path="/currencies", status=200, body_text='{"value": []}'),
        "currencies",
        Level.WARNING,
    ),
    "unit unknown to BC": (pallets, "units", Level.WARNING),
    "receiver does not answer": (
        setting("business_central", notification_url="https://127.0.0.1:9/hook"),
        "business_central_receiver",
        Level.WARNING,
    ),
}
"""By name: how it is broken, the line expected, its level."""

COMPANIONS = {
    "package not deployed": {
        "salesforce_contact_fields", "salesforce_product2_fields", "salesforce_order_fields",
        "salesforce_edit_activated_orders", "salesforce_events_account",
        "salesforce_events_contact", "salesforce_events_opportunity", "salesforce_events_order",
        "salesforce_events_product2",
    },
    "orders off": {"salesforce_orderitem_missing", "salesforce_events_order"},
    "wrong local currency": {"currencies"},
    "no place for the object": {"salesforce_events_product2"},
    "receiver does not answer": {"business_central_notifications"},
}  # fmt: skip
"""What else the same fault shows, since it has more than one effect."""


def test_a_healthy_set_up_has_no_warning(connected: Connected) -> None:
    """Nothing warns, whatever the data are like, and nothing is written."""
    before = len(connected.writes())

    lines = check_lines(connected.settings)

    assert serious(lines) == {}
    assert {line.code for line in lines if line.level is Level.OK} >= {
        "salesforce_scopes", "salesforce_order_fields", "salesforce_edit_activated_orders",
        "salesforce_events", "business_central_company", "business_central_item_posting_groups",
        "currencies", "units", "salesforce_clock", "business_central_clock",
    }  # fmt: skip
    assert len(connected.writes()) == before


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_what_is_broken_is_told_by_its_line(connected: Connected, name: str) -> None:
    """The line names it, with the remedy and the page; nothing else raises an alarm."""
    breaking, code, level = BROKEN[name]

    lines = serious(check_lines(breaking(connected).settings))

    assert lines[code].level is level
    assert lines[code].remedy
    assert lines[code].page
    assert lines.keys() == {code} | COMPANIONS.get(name, set())


def test_the_environments_of_the_tenant_are_named(connected: Connected) -> None:
    """Who mistyped the environment sees the right one."""
    broken = setting("business_central", environment="Elsewhere")(connected)

    (line,) = serious(check_lines(broken.settings)).values()

    assert connected.settings.business_central.environment in line.remedy


REFUSED = (
    ("salesforce", "UserPermissionAccess|OrderStatus|GROUP", 400, "INVALID_TYPE"),
    ("salesforce", "services/data/?$", 404, "NOT_FOUND"),
    ("business-central", "companyInformation|paymentTerms|customerFinancial", 404, ""),
    ("business-central", "webhookSupportedResources", 403, "Authorization_Denied"),
)


def test_a_refused_look_neither_warns_nor_blocks(connected: Connected) -> None:
    """What a vendor does not offer could not be examined; that is said and needs nobody."""
    for system, path, status, code in REFUSED:
        more = {"code": code} if code else {}
        connected.fault(system, method="GET", path=path, status=status, times=None, **more)

    lines = check_lines(connected.settings)

    assert serious(lines) == {}
    unseen = {line.code for line in lines if line.code.endswith("_not_examined")}
    assert unseen >= {
        "salesforce_edit_activated_orders_not_examined", "salesforce_order_status_not_examined",
        "salesforce_api_version_not_examined", "business_central_payment_terms_not_examined",
        "business_central_balances_not_examined", "units_not_examined",
    }  # fmt: skip


def test_a_service_that_is_away_ends_its_own_list_only(connected: Connected) -> None:
    """The other system is examined all the same."""
    broken = setting("business_central", base_url="https://127.0.0.1:9/v2.0")(connected)

    lines = check_lines(broken.settings)

    blocking = [line.code for line in lines if line.level is Level.BLOCKING]
    assert blocking == ["business_central_connection_refused"]
    assert "salesforce_events" in {line.code for line in lines}


def test_the_packages_permission_set_is_enough(connected: Connected) -> None:
    """A user who may do nothing but what the set names: nothing warns, and a whole sync runs."""
    switch("salesforce", integration_profile="minimum")(connected)

    lines = check_lines(connected.settings)
    report = connected.sync()

    assert serious(lines) == {}
    assert report.by_kind["order"]["written"] > 10
    assert any(row.get("BC_Order_Number__c") for row in connected.salesforce("Order"))
