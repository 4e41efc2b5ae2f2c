"""Run parked or chosen records again, causes before effects.

A record is decided on as it is now, under the policy as it is now: its stored change is opened
again, so nothing depends on a vendor still announcing it. A later change of the same record is part
of what is read, so it can never overtake an earlier one that is parked.
"""

from __future__ import annotations

import difflib
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from uuid import uuid4

from ml_connector.configuration.settings import ConnectionSettings
from ml_connector.domain.causes import Cause
from ml_connector.domain.identifiers import Kind, State
from ml_connector.errors import ConfigurationError, RecordNotFound, TransientError
from ml_connector.exchange import (
    catalog,
    contacts,
    customers,
    flipping,
    invoices,
    orders,
    shipments,
    status,
)
from ml_connector.exchange.again import again_when_stale
from ml_connector.exchange.chains import read_chains
from ml_connector.exchange.collect import mark_changed
from ml_connector.exchange.expressed import TARGETS
from ml_connector.exchange.outcome import Outcome
from ml_connector.exchange.reading import read_rows
from ml_connector.exchange.report import begin_run
from ml_connector.exchange.show import show
from ml_connector.exchange.sync import run_phase, windows
from ml_connector.exchange.systems import Systems
from ml_connector.exchange.write_protocol import Direction, audit, claimed
from ml_connector.ledger.records import Record
from ml_connector.ledger.run_ids import RunIds

log = logging.getLogger("ml_connector")

ORDER_OF_CAUSES = (Kind.ITEM, Kind.CUSTOMER, Kind.CONTACT, Kind.ORDER, Kind.INVOICE, Kind.STATUS)
"""What a record depends on comes before it."""

