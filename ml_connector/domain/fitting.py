"""Fitting text into fields of limited length without cutting in silence."""

from __future__ import annotations

import re
import unicodedata

_BLANKS = re.compile(r"\s+")


def width(text: str) -> int:
    """Return the length both vendors count: UTF-16 units, so an emoji is two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def cleaned(text: str | None) -> str:
    """Return *text* on one line, without control characters and outer blanks; "" for none."""
    if not text:
        return ""
    if text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()
    visible = "".join(c if c.isspace() or unicodedata.category(c) != "Cc" else "" for c in text)
    return _BLANKS.sub(" ", visible).strip()


def head(text: str, limit: int) -> str:
    """Return the longest start of *text* that is at most *limit* wide, whole characters only."""
    taken = text[:limit]
    while width(taken) > limit:
        taken = taken[:-1]
    return taken


def cut_at_word(text: str, limit: int, mark: str = "") -> str:
    """Return *text* if it fits, else its start up to the end of a word, followed by *mark*.

    A first word longer than half the limit is cut inside.
    """
    if width(text) <= limit:
        return text
    room = limit - width(mark)
    taken = head(text, room)
    if not text[len(taken)].isspace():
        at = max((m.start() for m in _BLANKS.finditer(taken)), default=0)
        if at * 2 >= len(taken):
            taken = taken[:at]
    return taken.rstrip(" ,;.:-") + mark


def abridged(text: str) -> str:
    """Return a value as messages repeat it, short enough to leave room for the remedy."""
    return cut_at_word(text, 50, "…")


def wrapped(text: str, first: int, second: int) -> tuple[str, str, str]:
    """Return *text* spread over two fields at a word's end, and what is left over.

    A word longer than the first field is cut inside; nothing but blanks is lost.
    """
    line1, rest = _split(text.strip(), first)
    line2, left = _split(rest, second)
    return line1, line2, left


def _split(text: str, limit: int) -> tuple[str, str]:
    if width(text) <= limit:
        return text, ""
    taken = head(text, limit)
    if not text[len(taken)].isspace():
        at = max((m.start() for m in _BLANKS.finditer(taken)), default=0)
        taken = taken[:at] if at else taken
    return taken.rstrip(), text[len(taken) :].strip()
