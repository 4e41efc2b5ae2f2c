"""The package an administrator deploys: complete, consistent, and no wider than needed."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "salesforce-package"
SOURCE = PACKAGE / "force-app" / "main" / "default"
SPACE = "{http://soap.sforce.com/2006/04/metadata}"

EXTERNAL = {
    "type": "Text",
    "length": "80",
    "externalId": "true",
    "unique": "true",
    "caseSensitive": "false",
}
AMOUNT = {"type": "Currency", "precision": "18", "scale": "2"}
PERCENT = {"type": "Number", "precision": "5", "scale": "2"}


def text(length: int) -> dict[str, str]:
    """What a text field of this length declares."""
    return {"type": "Text", "length": str(length), "externalId": "false", "unique": "false"}


FIELDS = {
    "Account.BC_Customer_Id__c": EXTERNAL,
    "Account.BC_Customer_Number__c": text(20),
    "Account.BC_Balance__c": AMOUNT,
    "Account.BC_Overdue__c": AMOUNT,
    "Account.BC_Credit_Limit__c": AMOUNT,
    "Account.BC_Blocked__c": text(10),
    "Account.BC_Sync_Status__c": text(40),
    "Account.BC_Sync_Message__c": text(255),
    "Account.BC_As_Of__c": {"type": "DateTime"},
    "Contact.BC_Contact_Id__c": EXTERNAL,
    "Product2.BC_Item_Id__c": EXTERNAL,
    "Product2.BC_Item_Number__c": text(20),
    "Order.BC_Order_Id__c": EXTERNAL,
    "Order.BC_Order_Number__c": text(20),
    "Order.BC_Order_Status__c": text(40),
    "Order.BC_Shipped_Percent__c": PERCENT,
    "Order.BC_Invoiced_Percent__c": PERCENT,
    "Order.BC_Invoice_Numbers__c": text(255),
    "Order.BC_Invoiced_Amount__c": AMOUNT,
    "Order.BC_Paid_Amount__c": AMOUNT,
    "Order.BC_Open_Amount__c": AMOUNT,
    "Order.BC_Due_Date__c": {"type": "Date"},
    "Order.BC_Payment_Status__c": text(40),
    "Order.BC_Sync_Status__c": text(40),
    "Order.BC_Sync_Message__c": text(255),
    "Order.BC_As_Of__c": {"type": "DateTime"},
}


def tree(path: Path) -> ET.Element:
    """The root of a metadata file."""
    return ET.parse(path).getroot()  # noqa: S314 - our own package


def values(node: ET.Element, name: str) -> list[str]:
    """The texts of the children of this name."""
    return [child.text or "" for child in node.findall(SPACE + name)]


def permission_set() -> ET.Element:
    """The permission set of the run-as user."""
    return tree(SOURCE / "permissionsets" / "ML_Connector.permissionset-meta.xml")


def shipped_fields() -> dict[str, Path]:
    """Object and field name of each field file."""
    return {
        f"{path.parts[-3]}.{path.name.removesuffix('.field-meta.xml')}": path
        for path in SOURCE.glob("objects/*/fields/*.field-meta.xml")
    }


def test_every_field_is_shipped_and_no_other() -> None:
    """The package has exactly the fields the connector writes."""
    assert shipped_fields().keys() == FIELDS.keys()


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_a_field_has_its_type(name: str) -> None:
    """Type, length and uniqueness are as documented; no field is required; each explains itself."""
    node = tree(shipped_fields()[name])

    for key, value in FIELDS[name].items():
        assert values(node, key) == [value]
    assert values(node, "fullName") == [name.partition(".")[2]]
    assert values(node, "required") == ["false"]
    assert 0 < len(values(node, "inlineHelpText")[0]) <= 255


def test_the_permission_set_grants_every_field() -> None:
    """Without field-level security a new field is invisible; each one is readable and editable."""
    granted = {
        values(node, "field")[0]
        for node in permission_set().findall(SPACE + "fieldPermissions")
        if values(node, "readable") == values(node, "editable") == ["true"]
    }

    assert FIELDS.keys() <= granted


def test_the_permission_set_is_narrow() -> None:
    """Nothing may be deleted, no Account, Contact or Order created, no setup permission held."""
    node = permission_set()
    rights = {
        values(entry, "object")[0]: entry for entry in node.findall(SPACE + "objectPermissions")
    }

    assert not [name for name, entry in rights.items() if values(entry, "allowDelete") != ["false"]]
    assert [name for name, entry in rights.items() if values(entry, "allowCreate") == ["true"]] == [
        "Product2"
    ]
    names = {values(entry, "name")[0] for entry in node.findall(SPACE + "userPermissions")}
    assert names == {"ApiEnabled", "EditActivatedOrders"}


def test_required_fields_are_not_listed() -> None:
    """A permission set that names a required field cannot be deployed."""
    listed = {
        values(node, "field")[0] for node in permission_set().findall(SPACE + "fieldPermissions")
    }

    required = {"Account.Name", "Contact.LastName", "Contact.Name", "Order.Status"}
    assert listed.isdisjoint({*required, "Order.EffectiveDate", "Product2.Name"})


def test_five_entities_send_change_events_and_may_be_seen() -> None:
    """The free allowance is used, and each entity has View All, which its topic asks for."""
    members = [tree(path) for path in SOURCE.glob("platformEventChannelMembers/*.xml")]
    entities = {values(node, "selectedEntity")[0].removesuffix("ChangeEvent") for node in members}
    seen = {
        values(entry, "object")[0]
        for entry in permission_set().findall(SPACE + "objectPermissions")
        if values(entry, "viewAllRecords") == ["true"]
    }

    assert entities == {"Account", "Contact", "Opportunity", "Order", "Product2"}
    assert entities <= seen


def test_the_manifest_names_every_component() -> None:
    """`package.xml` lists what lies in the folder, each once."""
    listed = {
        values(entry, "name")[0]: values(entry, "members")
        for entry in tree(PACKAGE / "manifest" / "package.xml").findall(SPACE + "types")
    }
    layouts = [
        f"{path.parts[-3]}.{path.name.partition('.')[0]}"
        for path in SOURCE.glob("objects/*/compactLayouts/*.xml")
    ]
    members = [
        path.name.partition(".")[0] for path in SOURCE.glob("platformEventChannelMembers/*.xml")
    ]

    assert listed["CustomField"] == sorted(FIELDS)
    assert listed["CompactLayout"] == sorted(layouts)
    assert listed["PlatformEventChannelMember"] == sorted(members)
    assert listed["PermissionSet"] == ["ML_Connector"]
