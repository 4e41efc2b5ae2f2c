"""OData text: literals, filters that BC reads as meant, query strings and entity paths."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import quote

VALUES_PER_FILTER = 50
LONGEST_URL = 8_000
"""Bytes of address and query together."""

_FILTER_SYNTAX = re.compile(r"[*?|&<>@]|\.\.")
"""What BC's own filter language may read as an operator inside a string literal."""

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def is_guid(text: str) -> bool:
    """Tell whether *text* can be the id of a record."""
    return _GUID.fullmatch(text) is not None


def literal(text: str) -> str:
    """Return *text* as an OData string literal, quotes included."""
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


def instant(at: datetime) -> str:
    """Return an aware time as an OData literal in UTC, to the millisecond.

    Raises: ValueError when it has no zone.
    """
    if at.tzinfo is None:
        raise ValueError("an OData time needs a zone")
    utc = at.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"


def equals(field: str, value: str, *, quoted: bool = True) -> str:
    """Return the condition that finds rows whose *field* is *value*, and perhaps more.

    A text with characters of BC's filter language is looked up by its longest plain part, because
    `eq 'A|B'` may be read as "A or B"; the caller compares the rows found with the value.
    """
    if not quoted:
        return f"{field} eq {value}"
    if _FILTER_SYNTAX.search(value):
        plain = max((part.strip() for part in _FILTER_SYNTAX.split(value)), key=len)
        if plain:
            return f"contains({field},{literal(plain)})"
    return f"{field} eq {literal(value)}"


def or_filter(field: str, values: Iterable[str], *, quoted: bool = True) -> str:
    """Return the conditions for *values* joined with `or`, all on the one *field*."""
    return " or ".join(equals(field, value, quoted=quoted) for value in values)


def both(*conditions: str) -> str:
    """Return the conditions joined with `and`, each in parentheses; empty ones are left out."""
    given = [condition for condition in conditions if condition]
    return (
        " and ".join(f"({condition})" for condition in given) if len(given) > 1 else "".join(given)
    )


def query_string(options: Mapping[str, str]) -> str:
    """Return the query with percent-encoded values, "" for none; empty options are left out."""
    given = [f"{name}={quote(value, safe='(),:$;=/')}" for name, value in options.items() if value]
    return "?" + "&".join(given) if given else ""


def entity_path(entity_set: str, entity_id: str = "") -> str:
    """Return `salesOrders(guid)`, or the set alone without an id."""
    return f"{entity_set}({entity_id})" if entity_id else entity_set


def chunks(
    values: Sequence[str], length_of: Callable[[list[str]], int], *, at_most: int
) -> Iterator[list[str]]:
    """Yield *values* in chunks of *at_most* whose address, by *length_of*, stays within limits."""
    chunk: list[str] = []
    for value in values:
        longer = [*chunk, value]
        if chunk and (len(longer) > at_most or length_of(longer) > LONGEST_URL):
            yield chunk
            chunk = [value]
        else:
            chunk = longer
    if chunk:
        yield chunk
