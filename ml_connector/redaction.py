"""Texts of vendors made fit for logs: one line, bounded, free of secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable

LONGEST = 500
_TOKEN = re.compile(r"(?i)\b(bearer|oauth)\s+[^\s\"',]{8,}|eyJ[\w-]{8,}\.[\w-]+\.[\w-]*")
_TAG = re.compile(r"<[^<>]*>")


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """Return *text* on one line, at most 500 characters, without *secrets*, tokens or HTML tags."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    text = _TAG.sub(" ", _TOKEN.sub("***", text))
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
