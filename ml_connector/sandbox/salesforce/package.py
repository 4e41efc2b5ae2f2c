"""Reads the deployable metadata of a Salesforce package: custom fields and a permission set."""

import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path

from ml_connector.sandbox.salesforce.schema import Field

_SPACE = "{http://soap.sforce.com/2006/04/metadata}"
_SOURCE = Path("force-app/main/default")


class PackageError(ValueError):
    """The metadata could not be deployed to a real org either."""


@dataclass(frozen=True, slots=True)
class ObjectPermission:
    """What a permission set lets a user do with records of one object."""

    create: bool
    read: bool
    edit: bool
    delete: bool
    view_all: bool


@dataclass(slots=True)
class Package:
    """Custom fields by object, and what the permission set grants."""

    fields: dict[str, list[Field]] = field(default_factory=dict)
    readable: set[str] = field(default_factory=set)
    editable: set[str] = field(default_factory=set)
    objects: dict[str, ObjectPermission] = field(default_factory=dict)
    user_permissions: set[str] = field(default_factory=set)


def read_package(directory: Path | None) -> Package:
    """The package in this SFDX project folder; an empty one for None."""
    package = Package()
    if directory is None:
        return package
    source = directory / _SOURCE
    if not source.is_dir():
        raise PackageError(f"{directory} has no {_SOURCE}")
    for path in sorted(source.glob("objects/*/fields/*.field-meta.xml")):
        made = custom_field(_tree(path))
        if f"{made.name}.field-meta.xml" != path.name:
            raise PackageError(f"{path.name} declares {made.name}")
        package.fields.setdefault(path.parts[-3], []).append(made)
    for path in sorted(source.glob("permissionsets/*.permissionset-meta.xml")):
        grant(package, _tree(path))
    return package


def _tree(path: Path) -> ET.Element:
    return ET.parse(path).getroot()  # noqa: S314 - our own package, read from disk


def _text(node: ET.Element, name: str, default: str = "") -> str:
    return node.findtext(_SPACE + name, default).strip()


def _flag(node: ET.Element, name: str) -> bool:
    return _text(node, name) == "true"


def _number(node: ET.Element, name: str) -> int:
    return int(_text(node, name, "0"))


def custom_field(node: ET.Element) -> Field:
    """The column that a CustomField declares; PackageError when it could not be deployed."""
    name = _text(node, "fullName")
    if not name.endswith("__c") or not _text(node, "label"):
        raise PackageError(f"{name or 'a field'}: a custom field needs a name with __c and a label")
    kind = _text(node, "type")
    made = {
        "Text": "string",
        "TextArea": "textarea",
        "LongTextArea": "textarea",
        "Number": "double",
        "Currency": "currency",
        "Percent": "percent",
        "Date": "date",
        "DateTime": "datetime",
        "Checkbox": "boolean",
        "Email": "email",
        "Phone": "phone",
        "Url": "url",
        "Picklist": "picklist",
        "Lookup": "reference",
    }.get(kind)
    if made is None:
        raise PackageError(f"{name}: the type {kind} is not known here")
    if made == "string" and not 0 < _number(node, "length") <= 255:
        raise PackageError(f"{name}: a text needs a length of 1 to 255")
    length = {"TextArea": 255, "Email": 80, "Phone": 40, "Url": 255, "Picklist": 255}.get(
        kind, _number(node, "length")
    )
    if made == "boolean" and not _text(node, "defaultValue"):
        raise PackageError(f"{name}: a checkbox needs a default value")
    if made in ("double", "currency", "percent") and not _text(node, "precision"):
        raise PackageError(f"{name}: a number needs precision and scale")
    values = node.findall(f".//{_SPACE}value/{_SPACE}fullName")
    required = _flag(node, "required")
    return Field(
        name=name,
        kind=made,
        label=_text(node, "label"),
        length=18 if made == "reference" else length,
        precision=_number(node, "precision"),
        scale=_number(node, "scale"),
        nillable=not required and made != "boolean",
        default=_text(node, "defaultValue") == "true" if made == "boolean" else None,
        defaulted=made == "boolean",
        unique=_flag(node, "unique"),
        case_sensitive=_flag(node, "caseSensitive"),
        external_id=_flag(node, "externalId"),
        id_lookup=_flag(node, "externalId"),
        reference_to=(_text(node, "referenceTo"),) if made == "reference" else (),
        relationship=name.removesuffix("__c") + "__r" if made == "reference" else None,
        picklist=tuple(value.text or "" for value in values),
        restricted=node.find(f".//{_SPACE}restricted") is not None,
        custom=True,
        indexed=_flag(node, "externalId") or _flag(node, "unique"),
    )


def grant(package: Package, node: ET.Element) -> None:
    """Add what a PermissionSet grants."""
    for entry in node.findall(_SPACE + "fieldPermissions"):
        name = _text(entry, "field")
        if _flag(entry, "readable"):
            package.readable.add(name)
        if _flag(entry, "editable"):
            package.editable.add(name)
    for entry in node.findall(_SPACE + "objectPermissions"):
        package.objects[_text(entry, "object")] = ObjectPermission(
            create=_flag(entry, "allowCreate"),
            read=_flag(entry, "allowRead"),
            edit=_flag(entry, "allowEdit"),
            delete=_flag(entry, "allowDelete"),
            view_all=_flag(entry, "viewAllRecords"),
        )
    for entry in node.findall(_SPACE + "userPermissions"):
        if _flag(entry, "enabled"):
            package.user_permissions.add(_text(entry, "name"))
