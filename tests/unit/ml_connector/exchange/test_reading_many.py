"""How many Salesforce records are read."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from ml_connector.errors import ConfigurationError, RecordNotFound
from ml_connector.exchange.company_copy import BULK_ABOVE, salesforce_pages

ROWS = [{"Id": "001000000000001AAA"}]


def org(*, count: int, bulk: Any) -> Any:
    """Return an org with *count* Accounts whose bulk jobs answer *bulk*, or raise it."""

    def bulk_query(_: str, *, page_size: int) -> Iterator[list[dict[str, str | None]]]:
        assert page_size > 0
        if isinstance(bulk, Exception):
            raise bulk
        yield from bulk

    def has(_: str) -> bool:
        return False

    client = SimpleNamespace(
        count=lambda _: count,
        query=lambda _: iter([ROWS]),
        describe=lambda _: SimpleNamespace(has=has, fields={}),
        bulk_query=bulk_query,
    )
    return SimpleNamespace(salesforce=client)


@pytest.mark.parametrize("refusal", [RecordNotFound, ConfigurationError])
def test_an_org_without_bulk_jobs_is_read_by_query(refusal: Any) -> None:
    """No route (404) or not allowed (403): the records are read all the same."""
    systems = org(count=BULK_ABOVE + 1, bulk=refusal("There are no bulk jobs.", code="x"))

    assert list(salesforce_pages(systems, "Account", ["Id"])) == [ROWS]


def test_thousands_are_read_by_a_bulk_job() -> None:
    """Page by page."""
    systems = org(count=BULK_ABOVE + 1, bulk=[[{"Id": "a"}], [{"Id": "b"}]])

    assert list(salesforce_pages(systems, "Account", ["Id"])) == [[{"Id": "a"}], [{"Id": "b"}]]
