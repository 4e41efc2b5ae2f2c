"""Mistakes in a connection file in the words of a person."""

from __future__ import annotations

import re
from typing import Any

from pydantic import ValidationError

from ml_connector.configuration.fields import nearest

_COMPARISON = re.compile(r"[=<>]|\b(?:LIKE|IN|INCLUDES|EXCLUDES)\b", re.IGNORECASE)
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'")
_FIXED = {
    "missing": "is missing",
    "string_type": "must be text in quotes",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "decimal_parsing": 'must be a number such as "0.00"',
    "decimal_type": 'must be a number such as "0.00"',
    "tuple_type": "must be a list",
}


def reason(error: Exception) -> str:
    """Return why a file could not be read."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return (getattr(error, "strerror", None) or str(error)).lower()


def quoted(value: Any) -> str:
    """Return a value as it stands in a TOML file."""
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def sentence(error: ValidationError, value: Any = None) -> str:
    """Return the first complaint of a model in the words of a person."""
    first = error.errors(include_url=False, include_input=False)[0]
    context = first.get("ctx", {})
    kind = first["type"]
    if kind == "value_error":
        return first["msg"].removeprefix("Value error, ")
    if kind == "literal_error":
        known = re.findall(r"'([^']*)'", str(context["expected"]))
        return f"is not one of {', '.join(known)}{nearest(str(value), known)}"
    if kind == "greater_than_equal":
        return f"must be at least {context['ge']}"
    if kind == "less_than_equal":
        return f"must be at most {context['le']}"
    return _FIXED.get(kind) or f"does not fit: {first['msg'].lower()}"


def condition_problem(text: str, words: tuple[str, ...]) -> str:
    """Return what is wrong with a SOQL condition at first sight, "" when nothing is."""
    outside = _QUOTED.sub("''", text)
    if not text.strip():
        return "is empty"
    if not _COMPARISON.search(outside):
        return f"is no known rule and compares nothing{nearest(text, words)}"
    if outside.replace("''", "").count("'"):
        return "has a quote that is not closed"
    if outside.count("(") != outside.count(")"):
        return "has brackets that do not match"
    if ";" in outside or re.match(r"\s*(?:SELECT|WHERE)\b", outside, re.IGNORECASE):
        return "is a statement; only the condition after WHERE is wanted"
    return ""
