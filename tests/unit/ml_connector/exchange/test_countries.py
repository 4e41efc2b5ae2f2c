"""Which countries BC takes."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from ml_connector.errors import ConfigurationError
from ml_connector.exchange.systems import Remembered, Systems


def company(*, rows: Any) -> Any:
    """Return systems whose BC answers *rows* for its countries, or raises it."""

    def read(*_: Any, **__: Any) -> Iterator[dict[str, str]]:
        if isinstance(rows, Exception):
            raise rows
        yield from rows

    systems = Systems.__new__(Systems)
    object.__setattr__(systems, "business_central", SimpleNamespace(rows=read))
    object.__setattr__(systems, "remembered", Remembered())
    return systems


def test_bcs_own_list_counts() -> None:
    """Codes upper-cased, as BC stores them."""
    systems = company(rows=[{"code": "de", "displayName": "Germany"}])

    assert systems.countries() == {"DE": "Germany"}


def test_isos_list_stands_in_where_the_api_has_none() -> None:
    """BC itself refuses a country that it does not know."""
    systems = company(rows=ConfigurationError("No such set.", code="unknown_entity_set"))

    assert systems.countries()["DE"] == "Germany"


def test_a_refused_list_is_no_missing_list() -> None:
    """A missing permission is told, not passed over."""
    systems = company(rows=ConfigurationError("Not allowed.", code="missing_permission"))

    with pytest.raises(ConfigurationError):
        systems.countries()
