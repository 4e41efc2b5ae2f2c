"""Write the reference pages that follow from the code; `--check` only names the stale ones.

Usage: python docs/generate.py [--check]
"""

from __future__ import annotations

import argparse
import ast
import inspect
import sys
import typing
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree as ET

import yaml
from pydantic import BaseModel, SecretStr

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"
NOTE = "<!-- Written by docs/generate.py; change the code it names, then run `make docs`. -->"

SYSTEM_KEYS: Mapping[str, str] = {
    "my_domain_url": "Address of the org's My Domain; a sandbox org has its own.",
    "client_id": "Id of the app: consumer key in Salesforce, application (client) id in Entra.",
    "client_secret": "Secret of the app: `env:NAME`, `file:PATH`, or the literal (with a warning).",
    "api_version": "REST API version; `check` tells when the org does not serve it.",
    "pubsub_endpoint": "Host and port of the Pub/Sub API that change events come from.",
    "tenant_id": "Entra tenant: its GUID or a verified domain.",
    "environment": "Name of the Business Central environment.",
    "company_id": "Id of the company; or name it by `company_name`, never both.",
    "company_name": "Name of the company, in place of `company_id`.",
    "local_currency": "ISO code of the company's own currency.",
    "base_url": "Address of the API; changed for the sandbox only.",
    "authority": "Address of the sign-in service; the tenant is appended.",
    "notification_url": "Public https address of the receiver; empty: poll only.",
    "max_in_flight": "Requests open at a time, 1 to 5; share the 5 among several workers.",
    "reference_prefix": "Text put before the reference.",
    "ca_file": "A private CA's certificate in PEM form, trusted besides the system's own.",
}
"""Keys whose meaning the code leaves to their name."""


def main() -> int:
    """Write every page, or with --check name those that are not current."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when stale")
    checking = parser.parse_args().check
    sys.path.insert(0, str(ROOT))
    stale = stale_pages()
    for name, text in stale.items():
        if not checking:
            (REFERENCE / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{'stale' if checking else 'written'}: docs/reference/{name}\n")
    return 1 if checking and stale else 0


def stale_pages() -> dict[str, str]:
    """Return the pages whose file differs from what the code says, with their new text."""
    stale = {}
    for name, page in PAGES.items():
        path, text = REFERENCE / name, page()
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale[name] = text
    return stale


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Return a Markdown table."""
    names = list(headings)
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    for row in rows:
        cells = (" ".join(cell.split()).replace("|", "\\|") for cell in row)
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def page_of(title: str, intro: str, *parts: Iterable[str]) -> str:
    """Return a page with its title, the note on who writes it, and its parts."""
    lines = [f"# {title}", "", NOTE, "", intro, ""]
    for part in parts:
        lines.extend(part)
    return "\n".join(lines).rstrip() + "\n"


def texts_below(source: str) -> dict[str, str]:
    """Return name → the string that stands below its assignment, for classes as `Class.name`."""
    found: dict[str, str] = {}

    def look(body: list[ast.stmt], prefix: str) -> None:
        for statement, following in zip(body, [*body[1:], None], strict=True):
            if isinstance(statement, ast.ClassDef):
                look(statement.body, f"{statement.name}.")
            target = _assigned(statement)
            if target and isinstance(following, ast.Expr):
                value = following.value
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    found[prefix + target] = value.value

    look(ast.parse(source).body, "")
    return found


def _assigned(statement: ast.stmt) -> str:
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return statement.target.id
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0].id
    return ""


def default_of(value: Any) -> str:
    """Return a default as it would stand in the connection file."""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return "`[" + ", ".join(f'"{each}"' for each in value) + "]`"
    if isinstance(value, str | SecretStr):
        return f'`"{value}"`'
    return f"`{value}`" if isinstance(value, int | float | Decimal) else ""


def words_of(annotation: Any) -> list[str]:
    """Return the words a Literal allows, also inside a tuple; [] for any other type."""
    if typing.get_origin(annotation) is Literal:
        return [str(word) for word in typing.get_args(annotation)]
    return [word for part in typing.get_args(annotation) for word in words_of(part)]


