"""What change events carry: headers, bitmaps, partial values, merging, gaps."""

import shutil
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from ml_connector.pubsub_stubs import pubsub_api_pb2 as pb2

ACCOUNT = "/data/AccountChangeEvent"


async def test_a_created_account_comes_with_all_its_values(world: Any) -> None:
    """A CREATE carries every value, converted to Avro types, and names no changed field."""
    stream = await world.subscribe()
    found = world.save(
        "Account",
        Name="Adatum",
        AnnualRevenue=Decimal(1234),
        NumberOfEmployees=Decimal(12),
        BillingStreet="Main St 1",
        BillingCity="Ghent",
    )

    event = (await world.take(stream))[0]

    header = event["ChangeEventHeader"]
    assert (header["entityName"], header["changeType"]) == ("Account", "CREATE")
    assert (header["recordIds"], header["changedFields"]) == ([found], [])
    assert header["commitTimestamp"] == int(world.org.change_log[-1]["at"].timestamp() * 1000)
    assert header["commitUser"] == world.org.rep_user_id
    assert (event["Name"], event["AnnualRevenue"], event["NumberOfEmployees"]) == (
        "Adatum",
        1234.0,
        12,
    )
    assert event["BillingAddress"]["City"] == "Ghent"
    assert event["ShippingAddress"] is None
    assert event["CreatedDate"] % 1000 == 0


async def test_an_update_carries_only_what_changed(world: Any) -> None:
    """Unchanged fields are null, and the bitmaps tell changed and emptied ones apart."""
    world.save("Account", Name="Adatum", Phone="1", BillingCity="Ghent", BillingStreet="A 1")
    stream = await world.subscribe()
    world.save("Account", Phone=None, BillingCity="Bruges")

    event = (await world.take(stream))[0]

    header = event["ChangeEventHeader"]
    assert header["changedFields"] == ["Phone", "LastModifiedDate", "BillingAddress.City"]
    assert header["nulledFields"] == ["Phone"]
    assert event["Name"] is None
    assert event["BillingAddress"] == {
        **dict.fromkeys(event["BillingAddress"]),
        "City": "Bruges",
    }


async def test_a_contact_name_is_a_nested_record(world: Any) -> None:
    """A changed last name sets the nested bitmap of Name alone."""
    world.save("Contact", LastName="Berg", FirstName="Ada", Name="Ada Berg")
    stream = await world.subscribe("/data/ContactChangeEvent")
    world.save("Contact", LastName="Bergen", Name="Ada Bergen")

    event = (await world.take(stream))[0]

    assert event["ChangeEventHeader"]["changedFields"] == ["LastModifiedDate", "Name.LastName"]
    assert event["Name"] == {"Salutation": None, "FirstName": None, "LastName": "Bergen"}


async def test_dates_and_custom_fields_travel(world: Any) -> None:
    """A date is midnight UTC in milliseconds, custom currencies are doubles."""
    world.save("Order", EffectiveDate=date(2026, 1, 1), Status="Draft")
    stream = await world.subscribe("/data/OrderChangeEvent")
    world.save("Order", BC_Due_Date__c=date(2026, 3, 1), BC_Open_Amount__c=Decimal("10.10"))

    event = (await world.take(stream))[0]

    assert event["BC_Due_Date__c"] == 1772323200000
    assert event["BC_Open_Amount__c"] == 10.1


async def test_equal_changes_of_one_transaction_are_merged(world: Any) -> None:
    """Several records with the same change come as one event with all their ids."""
    for number in (1, 2, 3):
        world.save("Account", number, Name=f"Account {number}")
    stream = await world.subscribe()
    transaction = world.begin(client="ml-connector")
    ids = [world.put(transaction, "Account", number, Rating="Hot") for number in (1, 2)]
    world.put(transaction, "Account", 3, Rating="Cold")
    world.org.commit(transaction)

    merged, alone = [event["ChangeEventHeader"] for event in await world.take(stream, 2)]

    assert merged["recordIds"] == ids
    assert (merged["sequenceNumber"], alone["sequenceNumber"]) == (1, 3)
    assert merged["transactionKey"] == alone["transactionKey"]
    assert merged["commitNumber"] == alone["commitNumber"]
    assert merged["changeOrigin"].endswith(";client=ml-connector")


