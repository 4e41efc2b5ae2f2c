"""The Salesforce package as the archive that the Metadata API takes.

The folder is in source form, one file per field; the API wants one file per object, named as the
manifest names its parts. Source: Metadata API Developer Guide, "Working with the Zip File".
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

from ml_connector.errors import ConfigurationError

NAMESPACE = "http://soap.sforce.com/2006/04/metadata"
_SPACE = f"{{{NAMESPACE}}}"
_SOURCE = Path("force-app/main/default")
_PARTS = (
    ("fields", "CustomField", "fields"),
    ("compactLayouts", "CompactLayout", "compactLayouts"),
)
"""Folder below an object, root of its files, name of the element in the object's file."""
_WHOLE = (
    ("permissionsets", "permissionset"),
    ("platformEventChannelMembers", "platformEventChannelMember"),
)
"""Folders whose files go in as they are, and the ending of their names."""
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""A fixed time of every entry: equal folders make equal archives."""


def package_folder() -> Path:
    """Return where the package lies in an installation from the repository."""
    return Path(__file__).resolve().parents[2] / "salesforce-package"


def package_archive(folder: Path, api_version: str) -> bytes:
    """Return the archive of the package in *folder*, its manifest at *api_version*.

    Raises: ConfigurationError when there is no package or one of its files is no XML.
    """
    manifest = folder / "manifest" / "package.xml"
    if not manifest.is_file():
        raise ConfigurationError(
            f"There is no Salesforce package in {folder}.",
            code="no_package",
            remedy="Name the folder salesforce-package of the repository with --source.",
        )
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in [(manifest.name, _manifest(manifest, api_version)), *_files(folder)]:
            entry = zipfile.ZipInfo(name, _LONG_AGO)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return content.getvalue()


def _manifest(path: Path, api_version: str) -> bytes:
    root = _tree(path)
    version = root.find(f"{_SPACE}version")
    if version is None:
        version = ET.SubElement(root, f"{_SPACE}version")
    version.text = api_version
    return _text(root)


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    source = folder / _SOURCE
    for directory in sorted(path for path in (source / "objects").glob("*") if path.is_dir()):
        yield f"objects/{directory.name}.object", _object(directory)
    for name, ending in _WHOLE:
        for path in sorted((source / name).glob(f"*.{ending}-meta.xml")):
            yield f"{name}/{path.name.removesuffix('-meta.xml')}", _text(_tree(path))


def _object(directory: Path) -> bytes:
    """Return one object's file with everything that lies in its folder."""
    root = ET.Element(f"{_SPACE}CustomObject")
    for folder, kind, element in _PARTS:
        for path in sorted((directory / folder).glob("*-meta.xml")):
            found = _tree(path)
            if found.tag != f"{_SPACE}{kind}":
                raise _unreadable(path, f"is no {kind}")
            found.tag = f"{_SPACE}{element}"
            root.append(found)
    return _text(root)


def _tree(path: Path) -> ET.Element:
    try:
        return ET.parse(path).getroot()  # noqa: S314  # our own package, read from disk
    except ET.ParseError as error:
        raise _unreadable(path, "is no XML") from error


def _unreadable(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path.name} of the Salesforce package {why}.",
        code="no_package",
        remedy="Restore the file from the repository.",
    )


def _text(root: ET.Element) -> bytes:
    ET.register_namespace("", NAMESPACE)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))