def model_rows(model: type[BaseModel]) -> Iterable[tuple[str, str, str]]:
    """Yield key, default and meaning of each setting of *model*."""
    texts = texts_below(inspect.getsource(model))
    for name, info in model.model_fields.items():
        key = "ca_file" if name == "ca_pem" else name
        meaning = SYSTEM_KEYS.get(key) or texts[f"{model.__name__}.{name}"]
        words = words_of(info.annotation)
        if words:
            meaning = f"{meaning} One of {', '.join(f'`{word}`' for word in words)}."
        required = info.is_required()
        yield f"`{key}`", "required" if required else default_of(info.default), meaning


def connection_file() -> str:
    """Return the page on connection.toml."""
    settings = import_module("ml_connector.configuration.settings")
    fields = import_module("ml_connector.configuration.fields")
    heads = ("key", "default", "meaning")
    parts: list[list[str]] = []
    for title, model in (
        ("[salesforce]", settings.SalesforceSettings),
        ("[business_central]", settings.BusinessCentralSettings),
    ):
        parts.append([f"## {title}", "", *table(heads, model_rows(model))])
    parts.append([
        "## [ledger]", "",
        *table(heads, [(
            "`url`", '`"sqlite:///ledger.db"`',
            "`sqlite:///FILE`, or `postgresql+psycopg://USER:PASSWORD@HOST/DATABASE` for several "
            "workers; `env:NAME` and `file:PATH` keep a password out of the file.",
        )]),
    ])  # fmt: skip
    for name, info in settings.Policies.model_fields.items():
        if name == "fields":
            continue
        model = info.annotation
        doc = str(model.__doc__ or "").splitlines()[0]
        parts.append([f"## [policy.{name}]", "", doc, "", *table(heads, model_rows(model))])
    pairs = ", ".join(f"`{sobject}` ↔ `{entity}`" for sobject, entity in fields.PARTNERS.items())
    parts.append([
        "## [[policy.fields]]", "",
        f"Custom fields, one table each; possible between {pairs}. How to: "
        "[add a custom field](../how-to/add-a-custom-field.md).", "",
        *table(heads, model_rows(fields.FieldMapping)),
    ])  # fmt: skip
    return page_of(
        "The connection file",
        "`ml-connector connect FILE` reads a TOML file: where the two systems are, where the "
        "ledger lies, and the policy that decides. `name` (small letters, digits, hyphens, at most "
        "40) stands at the top and is what every command and flow takes. An unknown key is an "
        "error that names the nearest known one. Relative paths start at the file's folder. "
        "Nothing takes effect before `connect` is run again.",
        *parts,
    )


def causes() -> str:
    """Return the catalogue of causes and the tree of errors."""
    module = import_module("ml_connector.domain.causes")
    groups = _cause_groups(inspect.getsource(module.Cause))
    parts = []
    for state, intro in (
        ("waiting", "Released by itself when what is missing arrives."),
        ("parked", "A person has to act in one of the two systems; the next run looks again."),
        ("excluded", "Left out by a rule; nothing has to be done."),
    ):
        rows = [
            (f"`{cause}`", str(module.CATALOGUE[cause].owner), module.CATALOGUE[cause].remedy)
            for cause in module.Cause
            if groups[cause.name] == state
        ]
        head = [f"## {state.capitalize()}", "", intro, ""]
        parts.append(head + table(("cause", "who", "what to do"), rows))
    return page_of(
        "Causes and errors",
        "Why a record waits, is parked or is left out: the `cause` in `status --json`, in the "
        "ledger, in the run's artifact and in `replay --cause`. *who* is the team that can cure "
        "it. The message beside a cause names the record and the value it is about. How to cure: "
        "[parked records](../how-to/cure-parked-records.md).",
        *parts,
        _errors(),
    )


def _cause_groups(source: str) -> dict[str, str]:
    """Return cause name → the state that the comment above its group names."""
    groups, state = {}, ""
    for line in source.splitlines():
        text = line.strip()
        if text.startswith("# "):
            state = text[2:].partition(":")[0]
        elif " = " in text and text.split(" = ")[0].isupper():
            groups[text.split(" = ")[0]] = state
    return groups


