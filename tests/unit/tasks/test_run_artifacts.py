"""What a run's artifact says."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ml_connector.domain.identifiers import Kind, State
from ml_connector.domain.money import Money
from ml_connector.exchange.outcome import Outcome
from tasks.batches import BatchesFailed, PhaseResult
from tasks.links import Links
from tasks.run_artifacts import ROWS, cell, record_rows, summary_text, told_in_short, worth

FORM = "http://127.0.0.1:4200/v2/deployments/deployment/d1/run"


def _links(base_url: str = "https://localhost:8443/v2.0", audit_form: str = "") -> Links:
    settings = SimpleNamespace(
        name="acme",
        business_central=SimpleNamespace(
            base_url=base_url,
            tenant_id="tenant",
            environment="Production",
            company_name="Acme & Co",
        ),
    )
    company = SimpleNamespace(company=lambda: SimpleNamespace(id="company-id"))
    salesforce = SimpleNamespace(instance_url="https://acme.my.salesforce.com")
    systems: Any = SimpleNamespace(
        settings=settings, business_central=company, salesforce=salesforce
    )
    return Links(systems, audit_form)


def _outcome(number: str, state: State, message: str = "", **more: Any) -> Outcome:
    return Outcome(
        Kind.ORDER, f"801{number}", f"801{number}", number, state, message=message, **more
    )


def test_the_summary_counts_and_lists_the_urgent_ones_first() -> None:
    """A person sees first what needs someone."""
    result = PhaseResult()
    result.add(
        [
            _outcome("00000001", State.WRITTEN, bc_id="id1", bc_number="S-1"),
            _outcome("00000002", State.PARKED, "No item P|9.", cause="no_item"),
        ]
    )

    text = summary_text("acme", "ingest-orders", ["orders"], [result], _links())

    assert "| orders | 1 | 0 | 0 | 1 | 0 | 0 |  |" in text
    assert "| no_item | 1 | finance |" in text
    assert text.index("order 00000002") < text.index("order 00000001")
    assert "[open](https://acme.my.salesforce.com/80100000001)" in text
    assert "/companies(company-id)/salesOrders(id1)" in text
    assert "P\\|9" in text


def test_the_summary_links_to_the_card_in_the_web_client() -> None:
    """In a real company the link opens the card a person works with."""
    result = PhaseResult()
    result.add([_outcome("1", State.WRITTEN, bc_id="id1", bc_number="S-1")])

    text = summary_text(
        "acme",
        "ingest-orders",
        ["orders"],
        [result],
        _links("https://api.businesscentral.dynamics.com/v2.0"),
    )

    assert "https://businesscentral.dynamics.com/tenant/Production?company=Acme%20%26%20Co" in text
    assert "page=42" in text


def test_a_long_list_is_cut_and_says_so() -> None:
    """The artifact stays small; the ledger has everything."""
    result = PhaseResult()
    result.add([_outcome(f"{n:08}", State.WRITTEN) for n in range(ROWS + 1)])

    text = summary_text("acme", "sync", ["orders"], [result], _links())

    assert text.count("| order 0") == ROWS
    assert "ml-connector status acme" in text


def test_failed_batches_are_told() -> None:
    """A run that could not write all says so on top."""
    result = PhaseResult(faults=[BatchesFailed("the service is away")])

    text = summary_text("acme", "sync", ["orders"], [result], _links())

    assert "the service is away" in text


def test_rows_lead_to_both_systems_and_to_the_audit() -> None:
    """Each row names the record, its reason and where to read more."""
    result = PhaseResult()
    result.add([_outcome("1", State.WAITING, "Waits for item 9.", cause="missing_item")])

    (row,) = record_rows([result], _links())

    assert row["record"] == "order 1"
    assert (row["state"], row["cause"]) == ("waiting", "missing_item")
    assert row["Salesforce"] == "https://acme.my.salesforce.com/8011"
    assert row["audit"] == "ml-connector audit acme 8011"


def test_the_audit_link_opens_a_form_that_is_filled_in() -> None:
    """One click and a submit show the record's life."""
    address = urlsplit(_links(audit_form=FORM).audit(_outcome("1", State.WRITTEN)))

    assert address.path.endswith("/run")
    assert parse_qs(address.query)["parameters"] == ['{"connection": "acme", "record": "8011"}']


def test_the_summary_adds_up_what_was_written_by_currency() -> None:
    """Money is exact, apart for each currency, and leaves out what was not written."""
    result = PhaseResult()
    result.add(
        [
            _outcome("1", State.WRITTEN, money=Money(Decimal("1000.10"), "USD")),
            _outcome("2", State.WRITTEN, money=Money(Decimal("0.20"), "USD")),
            _outcome("3", State.WRITTEN, money=Money(Decimal(500), "JPY")),
            _outcome("4", State.PARKED, money=Money(Decimal(9), "USD")),
        ]
    )

    text = summary_text("acme", "ingest-orders", ["orders"], [result], _links())

    assert "| 500 JPY, 1,000.30 USD |" in text


def test_no_money_is_no_text() -> None:
    """A phase without amounts has an empty cell."""
    assert worth({}) == ""


def test_a_run_is_told_by_numbers_while_they_are_few() -> None:
    """A single order's run is found by its number."""
    result = PhaseResult()
    result.add([_outcome("00000128", State.WRITTEN), _outcome("00000129", State.EXCLUDED)])

    assert told_in_short(["orders"], [result]) == "order 00000128 written"


def test_a_large_run_is_told_in_counts() -> None:
    """What was written per kind, then what needs someone."""
    items, orders = PhaseResult(), PhaseResult()
    items.add([_outcome("1", State.UNCHANGED)])
    orders.add([_outcome(str(n), State.WRITTEN) for n in range(3)])
    orders.add([_outcome("8", State.WAITING), _outcome("9", State.PARKED)])

    told = told_in_short(["items", "orders"], [items, orders])

    assert told == "orders 3 written; 1 waiting; 1 parked"
    assert told_in_short(["items"], [items]) == "nothing new"


def test_a_cell_cannot_break_its_table_or_the_page() -> None:
    """Names of customers carry every character."""
    assert cell("a|b\n<script>") == "a\\|b &lt;script>"
