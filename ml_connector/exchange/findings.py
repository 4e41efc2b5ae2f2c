"""What a reconciliation found: differences by class, money by currency, and the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from ml_connector.domain.causes import CATALOGUE, Cause
from ml_connector.domain.identifiers import Kind, Owner
from ml_connector.domain.money import ZERO, currency_scale, rounded
from ml_connector.ledger.records import Record

NEXT_SYNC = "Nothing to do: the next sync deals with it."

EXCLUDED_LISTED = 1_000
"""So many differences that a rule wants so are listed one by one; all of them are counted."""


class Side(StrEnum):
    """Who ends a difference: the connector, a person, or nobody because a rule wants it so."""

    OURS = "ours"
    THEIRS = "theirs"
    EXCLUDED = "excluded"


@dataclass(slots=True, kw_only=True)
class Finding:
    """One difference between the two sides.

    Attributes:
        side: Who ends it.
        kind: What the record is.
        key: The record's key in the ledger.
        what: Code of the difference, such as `line` or `link_missing`.
        message: One plain sentence with both values.
        where: Where a person looks: documents and line or field.
        remedy: What ends it.
        owner: Who does.
        field: The Salesforce field or BC property, "" when it is about a whole record.
        salesforce: What Salesforce has.
        business_central: What BC has, or what Salesforce should show of it.
        healed: Whether it was put right by this reconciliation.
    """

    side: Side
    kind: Kind
    key: str
    what: str
    message: str
    where: str
    remedy: str
    owner: str
    field: str = ""
    salesforce: Any = None
    business_central: Any = None
    salesforce_id: str = ""
    salesforce_number: str = ""
    bc_id: str = ""
    bc_number: str = ""
    healed: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the difference as `reconcile --json` prints it."""
        return {
            "class": str(self.side),
            "kind": str(self.kind),
            "what": self.what,
            "message": self.message,
            "where": self.where,
            "field": self.field,
            "salesforce": _plain(self.salesforce),
            "business_central": _plain(self.business_central),
            "remedy": self.remedy,
            "owner": self.owner,
            "salesforce_id": self.salesforce_id,
            "salesforce_number": self.salesforce_number,
            "bc_id": self.bc_id,
            "bc_number": self.bc_number,
            "healed": self.healed,
        }


def _plain(value: Any) -> str | None:
    return None if value is None else str(value)


def finding(  # noqa: PLR0913  # all of what a difference says, by keyword
    record: Record,
    side: Side,
    what: str,
    message: str,
    *,
    where: str = "",
    cause: Cause | None = None,
    remedy: str = "",
    owner: Owner = Owner.IT,
    field: str = "",
    salesforce: Any = None,
    business_central: Any = None,
) -> Finding:
    """Return a difference about *record*; remedy and owner come from *cause* when it has one."""
    if cause is not None:
        remedy = remedy or CATALOGUE[cause].remedy
        owner = CATALOGUE[cause].owner
    return Finding(
        side=side,
        kind=record.kind,
        key=record.key,
        what=what,
        message=message,
        where=where or place(record),
        remedy=remedy,
        owner=str(owner),
        field=field,
        salesforce=salesforce,
        business_central=business_central,
        salesforce_id=record.salesforce_id,
        salesforce_number=record.salesforce_number,
        bc_id=record.bc_id,
        bc_number=record.bc_number,
    )


_NAMES: Mapping[Kind, tuple[str, str]] = {
    Kind.ITEM: ("Product2", "item"),
    Kind.CUSTOMER: ("Account", "customer"),
    Kind.CONTACT: ("Contact", "contact"),
    Kind.ORDER: ("Order", "sales order"),
    Kind.INVOICE: ("Order", "sales invoice"),
    Kind.STATUS: ("Order", "sales order"),
}


def place(record: Record) -> str:
    """Return where the two sides of *record* are found."""
    ours, theirs = _NAMES[record.kind]
    sides = []
    if record.salesforce_id:
        sides.append(f"{ours} {record.salesforce_number or record.salesforce_id}")
    if record.bc_id:
        sides.append(f"{theirs} {record.bc_number or record.bc_id}")
    return " / ".join(sides)


@dataclass(slots=True)
class Sums:
    """How many orders, and the amounts of both sides."""

    orders: int = 0
    salesforce: Decimal = ZERO
    business_central: Decimal = ZERO

    def add(self, salesforce: Decimal, business_central: Decimal) -> None:
        """Count one order in."""
        self.orders += 1
        self.salesforce += salesforce
        self.business_central += business_central

    def to_json(self, currency: str) -> dict[str, Any]:
        """Return the sums as text, to the currency's digits."""
        scale = currency_scale(currency)
        ours, theirs = rounded(self.salesforce, scale), rounded(self.business_central, scale)
        return {
            "currency": currency,
            "salesforce": str(ours),
            "business_central": str(theirs),
            "difference": str(ours - theirs),
        }


@dataclass(slots=True)
class Reconciliation:
    """The whole comparison."""

    connection: str
    flow_run_id: str
    started_at: datetime
    ended_at: datetime | None = None
    pairs_by_kind: Counter[str] = field(default_factory=Counter)
    net: dict[str, Sums] = field(default_factory=dict)
    billed: dict[tuple[str, str], Sums] = field(default_factory=dict)
    states: dict[tuple[str, str], Sums] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    excluded: int = 0

    def add(self, findings: Iterable[Finding]) -> None:
        """Count differences in and keep them; of those that a rule leaves out only so many."""
        for each in findings:
            if each.side is Side.EXCLUDED:
                self.excluded += 1
                if self.excluded > EXCLUDED_LISTED:
                    continue
            self.findings.append(each)

    @property
    def agree(self) -> bool:
        """Whether nothing differs but what a rule leaves out."""
        return all(each.side is Side.EXCLUDED for each in self.findings)

    @property
    def pairs(self) -> int:
        """How many orders of both sides were compared."""
        return self.pairs_by_kind[Kind.ORDER]

    def counts(self) -> dict[str, int]:
        """Return how many differences there are of each class, and how many were healed."""
        sides = Counter(str(each.side) for each in self.findings)
        healed = sum(each.healed for each in self.findings)
        counts = {str(side): sides[str(side)] for side in Side}
        return {**counts, str(Side.EXCLUDED): self.excluded, "healed": healed}

    def summary(self) -> dict[str, Any]:
        """Return the report without its differences."""
        return {
            "connection": self.connection,
            "flow_run_id": self.flow_run_id,
            "started_at": _instant(self.started_at),
            "ended_at": _instant(self.ended_at),
            "agree": self.agree,
            "pairs": self.pairs,
            "pairs_by_kind": {str(kind): self.pairs_by_kind[kind] for kind in _PAIRED},
            "counts": self.counts(),
            "money": [sums.to_json(code) for code, sums in sorted(self.net.items())],
            "billing": [
                {"field": name, **sums.to_json(code)}
                for (name, code), sums in sorted(self.billed.items())
            ],
            "states": [
                {"state": state, "orders": sums.orders, **sums.to_json(code)}
                for (state, code), sums in sorted(self.states.items())
            ],
        }

    def to_json(self) -> dict[str, Any]:
        """Return the `reconcile --json` document."""
        return {**self.summary(), "differences": [each.to_json() for each in self.findings]}


_PAIRED = (Kind.ITEM, Kind.CUSTOMER, Kind.CONTACT, Kind.ORDER)


def _instant(at: datetime | None) -> str | None:
    return None if at is None else f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"
