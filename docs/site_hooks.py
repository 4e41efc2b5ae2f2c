"""What the site has beyond the pages of this folder: pages beside it, and the order of parts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Navigation

ROOT = Path(__file__).resolve().parents[1]
BESIDE = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "LICENSE",
    "salesforce-package/README.md",
    "business-central-permissions/README.md",
)
PARTS = ("tutorials", "how-to", "reference", "explanation", "adr", "glossary", "project")

_FENCED = re.compile(r"^(?:\s*```.*?^\s*```|.*?$)\n?", re.MULTILINE | re.DOTALL)
_ITEM = re.compile(r"\s*(?:[-*]|\d+\.) ")
_LINK = re.compile(r"\]\(([^)\s#]+)(#[^)\s]*)?\)")


def _place(path: Path) -> Path | None:
    """Return where on the site a file of the repository is, None when it is not on it."""
    try:
        name = path.relative_to(ROOT).as_posix()
    except ValueError:
        return None
    if name == "README.md":
        return Path("README.md")
    if name in BESIDE:
        return Path("project", name.replace("/README", "").removesuffix(".md").lower() + ".md")
    return path.relative_to(ROOT / "docs") if name.startswith("docs/") else None


def on_files(files: Files, config: Any) -> Files:
    """Add the pages beside this folder under `project/`."""
    for name in BESIDE:
        place = _place(ROOT / name)
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, str(place), content=_turned(text, ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Write the page as the site needs it: its links, and its lists."""
    source = page.file.abs_src_path
    return _apart(_turned(markdown, Path(source)) if source else markdown)


def on_nav(nav: Navigation, **_: Any) -> Navigation:
    """Put the parts of the site in the order in which people need them."""

    def part(item: Any) -> int:
        name = item.children[0] if item.is_section else item
        while name.is_section:
            name = name.children[0]
        first = name.file.src_uri.split("/")[0].removesuffix(".md")
        return PARTS.index(first) if first in PARTS else -1

    nav.items.sort(key=part)
    for item in nav.items:
        if item.is_section and item.title == "Adr":
            item.title = "Decisions"
    return nav


def _apart(text: str) -> str:
    """Return *text* with an empty line between a paragraph and its list, which the site needs."""
    found: list[str] = []
    before = ""
    for piece in _FENCED.findall(text):
        starts = _ITEM.match(piece) and before and not before[0].isspace()
        if starts and not _ITEM.match(before) and before.strip() and "```" not in piece:
            found.append("\n")
        found.append(piece)
        before = piece
    return "".join(found)


def _turned(text: str, source: Path) -> str:
    """Return *text* with each link to a page outside its folder's site turned to its place."""
    here = _place(source)

    def turn(found: re.Match[str]) -> str:
        target, anchor = found[1], found[2] or ""
        if here is None or "://" in target or target.startswith("mailto:"):
            return found[0]
        path = (source.parent / target).resolve()
        place = _place(path / "README.md" if path.is_dir() else path)
        if place is None:
            return found[0]
        up = "../" * (len(here.parts) - 1)
        return f"]({up}{place.as_posix()}{anchor})"

    return _LINK.sub(turn, text)
