"""Examines the files of a deployed archive as the platform does, and installs them."""

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ml_connector.sandbox.salesforce.event_store import SELECTED_ENTITIES, selected_entities
from ml_connector.sandbox.salesforce.objects import USER_PERMISSIONS
from ml_connector.sandbox.salesforce.org import SalesforceOrg
from ml_connector.sandbox.salesforce.package import Package, PackageError, custom_field, grant
from ml_connector.sandbox.salesforce.schema import Field

_SPACE = "{http://soap.sforce.com/2006/04/metadata}"
_MANIFEST = "package.xml"
_IN_OBJECTS = {"fields": "CustomField", "compactLayouts": "CompactLayout"}
_FOLDERS = {
    "permissionsets": ("PermissionSet", ".permissionset"),
    "platformEventChannelMembers": ("PlatformEventChannelMember", ".platformEventChannelMember"),
}
_KNOWN = frozenset({*_IN_OBJECTS.values(), *(kind for kind, _ in _FOLDERS.values())})
_ORDER = ("CustomField", "CompactLayout", "PermissionSet", "PlatformEventChannelMember")


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a component is refused."""

    kind: str
    file: str
    text: str
    name: str = ""

    def shown(self) -> dict[str, Any]:
        """The problem as componentFailures list it."""
        return {
            "componentType": self.kind,
            "fileName": self.file,
            "fullName": self.name or self.file,
            "problem": self.text,
            "problemType": "Error",
            "success": False,
            "created": False,
            "changed": False,
            "deleted": False,
            "lineNumber": None,
            "columnNumber": None,
        }


@dataclass(slots=True)
class Installation:
    """One archive on its way into the org."""

    org: SalesforceOrg
    problems: list[Problem] = field(default_factory=list)
    successes: list[dict[str, Any]] = field(default_factory=list)
    _package: Package = field(default_factory=Package)
    _channels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _layouts: dict[tuple[str, str], bytes] = field(default_factory=dict)
    _has_permission_set: bool = False

    def examine(self, files: Mapping[str, bytes], version: float) -> None:
        """Look at every component; what is wrong goes into `problems`."""
        wanted = self._manifest(files, version)
        if self.problems:
            return
        found: dict[tuple[str, str], tuple[str, ET.Element]] = {}
        for file, kind, name, node in self._components(files):
            if (kind, name) in found:
                self._refuse(kind, file, f"Duplicate name: {name}", name)
            found[kind, name] = (file, node)
        for kind, name in sorted(wanted - found.keys()):
            text = f"{name} is named in package.xml and not found in the archive"
            self._refuse(kind, _MANIFEST, text, name)
        for kind, name in sorted(found.keys() - wanted):
            self._refuse(kind, found[kind, name][0], "It is not in package.xml", name)
        self._begin()
        for kind in _ORDER:
            for (each, name), (file, node) in sorted(found.items()):
                if each == kind:
                    self._component(kind, name, file, node)

    def carry_out(self) -> None:
        """Install what was examined."""
        self.org.install(self._package)
        self._kept_metadata.update(self._layouts)
        if self._has_permission_set:
            self.org.place_permission_set(assigned=False)
        if self.org.event_store is not None:
            self.org.event_store.channels = dict(self._channels)

    def _begin(self) -> None:
        """Start from what the org has now."""
        present = self.org.package
        self._package = Package(
            fields={name: list(columns) for name, columns in present.fields.items()},
            readable=set(present.readable),
            editable=set(present.editable),
            objects=dict(present.objects),
            user_permissions=set(present.user_permissions),
        )
        store = self.org.event_store
        self._channels = dict(store.channels) if store is not None else {}

    def _refuse(self, kind: str, file: str, text: str, name: str = "") -> None:
        self.problems.append(Problem(kind, file, text, name))

    def _manifest(self, files: Mapping[str, bytes], version: float) -> set[tuple[str, str]]:
        if _MANIFEST not in files:
            self._refuse("", _MANIFEST, "No package.xml found")
            return set()
        node = self._tree(_MANIFEST, files[_MANIFEST])
        if node is None:
            return set()
        said = node.findtext(_SPACE + "version", "").strip()
        if not said.endswith(".0") or not said[:-2].isdigit() or not 31 <= float(said) <= version:
            self._refuse("", _MANIFEST, f"Invalid version {said or '(none)'}")
        wanted: set[tuple[str, str]] = set()
        for entry in node.findall(_SPACE + "types"):
            kind = entry.findtext(_SPACE + "name", "").strip()
            if kind not in _KNOWN:
                self._refuse("", _MANIFEST, f"Unknown type name '{kind}' in package.xml")
                continue
            wanted |= {
                (kind, (each.text or "").strip()) for each in entry.findall(_SPACE + "members")
            }
        return wanted

    def _tree(self, file: str, content: bytes) -> ET.Element | None:
        try:
            return ET.fromstring(content)  # noqa: S314 - what a client of this sandbox sent
        except ET.ParseError as error:
            self._refuse("", file, f"Error parsing file: {error}")
            return None

    def _components(self, files: Mapping[str, bytes]) -> Iterator[tuple[str, str, str, ET.Element]]:
        for file, content in sorted(files.items()):
            if file == _MANIFEST:
                continue
            folder, _, rest = file.partition("/")
            node = self._tree(file, content)
            if node is None:
                continue
            if folder == "objects" and rest.endswith(".object"):
                name = rest.removesuffix(".object")
                for child in node:
                    kind = _IN_OBJECTS.get(child.tag.removeprefix(_SPACE))
                    if kind is None:
                        self._refuse("CustomObject", file, f"Unknown element {child.tag}", name)
                        continue
                    part = child.findtext(_SPACE + "fullName", "").strip()
                    yield file, kind, f"{name}.{part}", child
            elif folder in _FOLDERS and rest.endswith(_FOLDERS[folder][1]):
                kind, ending = _FOLDERS[folder]
                yield file, kind, rest.removesuffix(ending), node
            else:
                self._refuse("", file, "The folder or ending is not known")

    def _component(self, kind: str, name: str, file: str, node: ET.Element) -> None:
        checks = {
            "CustomField": self._custom_field,
            "CompactLayout": self._compact_layout,
            "PermissionSet": self._permission_set,
            "PlatformEventChannelMember": self._channel_member,
        }
        try:
            created, changed = checks[kind](name, node)
        except PackageError as error:
            self._refuse(kind, file, str(error), name)
            return
        self.successes.append(
            {
                "componentType": kind,
                "fileName": file,
                "fullName": name,
                "success": True,
                "created": created,
                "changed": changed,
                "deleted": False,
            }
        )

    def _custom_field(self, name: str, node: ET.Element) -> tuple[bool, bool]:
        sobject = self.org.schema.find(name.partition(".")[0])
        if sobject is None:
            raise PackageError(f"There is no object {name.partition('.')[0]}")
        made = custom_field(node)
        columns = self._package.fields.setdefault(sobject.name, [])
        old = next((each for each in columns if each.name.lower() == made.name.lower()), None)
        if old is not None and old.kind != made.kind:
            raise PackageError(f"A {old.kind} cannot become a {made.kind}")
        if old is None:
            self._check_external_ids(columns, made)
            columns.append(made)
            return True, True
        columns[columns.index(old)] = made
        return False, old != made

    @staticmethod
    def _check_external_ids(columns: list[Field], made: Field) -> None:
        if made.external_id and sum(each.external_id for each in columns) >= 25:
            raise PackageError("An object has at most 25 external id fields")

    def _has_field(self, sobject: str, name: str) -> bool:
        found = self.org.schema.find(sobject)
        if found is None:
            return False
        deployed = self._package.fields.get(found.name, [])
        return found.find(name) is not None or any(each.name == name for each in deployed)

    def _compact_layout(self, name: str, node: ET.Element) -> tuple[bool, bool]:
        sobject = name.partition(".")[0]
        fields = [(each.text or "").strip() for each in node.findall(_SPACE + "fields")]
        if not fields or not node.findtext(_SPACE + "label", "").strip():
            raise PackageError("A compact layout needs a label and fields")
        missing = [each for each in fields if not self._has_field(sobject, each)]
        if missing:
            raise PackageError(f"no field {missing[0]} on {sobject}")
        return self._kept("CompactLayout", name, node)

    def _kept(self, kind: str, name: str, node: ET.Element) -> tuple[bool, bool]:
        """Whether a component is new or other than what was deployed before."""
        before, now = self._kept_metadata.get((kind, name)), ET.tostring(node)
        self._layouts[kind, name] = now
        return before is None, before != now

    @property
    def _kept_metadata(self) -> dict[tuple[str, str], bytes]:
        kept: dict[tuple[str, str], bytes] = self.org.services.setdefault("metadata", {})
        return kept

    def _permission_set(self, name: str, node: ET.Element) -> tuple[bool, bool]:
        granted = Package(fields=self._package.fields)
        grant(granted, node)
        for entry in sorted(granted.readable | granted.editable):
            sobject, _, field_name = entry.partition(".")
            if not self._has_field(sobject, field_name):
                raise PackageError(f"In field: field - no CustomField named {entry} found")
            found = self.org.schema.find(sobject)
            column = found.find(field_name) if found else None
            if column is not None and column.required:
                raise PackageError(f"You cannot deploy to a required field: {entry}")
        unknown = [each for each in granted.objects if self.org.schema.find(each) is None]
        if unknown:
            raise PackageError(f"no CustomObject named {unknown[0]} found")
        odd = sorted(granted.user_permissions - set(USER_PERMISSIONS))
        if odd:
            raise PackageError(f"Unknown user permission: {odd[0]}")
        before = self._package
        same = (before.readable, before.editable, before.objects, before.user_permissions) == (
            granted.readable,
            granted.editable,
            granted.objects,
            granted.user_permissions,
        )
        is_new = not any(
            row["Name"] == name for row in self.org.table("PermissionSet").rows.values()
        )
        self._package = granted
        self._has_permission_set = True
        return is_new, is_new or not same

    def _channel_member(self, name: str, node: ET.Element) -> tuple[bool, bool]:
        channel = node.findtext(_SPACE + "eventChannel", "").strip()
        event = node.findtext(_SPACE + "selectedEntity", "").strip()
        entity = event.removesuffix("ChangeEvent")
        if name != f"{channel.replace('__', '_')}_{event}" or entity == event:
            raise PackageError(f"The member selects {event} on {channel}")
        if self.org.schema.find(entity) is None:
            raise PackageError(f"no entity {event} found")
        members = self._channels.get(channel, ())
        if entity in members:
            return False, False
        changed = {**self._channels, channel: (*members, entity)}
        if len(selected_entities(changed)) > SELECTED_ENTITIES:
            raise PackageError(f"At most {SELECTED_ENTITIES} entities may be selected")
        self._channels = changed
        return True, True
