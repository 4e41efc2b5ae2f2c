"""A request to the API and its answer, whether alone or inside a batch."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Call:
    """One operation; `path` starts after the API version, names of headers are lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: Any
    base: str
    has_body: bool = False

    def header(self, name: str) -> str:
        """A header's value, empty when missing."""
        return self.headers.get(name, "")


@dataclass(slots=True)
class Reply:
    """What goes back: JSON content, or text."""

    status: int
    content: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    text: str | None = None
    media_type: str = ""
