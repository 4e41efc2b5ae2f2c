"""What preparing and writing return: small values the flows count, name and show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ml_connector.domain.decision import Decision
from ml_connector.domain.identifiers import Kind, State
from ml_connector.domain.money import Money
from ml_connector.ledger.records import Record


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where one record stands after a phase has dealt with it.

    `is_final` is False when its change has to be looked at again: another worker was faster, or BC
    was found to hold an older content than was to be written. `money` is the net total of an order,
    of an invoice the total with tax.
    """

    kind: Kind
    key: str
    salesforce_id: str
    number: str
    state: State
    cause: str = ""
    message: str = ""
    bc_id: str = ""
    bc_number: str = ""
    is_final: bool = True
    money: Money | None = None

    @classmethod
    def of(cls, record: Record, *, is_final: bool = True) -> Outcome:
        """Return the outcome a ledger record stands for."""
        return cls(
            kind=record.kind,
            key=record.key,
            salesforce_id=record.salesforce_id,
            number=record.salesforce_number or record.bc_number,
            state=record.state,
            cause=record.cause,
            message=record.message,
            bc_id=record.bc_id,
            bc_number=record.bc_number,
            is_final=is_final,
            money=_money(record),
        )


_TOTALS = {Kind.ORDER: "net", Kind.INVOICE: "total"}
"""The fact of a record that holds its amount."""


def _money(record: Record) -> Money | None:
    amount = record.facts.get(_TOTALS.get(record.kind, ""))
    currency = record.facts.get("currency")
    if not isinstance(amount, Decimal) or not isinstance(currency, str):
        return None
    return Money(amount, currency)


@dataclass(frozen=True, slots=True)
class Planned:
    """One record with the decision that still needs a write.

    `source` is the Salesforce (or, for drafts, BC) wire model the decision was made from, `context`
    what the writer needs besides.
    """

    kind: Kind
    key: str
    number: str
    decision: Decision | None
    source: Any
    up_to: int
    """Newest change id in the inbox before the source was read: what the write makes done."""
    row: Mapping[str, Any]
    """The raw Salesforce row the source was parsed from."""
    context: Any = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """The result of preparing one window of keys: what to write and what is already decided."""

    plans: tuple[Planned, ...] = ()
    outcomes: tuple[Outcome, ...] = ()


@dataclass(slots=True)
class Tally:
    """Counts by state, for logs and run summaries."""

    counts: dict[State, int] = field(default_factory=dict)

    def add(self, outcomes: Iterable[Outcome]) -> Tally:
        """Count *outcomes* in; returns itself."""
        for outcome in outcomes:
            self.counts[outcome.state] = self.counts.get(outcome.state, 0) + 1
        return self

    def __str__(self) -> str:
        return (
            ", ".join(f"{count} {state}" for state, count in sorted(self.counts.items())) or "none"
        )
