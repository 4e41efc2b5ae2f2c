"""The permission sets for Business Central: in the form its import takes, and narrow."""

import xml.etree.ElementTree as ET
from pathlib import Path

FILE = Path(__file__).parents[2] / "business-central-permissions" / "ml-connector.xml"
BASE_APPLICATION = "437dbf0e-84ff-417a-965d-ed2bb9650972"
RELATION = ["ObjectType", "ObjectRelatedScope", "ObjectRelatedRoleId", "ObjectRelatedAppId"]
PERMISSION = [
    "ObjectType", "ObjectID", "ReadPermission", "InsertPermission", "ModifyPermission",
    "DeletePermission", "ExecutePermission", "SecurityFilter", "PermissionType",
]  # fmt: skip
"""Elements of the import port, in its order."""

NEVER_DELETED = {"18", "27", "36", "5050"}
"""Customer, Item, Sales Header, Contact."""


def sets() -> dict[str, ET.Element]:
    """Return the permission sets by role."""
    root = ET.parse(FILE).getroot()  # noqa: S314  # our own file
    assert root.tag == "PermissionSets"
    assert root.get("Version")
    return {each.attrib["RoleID"]: each for each in root}


def test_the_file_has_the_form_of_the_import() -> None:
    """Attributes, elements and their order are those of Business Central's import port."""
    found = sets()

    assert list(found) == ["ML-CONNECTOR", "ML-CONNECTOR-POST", "ML-CONNECTOR-ITEMS"]
    for role, node in found.items():
        assert node.tag == "TenantPermissionSet"
        assert list(node.attrib) == ["RoleID", "RoleName", "Assignable"]
        assert len(role) <= 20
        assert len(node.attrib["RoleName"]) <= 30
        names = [child.tag for child in node]
        assert names == sorted(names, key=["TenantPermissionSetRel", "TenantPermission"].index)
        for child in node:
            wanted = RELATION if child.tag == "TenantPermissionSetRel" else PERMISSION
            assert [each.tag for each in child] == wanted


def test_master_data_and_documents_cannot_be_deleted() -> None:
    """What the delivered sets allow beyond the connector's need is taken away; SUPER is not in."""
    found = sets()

    def excluded(role: str) -> set[str]:
        lines = found[role].findall("TenantPermission")
        assert {line.findtext("PermissionType") for line in lines} <= {"1"}
        return {str(line.findtext("ObjectID")) for line in lines}

    included = {
        str(relation.findtext("ObjectRelatedRoleId"))
        for node in found.values()
        for relation in node.findall("TenantPermissionSetRel")
    }
    assert excluded("ML-CONNECTOR") == NEVER_DELETED
    assert excluded("ML-CONNECTOR-ITEMS") == {"27"}
    assert "SUPER" not in included
    assert "D365 SALES DOC, POST" in included
