"""Preflight of the company's set-up: what a document made through the API would lack."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from ml_connector.domain.identifiers import Kind
from ml_connector.exchange.check_line import CheckLine, Level, examined, fine
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.records import Record

COMPANY_PAGE = "BC page: Company Information"
SHOWN = 5
"""Records a line names one by one."""

USUAL = 0.9
"""A property that this share of the others has is usual: one without it lacks something."""


def setup_lines(systems: Systems) -> list[CheckLine]:
    """Examine currency, number series, posting groups, templates and payment terms."""
    looks = (
        ("local_currency", "The company's own currency", _local_currency),
        ("number_series", "The number series", _number_series),
        ("item_posting_groups", "The items' posting groups", _item_posting_groups),
        ("customer_template", "The customers' template", _customer_template),
        ("payment_terms", "The payment terms", _payment_terms),
    )
    lines: list[CheckLine] = []
    for code, subject, look in looks:
        lines += examined(
            f"business_central_{code}",
            subject,
            partial(look, systems),
        )
    return lines


def named(names: list[str]) -> str:
    """Return the first few of *names*, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _local_currency(systems: Systems) -> Iterator[CheckLine]:
    code, ours = "business_central_local_currency", systems.local_currency.upper()
    page = "connection file, [business_central]"
    rows = systems.business_central.rows("companyInformation")
    theirs = str(next(iter(rows), {}).get("currencyCode") or "").upper()
    if theirs and theirs != ours:
        yield CheckLine(
            code,
            Level.BLOCKING,
            f"The company's own currency is {theirs}, the connection file says {ours}: amounts "
            "would change their currency on the way.",
            f'Set local_currency = "{theirs}" under [business_central], then run `connect` again.',
            page,
        )
    elif not theirs and ours in systems.currencies():
        yield CheckLine(
            code,
            Level.WARNING,
            f"{ours} is listed as a foreign currency of the company.",
            "Set local_currency under [business_central] to the company's own currency.",
            page,
        )
    else:
        yield fine(code, f"The company's own currency is {ours}.")


def _number_series(systems: Systems) -> Iterator[CheckLine]:
    """The API shows no number series: say what happens either way."""
    if systems.policy.customers.number == "bc_series":
        yield fine("business_central_number_series", "Customers are numbered by BC's own series.")
        return
    yield CheckLine(
        "business_central_number_series",
        Level.NOTICE,
        "Whether customers and contacts may be numbered by hand cannot be seen through the API; "
        "where they may not, new ones get the next number of BC's series.",
        'Allow manual numbers in both series, or set number = "bc_series".',
        "BC page: No. Series (those of Sales & Receivables Setup and Marketing Setup)",
    )


def _item_posting_groups(systems: Systems) -> Iterator[CheckLine]:
    """Items that no document can hold, since a posting group is missing."""
    code = "business_central_item_posting_groups"
    groups = ("generalProductPostingGroupCode", "inventoryPostingGroupCode")
    rows = systems.business_central.rows(
        "items", select=("id", "number", "type", "blocked", *groups)
    )
    live = [row for row in rows if not row.get("blocked") and groups[0] in row]
    bare = [str(row.get("number")) for row in live if _is_bare(row, *groups)]
    if not bare:
        yield fine(code, "Every item that is not blocked has its posting groups.")
        return
    all_bare = len(bare) == len(live)
    yield CheckLine(
        code,
        Level.NOTICE if all_bare else Level.WARNING,
        f"Without posting groups: {'all items' if all_bare else 'items ' + named(bare)}; "
        "an order with one of them is refused.",
        "Fill General Product and Inventory Posting Group on the item, or apply an item template.",
        "BC page: Items → Item Card → Costs & Posting",
    )


def _is_bare(row: dict[str, Any], general: str, inventory: str) -> bool:
    if not row.get(general):
        return True
    return row.get("type") == "Inventory" and inventory in row and not row[inventory]


def _customer_template(systems: Systems) -> Iterator[CheckLine]:
    """Compare what the connector's own customers lack with what the others usually have.

    The API shows no posting groups of customers. What a template fills besides is the sign that
    one was applied.
    """
    code = "business_central_customer_template"
    remedy = (
        "Make a customer template with posting groups, tax area and payment terms, and a "
        "selection rule that applies it to customers made through the API."
    )
    page = "BC pages: Customer Templates; Config. Template Selection Rules"
    made = _made_by_us(systems)
    signs = {"taxAreaId": "tax area", "paymentTermsId": "payment terms"}
    rows = list(systems.business_central.rows("customers", select=("id", "number", *signs)))
    ours = [row for row in rows if str(row.get("id")).lower() in made]
    others = [row for row in rows if str(row.get("id")).lower() not in made]
    if not ours:
        yield CheckLine(
            code,
            Level.NOTICE,
            "Whether a customer made through the API gets posting groups cannot be seen before "
            "the first one is made; without them its orders are refused and parked.",
            remedy,
            page,
        )
        return
    lacking = [
        name
        for field, name in signs.items()
        if _is_usual(others, field) and not any(_is_filled(row, field) for row in ours)
    ]
    if not lacking:
        yield fine(code, "Customers made by the connector are filled like the others.")
        return
    yield CheckLine(
        code,
        Level.WARNING,
        f"Customers made by the connector have no {' and no '.join(lacking)}, unlike the others: "
        f"no template is applied to them ({named([str(row.get('number')) for row in ours])}).",
        remedy,
        page,
    )


def _made_by_us(systems: Systems) -> set[str]:
    """Ids of the customers that the connector created."""
    pages = systems.ledger.iterate(kind=Kind.CUSTOMER, linked=True)
    return {record.bc_id.lower() for page in pages for record in page if _was_created(record)}


def _was_created(record: Record) -> bool:
    return bool(record.bc_id and record.facts.get("created"))


def _is_filled(row: dict[str, Any], field: str) -> bool:
    return str(row.get(field) or "").strip("0-") != ""


def _is_usual(rows: list[dict[str, Any]], field: str) -> bool:
    filled = sum(_is_filled(row, field) for row in rows)
    return bool(rows) and filled >= USUAL * len(rows)


def _payment_terms(systems: Systems) -> Iterator[CheckLine]:
    code = "business_central_payment_terms"
    terms = list(systems.business_central.rows("paymentTerms", select=("id", "code")))
    if terms:
        yield fine(code, f"The company has {len(terms)} payment terms.")
        return
    yield CheckLine(
        code,
        Level.WARNING,
        "The company has no payment terms: every invoice is due on its own date.",
        "Set up payment terms and give them to the customers' template.",
        "BC page: Payment Terms",
    )
