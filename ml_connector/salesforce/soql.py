"""SOQL text: literals, selects and chunks of ids that fit a URL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from urllib.parse import quote as url_quote

IDS_PER_QUERY = 200
LONGEST_LIST = 9_000
"""Bytes of an encoded IN list; Salesforce takes 16,384 for address and headers together."""

_ESCAPES = str.maketrans(
    {
        "\\": "\\\\",
        "'": "\\'",
        '"': '\\"',
        "\n": "\\n",
        "\r": "\\r",
        "\t": "\\t",
        "\b": "\\b",
        "\f": "\\f",
    }
)


def quote(text: str) -> str:
    """Return *text* as a SOQL string literal, quotes included."""
    return f"'{text.translate(_ESCAPES)}'"


def instant(at: datetime) -> str:
    """Return an aware time as an unquoted SOQL datetime, in UTC to the millisecond.

    Raises: ValueError when it has no zone.
    """
    if at.tzinfo is None:
        raise ValueError("a SOQL datetime needs a zone")
    utc = at.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"


def day(value: date) -> str:
    """Return a date as an unquoted SOQL date."""
    return value.isoformat()


def among(field: str, values: Iterable[str]) -> str:
    """Return the condition that *field* is one of *values*; there must be at least one.

    Raises: ValueError when there is none.
    """
    listed = ", ".join(quote(value) for value in values)
    if not listed:
        raise ValueError("an IN list needs at least one value")
    return f"{field} IN ({listed})"


def in_list(values: Sequence[str], *, at_most: int = IDS_PER_QUERY) -> Iterator[list[str]]:
    """Yield *values* without repeats in chunks of *at_most*, so that each query fits a URL."""
    chunk: list[str] = []
    length = 0
    for value in dict.fromkeys(values):
        added = len(url_quote(f"{quote(value)}, "))
        if chunk and (len(chunk) == at_most or length + added > LONGEST_LIST):
            yield chunk
            chunk, length = [], 0
        chunk.append(value)
        length += added
    if chunk:
        yield chunk


def select(
    sobject: str, fields: Sequence[str], *, where: str = "", order_by: str = "", limit: int = 0
) -> str:
    """Return a SELECT; a field may be a child subquery such as `(SELECT Id FROM OrderItems)`."""
    text = f"SELECT {', '.join(dict.fromkeys(fields))} FROM {sobject}"  # noqa: S608  # values go through quote
    if where:
        text += f" WHERE {where}"
    if order_by:
        text += f" ORDER BY {order_by}"
    if limit:
        text += f" LIMIT {limit}"
    return text


def both(*conditions: str) -> str:
    """Return the conditions joined with AND, each in parentheses; empty ones are left out."""
    given = [condition for condition in conditions if condition]
    return (
        " AND ".join(f"({condition})" for condition in given) if len(given) > 1 else "".join(given)
    )
