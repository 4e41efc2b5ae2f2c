"""Where a key stands in a connection file, so that an error can name the line."""

from __future__ import annotations

import re

_TABLE = re.compile(r"^\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"^\s*([A-Za-z0-9_\-.\"']+)\s*=")


class Places:
    """The lines of a TOML text by table and key."""

    def __init__(self, text: str) -> None:
        self._lines: dict[tuple[str, int, str], int] = {}
        table, seen = "", {"": 0}
        for number, line in enumerate(text.splitlines(), start=1):
            header = _TABLE.match(line)
            if header:
                table = header[2].replace('"', "").replace(" ", "")
                seen[table] = seen.get(table, -1) + 1 if header[1] == "[[" else 0
                self._lines.setdefault((table, seen[table], ""), number)
                continue
            key = _KEY.match(line)
            if key:
                name = key[1].replace('"', "").replace("'", "")
                self._lines.setdefault((table, seen[table], name), number)

    def line(self, table: str, key: str = "", index: int = 0) -> int:
        """Return the line of a key, else of its table; 0 when neither is found."""
        inner = f"{table}.{key}".strip(".")
        for place in ((table, index, key), ("", 0, inner), (inner, 0, ""), (table, index, "")):
            if place in self._lines:
                return self._lines[place]
        return 0