def _errors() -> list[str]:
    module = import_module("ml_connector.errors")
    classes: dict[str, Any] = {
        name: each
        for name, each in vars(module).items()
        if inspect.isclass(each) and issubclass(each, module.ConnectorError)
    }
    rows = [
        (
            f"`{name}`",
            f"`{each.__mro__[1].__name__}`",
            f"`{each.default_code}`",
            str(each.__doc__).splitlines()[0],
        )
        for name, each in classes.items()
    ]
    intro = (
        "What ends a run, a task or one record. The code is `error.code` in `--json`; a vendor's "
        "own code takes its place where there is one."
    )
    heads = ("error", "a kind of", "code", "means")
    return ["## Errors", "", intro, "", *table(heads, rows)]


def salesforce_fields() -> str:
    """Return the page on what salesforce-package/ adds to an org."""
    base = ROOT / "salesforce-package" / "force-app" / "main" / "default"
    parts = []
    for folder in sorted((base / "objects").iterdir()):
        rows = [_field_row(path) for path in sorted((folder / "fields").glob("*.xml"))]
        parts.append([f"## {folder.name}", "", *table(("field", "type", "meaning"), rows)])
    root = ET.parse(next((base / "permissionsets").iterdir())).getroot()  # noqa: S314
    parts.append(["## Permission set ML_Connector", "", *_permissions(root)])
    channel = sorted(path.name for path in (base / "platformEventChannelMembers").iterdir())
    entities = [name.partition("_")[2].partition("ChangeEvent.")[0] for name in channel]
    parts.append(["## Change events", "", f"Selected: {', '.join(entities)}.", ""])
    return page_of(
        "Fields on Salesforce",
        "What [salesforce-package](../../salesforce-package/README.md) adds to an org. Only the "
        "connector writes these fields; people read them. How each value is derived: "
        "[status](../explanation/status.md).",
        *parts,
    )


def _text_of(element: ET.Element, name: str) -> str:
    found = next((child for child in element if child.tag.rpartition("}")[2] == name), None)
    return (found.text or "") if found is not None else ""


def _field_row(path: Path) -> tuple[str, str, str]:
    root = ET.parse(path).getroot()  # noqa: S314  # our own file
    kind = _text_of(root, "type")
    if kind == "Text":
        kind += f"({_text_of(root, 'length')})"
    elif _text_of(root, "precision"):
        digits = int(_text_of(root, "precision")) - int(_text_of(root, "scale"))
        kind += f"({digits + int(_text_of(root, 'scale'))},{_text_of(root, 'scale')})"
    if _text_of(root, "externalId") == "true":
        kind += ", unique External Id"
    meaning = _text_of(root, "inlineHelpText") or _text_of(root, "description")
    return f"`{_text_of(root, 'fullName')}`", kind, meaning


def _permissions(root: ET.Element) -> list[str]:
    objects, users = [], []
    for each in root:
        kind = each.tag.rpartition("}")[2]
        if kind == "objectPermissions":
            rights = [
                word
                for name, word in (
                    ("allowRead", "read"), ("allowEdit", "edit"), ("allowCreate", "create"),
                    ("allowDelete", "delete"), ("viewAllRecords", "view all"),
                    ("modifyAllRecords", "modify all"),
                )
                if _text_of(each, name) == "true"
            ]  # fmt: skip
            objects.append((_text_of(each, "object"), ", ".join(rights)))
        elif kind == "userPermissions":
            users.append(f"`{_text_of(each, 'name')}`")
    return [
        *table(("object", "the run-as user may"), objects),
        f"Besides: {', '.join(users)}; edit on the fields above, read on the standard fields that "
        "are handed over.",
        "",
    ]


def ledger_schema() -> str:
    """Return the page on the ledger's tables."""
    tables = import_module("ml_connector.ledger.tables")
    records = import_module("ml_connector.ledger.records")
    texts = texts_below(inspect.getsource(tables))
    parts = []
    for name, each in tables.metadata.tables.items():
        keys = ", ".join(f"`{column.name}`" for column in each.primary_key.columns)
        indexes = sorted(
            f"`{index.name}` ({', '.join(column.name for column in index.columns)})"
            + (", unique" if index.unique else "")
            for index in each.indexes
        )
        meanings = _attributes(records.Record) if name == "records" else {}
        rows = [
            (
                f"`{column.name}`",
                str(column.type).lower() + (", may be null" if column.nullable else ""),
                meanings.get(column.name, ""),
            )
            for column in each.columns
        ]
        lines = [f"## {name}", "", " ".join(texts[name].split()), "", f"Primary key: {keys}.", ""]
        lines += table(("column", "type", "meaning")[: 3 if meanings else 2], _cut(rows, meanings))
        if indexes:
            lines += [f"Indexes: {'; '.join(indexes)}.", ""]
        parts.append(lines)
    return page_of(
        "Ledger schema",
        "The connector's own database, the same on SQLite and PostgreSQL; migrations bring it "
        "up to date when it is opened. Read it as you like, never write it: rows carry versions, "
        "claims and a chain of digests. Every row belongs to a connection, so several can share "
        "one database. What is kept for how long: "
        "[data and privacy](../explanation/data-and-privacy.md).",
        *parts,
    )