async def test_entities_that_are_not_selected_leave_holes(world: Any) -> None:
    """A price book entry in the same transaction takes a sequence number but makes no event."""
    stream = await world.subscribe("/data/Product2ChangeEvent")
    transaction = world.begin()
    world.put(transaction, "Pricebook2", 1, Name="Book")
    world.put(transaction, "Product2", 1, Name="Chair")
    world.org.commit(transaction)

    assert (await world.take(stream))[0]["ChangeEventHeader"]["sequenceNumber"] == 2


async def test_delete_and_undelete(world: Any) -> None:
    """A DELETE names ids only, an UNDELETE carries the record again."""
    found = world.save("Account", Name="Adatum")
    stream = await world.subscribe()
    world.save("Account", IsDeleted=True)
    world.save("Account", IsDeleted=False)

    gone, back = await world.take(stream, 2)

    assert gone["ChangeEventHeader"]["changeType"] == "DELETE"
    assert gone["ChangeEventHeader"]["recordIds"] == [found]
    assert {value for name, value in gone.items() if name != "ChangeEventHeader"} == {None}
    assert (back["ChangeEventHeader"]["changeType"], back["Name"]) == ("UNDELETE", "Adatum")


async def test_long_texts_travel_as_differences(world: Any) -> None:
    """A changed text of a thousand characters is flagged and sent as a difference."""
    text = "\n".join(f"line {number}" for number in range(200))
    world.save("Account", Name="Adatum", Description=text)
    stream = await world.subscribe()
    world.save("Account", Description=text.replace("line 7\n", "line seven\n"))

    event = (await world.take(stream))[0]

    assert event["ChangeEventHeader"]["diffFields"] == ["Description"]
    assert "+line seven" in event["Description"]
    assert len(event["Description"]) < 200


async def test_a_huge_transaction_overflows(make_world: Any) -> None:
    """After the limit of a transaction there is one overflow event per entity, without ids."""
    world = make_world(pubsub_overflow_after=2, pubsub_merge_events=False)
    transaction = world.begin()
    for number in (1, 2, 3, 4):
        world.put(transaction, "Account", number, Name=f"Account {number}")
    world.put(transaction, "Product2", 1, Name="Chair")
    world.org.commit(transaction)

    accounts = world.pubsub.store.after(ACCOUNT, -1, 100)
    products = world.pubsub.store.after("/data/Product2ChangeEvent", -1, 100)

    assert [event.kind for event in accounts] == ["CREATE", "CREATE", "GAP_OVERFLOW"]
    assert [(event.kind, event.record_ids) for event in products] == [("GAP_OVERFLOW", [])]


async def test_fields_hidden_from_the_subscriber_are_left_out(world: Any) -> None:
    """A field without field-level security is null and unnamed, though the schema has it."""
    world.save("Account", Name="Adatum")
    world.org.integration_user.access.withdrawn.add("Account.Phone")
    stream = await world.subscribe()
    world.save("Account", Phone="1", Fax="2")

    event = (await world.take(stream))[0]

    assert event["ChangeEventHeader"]["changedFields"] == ["Fax", "LastModifiedDate"]
    assert (event["Phone"], event["Fax"]) == (None, "2")


async def test_a_new_field_changes_the_schema_but_not_stored_events(
    world: Any, tmp_path: Path
) -> None:
    """Each event names the schema it was written with, and old schemas stay readable."""
    stream = await world.subscribe("/data/Product2ChangeEvent", preset="EARLIEST")
    world.save("Product2", Name="Chair")
    package = shutil.copytree(world.org.package_directory, tmp_path / "package")
    next(package.rglob("BC_Item_Id__c.field-meta.xml")).unlink()
    world.org.deploy(package)
    world.save("Product2", Name="Table")

    old, new = await stream.events(2)

    assert old.event.schema_id != new.event.schema_id
    assert len(new.event.schema_id) == 22
    topic = await world.unary("GetTopic", pb2.TopicRequest(topic_name="/data/Product2ChangeEvent"))
    assert topic.schema_id == new.event.schema_id
    assert "BC_Item_Id__c" in await world.decode(old)
    assert "BC_Item_Id__c" not in await world.decode(new)
