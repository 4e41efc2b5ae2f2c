"""What people do in the org, as a subscriber sees it."""

from typing import Any

import pytest

from ml_connector.sandbox.salesforce.acts import OrgSystem

ORDER = "/data/OrderChangeEvent"


@pytest.fixture
def rep(world: Any) -> OrgSystem:
    """The rep and the admin of the world's org."""
    world.org.ensure_standard_price_book()
    return OrgSystem(world.org)


def _order(rep: OrgSystem) -> str:
    """A draft order with one line."""
    account = rep.act("create", sobject="Account", fields={"Name": "Adatum"})["Id"]
    product = {"Name": "Chair", "ProductCode": "C-1", "IsActive": True}
    product_id = rep.act("create", sobject="Product2", fields=product)["Id"]
    book = rep.org.ensure_standard_price_book()
    entry = {
        "Product2Id": product_id,
        "Pricebook2Id": book,
        "UnitPrice": 10,
        "IsActive": True,
        "CurrencyIsoCode": "USD",
    }
    rep.act("edit", sobject="Pricebook2", record=book, fields={"IsActive": True})
    rep.act("create", sobject="PricebookEntry", fields=entry)
    lines = [{"product": "C-1", "quantity": 2}]
    found: str = rep.act("create_order", account=account, lines=lines)["Id"]
    return found


async def test_an_activation_is_one_event_that_names_the_status(world: Any, rep: OrgSystem) -> None:
    """Activating an order changes its status and stamps, through the user interface."""
    order = _order(rep)
    stream = await world.subscribe(ORDER)
    rep.act("activate_order", order=order)

    event = (await world.take(stream))[0]

    header = event["ChangeEventHeader"]
    assert header["recordIds"] == [order]
    assert set(header["changedFields"]) >= {
        "Status",
        "StatusCode",
        "ActivatedDate",
        "ActivatedById",
        "LastModifiedDate",
    }
    assert (event["Status"], event["StatusCode"]) == ("Activated", "Activated")
    assert "SfdcInternalAPI" in header["changeOrigin"]
    assert header["commitUser"] == world.org.rep_user_id


async def test_a_new_line_shows_as_a_new_total(world: Any, rep: OrgSystem) -> None:
    """Lines are not selected, but the order's total is part of its events."""
    order = _order(rep)
    stream = await world.subscribe(ORDER)
    rep.act("add_line", order=order, line={"product": "C-1", "quantity": 3})

    event = (await world.take(stream))[0]

    assert "TotalAmount" in event["ChangeEventHeader"]["changedFields"]
    assert event["TotalAmount"] == 50.0


async def test_a_merge_deletes_the_losers(world: Any, rep: OrgSystem) -> None:
    """A merge is one transaction: the losers are deleted, contacts move to the winner."""
    winner, loser = (
        rep.act("create", sobject="Account", fields={"Name": name})["Id"] for name in ("A", "B")
    )
    rep.act("create", sobject="Contact", fields={"LastName": "Berg", "AccountId": loser})
    stream = await world.subscribe("/data/ChangeEvents")
    rep.act("merge_accounts", winner=winner, losers=[loser], fields={"Phone": "1"})

    events = await world.take(stream, 3)

    headers = [event["ChangeEventHeader"] for event in events]
    assert len({header["transactionKey"] for header in headers}) == 1
    seen = {(header["entityName"], header["changeType"]): header for header in headers}
    assert seen["Account", "DELETE"]["recordIds"] == [loser]
    assert seen["Account", "UPDATE"]["recordIds"] == [winner]
    assert "AccountId" in seen["Contact", "UPDATE"]["changedFields"]


async def test_emptying_the_recycle_bin_is_not_seen(world: Any, rep: OrgSystem) -> None:
    """A record that is removed for good makes no event of its own."""
    found = rep.act("create", sobject="Account", fields={"Name": "A"})["Id"]
    rep.act("delete", sobject="Account", record=found)
    stream = await world.subscribe()
    rep.act("empty_recycle_bin")
    rep.act("create", sobject="Account", fields={"Name": "B"})

    assert (await world.take(stream))[0]["Name"] == "B"
