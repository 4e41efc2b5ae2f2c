"""What the documentation says is there: links, commands, targets, tests, and current pages."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote

import click
import pytest
import typer

from ml_connector.cli.application import application

ROOT = Path(__file__).resolve().parents[2]

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^\s*```.*?^\s*```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def _pages() -> list[Path]:
    found = [path for path in ROOT.glob("*.md") if path.is_file()]
    for folder in ("docs", "salesforce-package", "business-central-permissions"):
        found += (ROOT / folder).rglob("*.md")
    return sorted(found)


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _code(text: str) -> Iterator[str]:
    """Yield each line of code a page shows: lines of its blocks, then its code spans."""
    for block in _FENCE.findall(text):
        lines = block.strip().splitlines()[1:-1]
        yield from re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines()
    yield from _SPAN.findall(_FENCE.sub("", text))


def _anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = _FENCE.sub("", path.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", title.lower()) for title in titles]
    return {title.strip().replace(" ", "-") for title in plain}


@cache
def _commands() -> dict[str, click.Command]:
    group: Any = typer.main.get_command(application())
    return dict(group.commands)


def _words_after(program: str, line: str) -> Iterator[str]:
    for piece in re.split(r"&&|\|\||[;|]", line.partition("#")[0]):
        head, found, rest = f" {piece}".partition(f" {program} ")
        if found and not head.strip().endswith(("mkdir", "cd")):
            yield rest.strip()


@pytest.mark.parametrize("page", _pages(), ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file that is there, and a heading in it."""
    broken = []
    for target in _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        file, _, anchor = unquote(target).partition("#")
        path = (page.parent / file).resolve() if file else page
        if not path.exists() or (anchor and anchor not in _anchors(path)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", _pages(), ids=_name)
def test_commands_exist(page: Path) -> None:
    """Every `ml-connector` command a page shows exists, with the options it is given."""
    wrong = []
    for line in _code(page.read_text(encoding="utf-8")):
        for words in _words_after("ml-connector", line):
            name = words.split(" ")[0]
            command = _commands().get(name)
            if name.startswith("-") or not re.fullmatch(r"[a-z-]+", name):
                continue
            if command is None:
                wrong.append(words)
                continue
            parts = getattr(command, "commands", None)
            if parts is not None:
                part = next((w for w in words.split()[1:] if not w.startswith("-")), "")
                command = parts.get(part)
                if command is None:
                    wrong.append(words)
                    continue
            if not command.context_settings.get("ignore_unknown_options"):
                known = {each for option in command.params for each in option.opts}
                known |= {each for option in command.params for each in option.secondary_opts}
                wrong += [each for each in _OPTION.findall(words) if each not in known | {"--help"}]
    assert wrong == []


@pytest.mark.parametrize("page", _pages(), ids=_name)
def test_make_targets_exist(page: Path) -> None:
    """Every `make` target a page shows is in the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = {
        words.split(" ")[0]
        for line in _code(page.read_text(encoding="utf-8"))
        for words in _words_after("make", line)
    }
    assert {name for name in named if name} <= targets


@pytest.mark.parametrize("page", _pages(), ids=_name)
def test_files_named_in_code_exist(page: Path) -> None:
    """Tests, benchmarks and folders of this repository that a page names are there."""
    pattern = re.compile(r"\b(?:tests|benchmarks|docs|flows|tasks|ml_connector)/[\w./-]+")
    missing = {
        found
        for line in _code(page.read_text(encoding="utf-8"))
        for found in pattern.findall(line)
        if not (ROOT / found.rstrip("/.")).exists()
    }
    assert missing == set()


def test_every_page_is_in_the_index() -> None:
    """A page nobody links from docs/README.md is a page nobody finds."""
    index = ROOT / "docs" / "README.md"
    linked = {
        (index.parent / target.partition("#")[0]).resolve()
        for target in _LINK.findall(index.read_text(encoding="utf-8"))
    }
    pages = {page.resolve() for page in (ROOT / "docs").rglob("*.md")} - {index.resolve()}
    assert sorted(map(_name, pages - linked)) == []


def test_every_command_is_in_the_reference() -> None:
    """The page on the command line names every command."""
    page = (ROOT / "docs" / "reference" / "command-line.md").read_text(encoding="utf-8")
    assert [name for name in _commands() if f"| `{name}" not in page] == []


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_current() -> None:
    """Pages that follow from the code say what the code says; `make docs` renews them."""
    assert sorted(_generator().stale_pages()) == []


def test_mapped_fields_are_in_the_reference() -> None:
    """Every property the connector writes to Business Central is on the page of field mappings."""
    page = (ROOT / "docs" / "reference" / "field-mappings.md").read_text(encoding="utf-8")
    written: set[str] = set()
    for area in ("catalog", "customers", "orders"):
        source = (ROOT / "ml_connector" / area / "mapping.py").read_text(encoding="utf-8")
        written |= set(re.findall(r'body\["(\w+)"\]', source))
        written |= set(re.findall(r'line\["(\w+)"\]', source))
        written |= set(re.findall(r'mapped\.\w+\(\s*"(\w+)"', source))
        written |= set(re.findall(r'^ {8}"(\w+)":', source, re.MULTILINE))
    assert {name for name in written if f"`{name}`" not in page} == set()


def test_no_page_names_a_machine() -> None:
    """Pages hold no path of the computer they were written on."""
    named = re.compile(r"(?<![\w./])/(?:root|work|home|Users)/")
    pages = [page for page in _pages() if named.search(page.read_text(encoding="utf-8"))]
    assert list(map(_name, pages)) == []