def _cut(
    rows: list[tuple[str, str, str]], meanings: Mapping[str, str]
) -> Iterable[tuple[str, ...]]:
    return rows if meanings else [row[:2] for row in rows]


def _attributes(described: type) -> dict[str, str]:
    """Return attribute → text of the Attributes section of a class's docstring."""
    found: dict[str, str] = {}
    name = ""
    section = (inspect.getdoc(described) or "").partition("Attributes:\n")[2]
    for line in section.splitlines():
        head, colon, rest = line.strip().partition(": ")
        if line.startswith("    ") and not line.startswith("     ") and colon:
            name, found[head] = head, rest
        elif name:
            found[name] += f" {line.strip()}"
    return found


def flows() -> str:
    """Return the page on the deployments of prefect.yaml."""
    text = (ROOT / "prefect.yaml").read_text(encoding="utf-8")
    rows, parts = [], []
    for each in yaml.safe_load(text)["deployments"]:
        schedule = ", ".join(f"`{one['cron']}`" for one in each.get("schedules", []))
        name = f"[{each['name']}](#{each['name']})"
        rows.append((name, each["description"], schedule or "none"))
        parts.append(_flow_part(each))
    return page_of(
        "Flows",
        "One deployment each, described in prefect.yaml, made by `ml-connector deploy NAME`. "
        "Schedules are in UTC and deployed switched off; switch on the ones you want in the UI. "
        "How they fit together: [why customers before orders](../explanation/order-of-work.md).",
        table(("flow", "does", "schedule"), rows),
        *parts,
    )


def _flow_part(deployment: Mapping[str, Any]) -> list[str]:
    module, _, name = deployment["entrypoint"].rpartition(".")
    flow = getattr(import_module(module), name)
    told = inspect.getdoc(flow.fn) or ""
    body = told.partition("\nArgs:")[0].strip()
    properties = flow.parameters.model_dump()["properties"]
    required = flow.parameters.required or []
    rows = []
    for parameter, schema in properties.items():
        default = "required" if parameter in required else f"`{schema.get('default')!r}`"
        rows.append((f"`{parameter}`", default, str(schema.get("description", ""))))
    tags = ", ".join(f"`{tag}`" for tag in deployment["tags"])
    return [
        f"## {deployment['name']}", "", body, "",
        *table(("parameter", "default", "meaning"), rows), f"Tags: {tags}.", "",
    ]  # fmt: skip


def blocks() -> str:
    """Return the page on the Prefect Blocks."""
    module = import_module("blocks")
    parts = []
    for name in module.__all__:
        block = getattr(module, name)
        if not hasattr(block, "_block_type_slug"):
            continue
        doc = (inspect.getdoc(block) or "").splitlines()[0]
        rows = [
            (f"`{field}`", "yes" if info.is_required() else "", info.description or "")
            for field, info in block.model_fields.items()
        ]
        title = f"## {block._block_type_name} (`{block._block_type_slug}`)"  # noqa: SLF001
        lines = [title, "", doc, "", *table(("field", "required", "meaning"), rows)]
        parts.append(lines)
    return page_of(
        "Blocks",
        "`ml-connector connect` saves one of each under the connection's name; a flow loads them "
        "by that name. Secret fields are encrypted by Prefect. Change them with "
        "`ml-connector connect`, which checks what it saves.",
        *parts,
    )


PAGES: Mapping[str, Callable[[], str]] = {
    "connection-file.md": connection_file,
    "causes.md": causes,
    "salesforce-fields.md": salesforce_fields,
    "ledger-schema.md": ledger_schema,
    "flows.md": flows,
    "blocks.md": blocks,
}

if __name__ == "__main__":
    sys.exit(main())
