"""A sync as a plan: what it would create, change, link and leave, without writing anything.

A plan is what a rehearsal did: the audit of a run whose writes never left this computer.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ml_connector.domain.identifiers import Kind, State
from ml_connector.domain.money import ZERO
from ml_connector.exchange.guard_rule import JUDGED, Excess, Stock, Touched, excesses
from ml_connector.exchange.phases import sync_phases
from ml_connector.exchange.rehearsal import Rehearsal, rehearsed
from ml_connector.exchange.report import SyncReport, run_report
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.ledger import ConnectionLedger
from ml_connector.ledger.records import AuditEntry, Record
from ml_connector.wire_json import encode

FORMAT = 1
"""Version of the saved form."""

_DECISIONS = {"waiting": "wait", "parked": "park", "excluded": "exclude"}


@dataclass(frozen=True, slots=True)
class Change:
    """One thing the run would do to one record.

    `action` is create, update, delete, link, post, ship_and_invoice or price in `system`, show for
    what a Salesforce record would show of BC, and wait, park or exclude where nothing is written.
    """

    kind: Kind
    key: str
    salesforce_id: str
    salesforce_number: str
    bc_id: str
    bc_number: str
    system: str
    action: str
    rule: str
    message: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the change as the plan's document has it."""
        names = list(dict.fromkeys([*self.before, *self.after]))
        return {
            "kind": str(self.kind),
            "salesforce_id": self.salesforce_id,
            "salesforce_number": self.salesforce_number,
            "bc_id": self.bc_id,
            "bc_number": self.bc_number,
            "system": self.system,
            "action": self.action,
            "rule": self.rule,
            "message": self.message,
            "fields": [
                {
                    "field": name,
                    "before": money_text(self.before.get(name)),
                    "after": money_text(self.after.get(name)),
                }
                for name in names
            ],
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything one sync would do, and what that was concluded from."""

    report: SyncReport
    policy_version: str
    changes: tuple[Change, ...]
    money: tuple[Mapping[str, Any], ...]
    calls: Mapping[str, Mapping[str, int]]
    stock: Stock
    touched: Touched
    basis: tuple[Mapping[str, str], ...]
    changed_percent: Decimal

    def excesses(self, percent: Decimal) -> tuple[Excess, ...]:
        """Return what is more than *percent* of what exists."""
        return excesses(self.stock, self.touched, percent)

    @property
    def actions(self) -> dict[str, int]:
        """How many records the run would act on, by action."""
        counted = Counter(change.action for change in self.changes)
        return dict(sorted(counted.items()))

    def to_json(self) -> dict[str, Any]:
        """Return the `sync --plan --json` document, which is the saved form as well."""
        found = self.excesses(self.changed_percent)
        return {
            **self.report.to_json(),
            "plan_id": self.report.flow_run_id,
            "plan_format": FORMAT,
            "policy_version": self.policy_version,
            "actions": self.actions,
            "changes": [change.to_json() for change in self.changes],
            "money": [money_text(dict(row)) for row in self.money],
            "calls": {system: dict(numbers) for system, numbers in self.calls.items()},
            "guard": {
                "changed_percent": str(self.changed_percent),
                "stops": bool(found),
                "reasons": [excess.reason for excess in found],
                "allow_changes": max((excess.percent for excess in found), default=None),
            },
            "basis": [dict(row) for row in self.basis],
        }


def money_text(value: Any) -> Any:
    """Return a JSON value whose exact numbers are text."""
    match value:
        case Decimal():
            return format(value, "f")
        case Mapping():
            return {name: money_text(each) for name, each in value.items()}
        case list() | tuple():
            return [money_text(each) for each in value]
        case _:
            return value


def make_plan(systems: Systems) -> Plan:
    """Return what a sync of the connection would do now.

    Effect: none in either system, none in the ledger. Cost: the reads of a sync.
    Raises: TransientError when a vendor was not available for a part of it.
    """
    with rehearsed(systems, sync_phases) as rehearsal:
        return _plan_of(rehearsal)


def _plan_of(rehearsal: Rehearsal) -> Plan:
    systems = rehearsal.systems
    changes = (*_changes(rehearsal), *_prices(rehearsal))
    report = run_report(systems, systems.run.flow_run_id)
    report.plan, report.exit_code = True, 0
    report.records = [_without_placeholders(rehearsal, row) for row in report.records]
    return Plan(
        report=report,
        policy_version=systems.settings.policy_version(),
        changes=changes,
        money=_money(rehearsal, changes),
        calls=_calls(rehearsal),
        stock=stock_of(rehearsal.standing),
        touched=_touched(rehearsal, changes),
        basis=_basis(rehearsal, changes),
        changed_percent=systems.policy.guard.changed_percent,
    )


def _without_placeholders(rehearsal: Rehearsal, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record's report in which ids and numbers that do not exist yet are blank."""
    placeholders = rehearsal.business_central.placeholders
    clean: dict[str, Any] = placeholders.without(row)
    for name in ("bc_id", "bc_number"):
        if clean.get(name) != row.get(name):
            clean[name] = ""
    return clean


# --- what would be done ---


def _changes(rehearsal: Rehearsal) -> Iterator[Change]:
    """Yield one change per record and action, in the order of the run."""
    entries = rehearsal.systems.ledger.audit_of_run(rehearsal.systems.run.flow_run_id)
    records = _records_of(rehearsal, entries)
    merged: dict[tuple[str, str, str], Change] = {}
    for entry in entries:
        if entry.action == "price":
            continue  # told by _prices, entry by entry
        change = _change(rehearsal, entry, records.get((entry.kind, entry.key)))
        identity = (str(change.kind), change.key, change.action)
        earlier = merged.get(identity)
        merged[identity] = change if earlier is None else _joined(earlier, change)
    for change in merged.values():
        if change.action != "show" or change.before != change.after:
            yield change


def _records_of(rehearsal: Rehearsal, entries: list[AuditEntry]) -> dict[tuple[Kind, str], Record]:
    found: dict[tuple[Kind, str], Record] = {}
    for kind in {entry.kind for entry in entries}:
        keys = [entry.key for entry in entries if entry.kind == kind]
        records = rehearsal.systems.ledger.records(kind, keys)
        found |= {(kind, key): record for key, record in records.items()}
    return found


def _change(rehearsal: Rehearsal, entry: AuditEntry, record: Record | None) -> Change:
    placeholders = rehearsal.business_central.placeholders
    decided = entry.direction == "decision"
    action = _DECISIONS.get(entry.action, entry.action)
    bc_id = record.bc_id if record else entry.bc_id
    bc_number = record.bc_number if record else ""
    after = dict(entry.after or {})
    message = str(after.pop("message", "")) if decided and action in _DECISIONS.values() else ""
    return Change(
        kind=Kind(entry.kind),
        key=entry.key,
        salesforce_id=entry.salesforce_id,
        salesforce_number=record.salesforce_number if record else "",
        bc_id="" if bc_id in placeholders else bc_id,
        bc_number="" if placeholders.without(bc_number) != bc_number else bc_number,
        system="" if decided else entry.direction.removeprefix("to_"),
        action=action,
        rule=entry.rule,
        message=placeholders.without(message),
        before=placeholders.without(entry.before or {}),
        after=placeholders.without(after),
    )


def _joined(first: Change, last: Change) -> Change:
    """Return two changes of one record as one: from how it was to how it ends."""
    return Change(
        **{
            name: getattr(last, name)
            for name in Change.__slots__
            if name not in ("before", "after")
        },
        before={**last.before, **first.before},
        after={**first.after, **last.after},
    )


def _prices(rehearsal: Rehearsal) -> Iterator[Change]:
    """Yield the price book entries that would be written."""
    for sobject, body in rehearsal.salesforce.written:
        if sobject != "PricebookEntry":
            continue
        key = str(body.get("Id") or body.get("Product2Id"))
        yield Change(
            kind=Kind.ITEM,
            key=key,
            salesforce_id=key,
            salesforce_number="",
            bc_id="",
            bc_number="",
            system="salesforce",
            action="price",
            rule="standard",
            message="",
            before={},
            after={name: value for name, value in body.items() if name != "Id"},
        )


# --- how much it is ---


def stock_of(ledger: ConnectionLedger) -> Stock:
    """Return what is linked now."""
    stock = Stock()
    for kind in JUDGED:
        for page in ledger.iterate(kind=kind, linked=True):
            stock.linked[kind] += len(page)
            for record in page if kind is Kind.ORDER else ():
                currency, net = _net(record)
                stock.orders[currency] += 1
                stock.net[currency] = stock.net.get(currency, ZERO) + net
    return stock


def _net(record: Record) -> tuple[str, Decimal]:
    return str(record.facts.get("currency", "")), Decimal(str(record.facts.get("net") or 0))


def _touched(rehearsal: Rehearsal, changes: tuple[Change, ...]) -> Touched:
    """Return what would change of records that are linked already, status fields left out."""
    touched = Touched()
    by_kind: dict[Kind, set[str]] = {}
    for change in changes:
        if _changes_content(change):
            by_kind.setdefault(change.kind, set()).add(change.key)
    for kind, keys in by_kind.items():
        prices = {key for key in keys if key.startswith("01u")}
        known = rehearsal.standing.records(kind, keys - prices)
        touched.changed[kind] = len(prices) + sum(bool(each.bc_id) for each in known.values())
    before = rehearsal.standing.records(Kind.ORDER, by_kind.get(Kind.ORDER, set()))
    after = rehearsal.systems.ledger.records(Kind.ORDER, list(before))
    deleted = {change.key for change in changes if change.action == "delete"}
    for key, record in before.items():
        currency, net = _net(record)
        moved = abs(net) if key in deleted else abs(_net(after[key])[1] - net)
        if record.bc_id and moved:
            touched.moved[currency] = touched.moved.get(currency, ZERO) + moved
    return touched


def _changes_content(change: Change) -> bool:
    """Tell whether a change is one of content, not of what Salesforce shows of BC."""
    match change.action:
        case "update" | "delete":
            return True
        case "price":
            return change.key.startswith("01u")
        case "show":
            return any(not name.startswith("BC_") for name in change.after)
        case _:
            return False


def _money(rehearsal: Rehearsal, changes: tuple[Change, ...]) -> tuple[Mapping[str, Any], ...]:
    """Return, per currency, what orders would be written and deleted, and invoices posted."""
    rows: dict[str, dict[str, Any]] = {}

    def row(currency: str) -> dict[str, Any]:
        return rows.setdefault(
            currency,
            {
                "currency": currency,
                "orders_created": 0,
                "created_net": ZERO,
                "orders_changed": 0,
                "changed_net_before": ZERO,
                "changed_net_after": ZERO,
                "orders_deleted": 0,
                "deleted_net": ZERO,
                "invoices_posted": 0,
                "posted_including_tax": ZERO,
            },
        )

    orders = [change for change in changes if change.kind is Kind.ORDER]
    after = rehearsal.systems.ledger.records(Kind.ORDER, [change.key for change in orders])
    before = rehearsal.standing.records(Kind.ORDER, [change.key for change in orders])
    for change in orders:
        if change.action == "create":
            currency, net = _net(after[change.key])
            row(currency)["orders_created"] += 1
            row(currency)["created_net"] += net
        elif change.action == "update" and change.key in before:
            currency, net = _net(after[change.key])
            row(currency)["orders_changed"] += 1
            row(currency)["changed_net_before"] += _net(before[change.key])[1]
            row(currency)["changed_net_after"] += net
        elif change.action == "delete" and change.key in before:
            currency, net = _net(before[change.key])
            row(currency)["orders_deleted"] += 1
            row(currency)["deleted_net"] += net
    posted = [change for change in changes if change.action in ("post", "ship_and_invoice")]
    owners = rehearsal.systems.ledger.records(
        Kind.ORDER, [change.salesforce_id for change in posted]
    )
    for change in posted:
        owner = owners.get(change.salesforce_id)
        currency = _net(owner)[0] if owner else ""
        row(currency)["invoices_posted"] += 1
        row(currency)["posted_including_tax"] += Decimal(str(change.after.get("total") or 0))
    return tuple(rows[currency] for currency in sorted(rows))


def _calls(rehearsal: Rehearsal) -> dict[str, dict[str, int]]:
    """Return what the run would cost: reads as they were made, writes as they would be."""
    costs: dict[str, dict[str, int]] = {}
    for system, client in (
        ("salesforce", rehearsal.salesforce),
        ("business_central", rehearsal.business_central),
    ):
        pretended: Counter[tuple[str, str]] = client.pretended
        reads = client.requests_made + sum(
            count for (method, _), count in pretended.items() if method == "GET"
        )
        writes = sum(count for (method, _), count in pretended.items() if method != "GET")
        costs[system] = {"reads": reads, "writes": writes, "total": reads + writes}
    return costs


# --- what it was concluded from ---


def _basis(rehearsal: Rehearsal, changes: tuple[Change, ...]) -> tuple[Mapping[str, str], ...]:
    """Return, per record the run would touch or that stands still, digests of what was read."""
    planned: dict[tuple[Kind, str], list[Any]] = {}
    for change in changes:
        planned.setdefault((change.kind, change.key), []).append(change.to_json())
    records = _standing_still(rehearsal.systems.ledger)
    for kind in {kind for kind, _ in planned}:
        keys = [key for each, key in planned if each is kind]
        found = rehearsal.systems.ledger.records(kind, keys)
        records |= {(kind, key): record for key, record in found.items()}
    versions = rehearsal.business_central.versions
    rows = []
    for kind, key in sorted({*planned, *records}):
        record = records.get((kind, key))
        standing = [str(record.state), record.cause] if record else []
        rows.append(
            {
                "kind": str(kind),
                "key": key,
                "salesforce": record.source_stamp if record else "",
                "business_central": versions.get(record.bc_id.lower(), "") if record else "",
                "planned": _digest([planned.get((kind, key), []), standing]),
            }
        )
    return tuple(rows)


def _standing_still(ledger: ConnectionLedger) -> dict[tuple[Kind, str], Record]:
    return {
        (record.kind, record.key): record
        for page in ledger.iterate(states=(State.WAITING, State.PARKED))
        for record in page
    }


def _digest(value: Any) -> str:
    return hashlib.sha256(encode(value)).hexdigest()[:32]
