"""The one parameter all flows share: the name a connection was saved under."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

ConnectionName: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$", title="Connection")]
"""Name of a saved connection, as in the connection file."""