_ENTITY_SETS: Mapping[Kind, str] = {
    Kind.ITEM: "items",
    Kind.CUSTOMER: "customers",
    Kind.CONTACT: "contacts",
}
_KINDS: Mapping[str, Kind] = {target.sobject: kind for kind, target in TARGETS.items()}
_STUCK = (State.WAITING, State.PARKED)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records are run again; exactly one of the fields says so."""

    ids: tuple[str, ...] = ()
    cause: str = ""
    since: datetime | None = None
    everything: bool = False

    def __post_init__(self) -> None:
        """Raises: ConfigurationError unless exactly one way to choose is given and sensible."""
        ways = [bool(self.ids), bool(self.cause), self.since is not None, self.everything]
        if sum(ways) != 1:
            raise ConfigurationError(
                "Say which records to replay in exactly one way.",
                code="usage",
                remedy="Give an id, a cause, a time, or all.",
            )
        if self.cause and self.cause not in {str(cause) for cause in Cause}:
            near = difflib.get_close_matches(self.cause, [str(cause) for cause in Cause], 1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise ConfigurationError(
                f"There is no cause {self.cause!r}.{hint}",
                code="unknown_cause",
                remedy="`ml-connector status` names the cause of each record.",
            )
        if self.since is not None and self.since.tzinfo is None:
            raise ConfigurationError(
                "The time to replay from has no zone.",
                code="usage",
                remedy="Write it as 2026-03-01T08:00:00Z.",
            )

    def __str__(self) -> str:
        if self.ids:
            return f"id {', '.join(self.ids)}"
        if self.cause:
            return f"cause {self.cause}"
        return f"since {self.since:%Y-%m-%dT%H:%M:%SZ}" if self.since else "all"


@dataclass(slots=True)
class Chosen:
    """The records to run again, by kind."""

    keys: dict[Kind, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    by: str = ""
    """How they were chosen, as the audit says it: of ids the keys of the records they name."""

    def add(self, kind: Kind, key: str) -> None:
        """Choose one record; choosing it twice changes nothing."""
        self.keys[kind][key] = None

    def of(self, kind: Kind) -> list[str]:
        """Return the keys of one kind."""
        return list(self.keys.get(kind, ()))

    def __len__(self) -> int:
        return sum(len(keys) for keys in self.keys.values())


def choose(systems: Systems, selection: Selection) -> Chosen:
    """Return the records that *selection* means, with those they wait for.

    Raises: RecordNotFound when the connection has never seen an id.
    """
    chosen = Chosen()
    named: dict[str, None] = {}
    for record in _selected(systems, selection):
        named[record.key] = None
        for need in record.waits_for:
            chosen.add(Kind(need["kind"]), str(need["salesforce_id"]))
        chosen.add(record.kind, record.key)
    if selection.since is not None:
        for entity, key in systems.ledger.changed_since(selection.since):
            if entity in _KINDS:
                chosen.add(_KINDS[entity], key)
    chosen.by = f"id {', '.join(named)}" if selection.ids else str(selection)
    return chosen


def _selected(systems: Systems, selection: Selection) -> Iterable[Record]:
    for text in selection.ids:
        found = systems.ledger.find(text)
        if not found:
            raise RecordNotFound(
                f"The connection has never seen a record {text!r}.",
                code="unknown_record",
                remedy="Give the id or number the record has in Salesforce or Business Central.",
            )
        yield from found
    if selection.ids:
        return
    if selection.since is not None:
        for page in systems.ledger.iterate():
            yield from (record for record in page if record.last_seen_at >= selection.since)
        return
    for page in systems.ledger.iterate(states=_STUCK):
        for record in page:
            if not selection.cause or record.cause == selection.cause:
                yield record


def release(systems: Systems, chosen: Chosen, selection: Selection) -> None:
    """Open the stored changes of the chosen records again, and say in the audit who asked.

    Effect: ledger only. A record that was chosen by its id and whose partner was deleted in BC
    loses its link, so that it is written again: nobody but a person can decide that.
    """
    for kind in TARGETS:
        keys = chosen.of(kind)
        if selection.ids:
            _unlink_deleted(systems, kind, keys)
        for window in windows(keys):
            again_when_stale(partial(flipping.release, systems, kind, window))
            _reopen(systems, kind, window, chosen.by)


def _reopen(systems: Systems, kind: Kind, keys: Sequence[str], rule: str) -> None:
    records = systems.ledger.records(kind, keys)
    with systems.ledger.transaction() as tx:
        tx.reopen_changes(keys)
        for record in records.values():
            audit(
                tx,
                systems,
                record,
                direction=Direction.DECISION,
                action="replay",
                rule=rule,
                outcome=str(record.state),
                before={"state": str(record.state), "cause": record.cause},
            )
    sobject = TARGETS[kind].sobject
    opened = set(systems.ledger.pending_ids("salesforce", sobject))
    mark_changed(systems, sobject, [key for key in keys if key not in opened], "replay")


def _unlink_deleted(systems: Systems, kind: Kind, keys: Sequence[str]) -> None:
    """Take the link off records whose partner is gone, in Salesforce and then in the ledger."""
    if not keys:
        return
    target = TARGETS[kind]
    with claimed(systems, kind, keys) as claims:
        records = systems.ledger.records(kind, [key for key in keys if key in claims])
        rows = read_rows(systems, target.sobject, ["Id", target.external_id], list(records))
        for key, record in records.items():
            record.bc_id = record.bc_id or str(rows.get(key, {}).get(target.external_id) or "")
        gone = _gone(systems, kind, [record for record in records.values() if record.bc_id])
        blank = {name: None for name in (target.external_id, target.number) if name}
        for window in windows([record.key for record in gone], 200):
            systems.salesforce.update_records(
                target.sobject, [{"Id": records[key].salesforce_id, **blank} for key in window]
            )
        for record in gone:
            log.warning("%s %s is unlinked from %s", kind, record.key, record.bc_number)
            before = {"bc_id": record.bc_id, "bc_number": record.bc_number}
            record.bc_id = record.bc_number = record.bc_stamp = ""
            record.sent, record.settled = None, False
            for name in blank:
                record.wanted.pop(name, None)
            with systems.ledger.transaction() as tx:
                tx.save(record, fence=claims.fence(record.key))
                audit(
                    tx,
                    systems,
                    record,
                    direction=Direction.DECISION,
                    action="unlink",
                    rule="replayed_after_deletion",
                    outcome="done",
                    before=before,
                )


def _gone(systems: Systems, kind: Kind, linked: Sequence[Record]) -> list[Record]:
    """Return the records whose partner BC does not have any more, not even as an invoice."""
    if kind is Kind.ORDER:
        chains = read_chains(systems, linked)
        return [
            record
            for record in linked
            if chains[record.key].order is None and not chains[record.key].invoices
        ]
    ids = [record.bc_id.lower() for record in linked]
    rows = systems.business_central.find_by(_ENTITY_SETS[kind], "id", ids, quote=False)
    there = {str(row["id"]).lower() for row in rows}
    return [record for record in linked if record.bc_id.lower() not in there]


def replayed(systems: Systems, chosen: Chosen) -> list[Record]:
    """Return where the chosen records stand now, causes before effects."""
    return [
        record
        for kind in ORDER_OF_CAUSES
        for record in systems.ledger.records(kind, chosen.of(kind)).values()
    ]


def derive_status(systems: Systems, chosen: Chosen) -> None:
    """Derive what the chosen orders should show, once they are written."""
    for window in windows(list(dict.fromkeys([*chosen.of(Kind.ORDER), *chosen.of(Kind.STATUS)]))):
        status.prepare_status(systems, window)


def replay(settings: ConnectionSettings, selection: Selection) -> list[Outcome]:
    """Run the chosen records again without an orchestrator; returns where they stand.

    Raises: TransientError at the end when a vendor was not available for some of them.
    """
    with Systems.open(settings, RunIds(flow_run_id=str(uuid4()))) as systems:
        begin_run(systems, "replay-records")
        chosen = choose(systems, selection)
        release(systems, chosen, selection)
        fault = _phases(systems, chosen)
        outcomes = [Outcome.of(record) for record in replayed(systems, chosen)]
    if fault is not None:
        raise fault
    return outcomes


def _phases(systems: Systems, chosen: Chosen) -> TransientError | None:
    faults = [
        run_phase(systems, chosen.of(kind), prepare, write)
        for kind, prepare, write in (
            (Kind.ITEM, catalog.prepare_items, catalog.write_items),
            (Kind.CUSTOMER, customers.prepare_customers, customers.write_customers),
            (Kind.CONTACT, contacts.prepare_contacts, contacts.write_contacts),
            (Kind.ORDER, orders.prepare_orders, orders.write_orders),
            (Kind.INVOICE, invoices.prepare_drafts, invoices.post_invoices),
            (Kind.INVOICE, shipments.prepare_shipments, shipments.ship_and_invoice),
        )
    ]
    derive_status(systems, chosen)
    for kind in TARGETS:
        try:
            show(systems, kind)
        except TransientError as fault:
            faults.append(fault)
    return next((fault for fault in faults if fault is not None), None)
