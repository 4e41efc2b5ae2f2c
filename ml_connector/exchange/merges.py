"""Merged Accounts and Contacts: the partner goes to the survivor; two partners need a decision."""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable, Mapping
from functools import partial

from ml_connector.business_central.models import Contact, Customer
from ml_connector.domain.causes import Cause
from ml_connector.domain.decision import Candidate, Exclude, Park
from ml_connector.domain.identifiers import Kind, eighteen, same_id
from ml_connector.exchange.again import again_when_stale
from ml_connector.exchange.collect import mark_changed
from ml_connector.exchange.decided import gone_on_both_sides
from ml_connector.exchange.expressed import express
from ml_connector.exchange.systems import Systems
from ml_connector.exchange.write_protocol import (
    Direction,
    audit,
    audit_decision,
    enter_decision,
    fresh_record,
)
from ml_connector.ledger.records import Record
from ml_connector.salesforce.soql import among, in_list, select

log = logging.getLogger("ml_connector")

_INTO = "merged_into"
_OTHER = "merged_partner"
_CARRIED = ("company_contact", "currency", "notice")
_SOBJECTS = {Kind.CUSTOMER: "Account", Kind.CONTACT: "Contact"}


def absorb_merged(systems: Systems, kind: Kind, gone: Iterable[str]) -> None:
    """Move the partners of merged Accounts or Contacts to the ones that survived.

    *gone* are records that are not there any more. Effect: ledger only; the survivor is put into
    the inbox. Cost: one query per 200 linked ones, none when nothing linked is gone.
    """
    records = systems.ledger.records(kind, list(gone))
    linked = [key for key, record in records.items() if record.bc_id]
    masters = _masters(systems, _SOBJECTS[kind], linked)
    for key in linked:
        survivor = _survivor(key, masters)
        if survivor is not None:
            again_when_stale(partial(_move, systems, kind, key, survivor))


def _masters(systems: Systems, sobject: str, keys: Iterable[str]) -> dict[str, str]:
    """Return, per merged record, the one it was merged into, over several merges if need be."""
    found: dict[str, str] = {}
    wanted = list(keys)
    while wanted:
        added: list[str] = []
        for chunk in in_list(wanted):
            soql = select(sobject, ["Id", "MasterRecordId", "IsDeleted"], where=among("Id", chunk))
            for row in systems.salesforce.query_rows(soql, all_rows=True):
                if row.get("IsDeleted") and row.get("MasterRecordId"):
                    found[eighteen(row["Id"])] = eighteen(row["MasterRecordId"])
                    added.append(eighteen(row["MasterRecordId"]))
        wanted = [key for key in dict.fromkeys(added) if key not in found]
    return found


def _survivor(key: str, masters: Mapping[str, str]) -> str | None:
    seen = {key}
    while (master := masters.get(key)) is not None and master not in seen:
        seen.add(master)
        key = master
    return key if len(seen) > 1 else None


def _move(systems: Systems, kind: Kind, key: str, survivor_key: str) -> None:
    """Give the partner of *key* to the survivor, or note that both have one."""
    loser = fresh_record(systems, kind, key)
    survivor = fresh_record(systems, kind, survivor_key)
    before = {"bc_id": survivor.bc_id, "bc_number": survivor.bc_number}
    both = bool(survivor.bc_id) and not same_id(survivor.bc_id, loser.bc_id)
    if both:
        survivor.facts[_OTHER] = {
            "merged": key,
            "bc_id": loser.bc_id,
            "bc_number": loser.bc_number,
            "name": loser.salesforce_number,
        }
    else:
        survivor.bc_id, survivor.bc_number = loser.bc_id, loser.bc_number
        survivor.sent, survivor.bc_stamp = loser.sent, loser.bc_stamp
        for name in _CARRIED:
            if name in loser.facts:
                survivor.facts[name] = loser.facts[name]
    loser.facts[_INTO] = survivor_key
    loser.bc_id = loser.bc_number = ""
    loser.wanted, loser.sent, loser.show_pending = {}, None, False
    enter_decision(systems, loser, merged_away(loser))
    express(survivor)
    with systems.ledger.transaction() as tx:
        tx.save_all([loser, survivor])
        audit_decision(tx, systems, loser)
        audit(
            tx,
            systems,
            survivor,
            direction=Direction.DECISION,
            action="merge",
            rule=f"{_SOBJECTS[kind].lower()}_merge",
            outcome="parked" if both else "done",
            before=before,
            after={
                "bc_id": survivor.bc_id,
                "bc_number": survivor.bc_number,
                "merged": key,
                **({"other": survivor.facts[_OTHER]} if both else {}),
            },
        )
        mark_changed(systems, _SOBJECTS[kind], [survivor_key], "merge")
    log.info("%s %s was merged into %s", _SOBJECTS[kind], key, survivor_key)


def merged_away(record: Record) -> Exclude:
    """Return where a record stands that was merged into another one."""
    name, sobject = record.salesforce_number or record.key, _SOBJECTS[record.kind]
    into = record.facts[_INTO]
    return Exclude(Cause.DELETED, f"{sobject} {name} was merged into {sobject} {into}.")


def is_deleted_in_salesforce(record: Record) -> bool:
    """Tell whether a linked record is known to be gone from Salesforce: it holds no partner."""
    return record.cause in (Cause.DELETED_IN_SALESFORCE, Cause.DELETED)


def taken_over(systems: Systems, kind: Kind, gone: Mapping[str, Record]) -> frozenset[str]:
    """Return the partners of *gone*, records Salesforce does not have, that another one has now."""
    ids = [record.bc_id for record in gone.values() if record.bc_id]
    return frozenset(
        bc_id
        for bc_id, holders in systems.ledger.records_by_bc_id(kind, ids).items()
        if any(each.key not in gone and not is_deleted_in_salesforce(each) for each in holders)
    )


def deleted_in_salesforce(
    record: Record, partners: Container[str], taken: Container[str]
) -> Park | Exclude:
    """Return where an Account or Contact stands that Salesforce does not have any more.

    *partners* are the ids BC still has of those that were asked for, *taken* those of another
    record.
    """
    if was_merged(record):
        return merged_away(record)
    name, sobject = record.salesforce_number, _SOBJECTS[record.kind]
    if record.bc_id and record.bc_id.lower() not in partners:
        return gone_on_both_sides(record)
    if record.bc_id in taken:
        return Exclude(
            Cause.DELETED,
            f"{sobject} {name} was deleted in Salesforce; {record.kind} {record.bc_number} belongs "
            f"to another {sobject} now.",
        )
    if record.bc_id:
        return Park(
            Cause.DELETED_IN_SALESFORCE,
            f"{sobject} {name} was deleted in Salesforce; {record.kind} "
            f"{record.bc_number} stays in Business Central.",
        )
    return Exclude(
        Cause.DELETED, f"{sobject} {record.salesforce_number or record.key} was deleted."
    )


def survivor_of(record: Record) -> str:
    """Return the key of the record that this one was merged into, "" when it was not."""
    return str(record.facts.get(_INTO) or "")


def was_merged(record: Record) -> bool:
    """Tell whether the record was merged into another one."""
    return bool(record.facts.get(_INTO)) and not record.bc_id


def other_partner(record: Record) -> str:
    """Return the BC id of the second partner that a merge brought, "" when there is none."""
    other = record.facts.get(_OTHER) or {}
    return str(other.get("bc_id", "")).lower()


def merge_conflict(
    record: Record, linked: Customer | Contact | None, other: Customer | Contact | None
) -> Park | None:
    """Return the conflict of a survivor with two partners; None once one of them is out of use.

    Out of use is gone, a customer blocked for everything, a contact blocked for privacy. When that
    is the survivor's own, the other one becomes its partner. Changes the record in memory only.
    """
    if not record.facts.get(_OTHER):
        return None
    if other is not None and not _in_use(linked):
        record.bc_id, record.bc_number = other.id, other.number
        record.sent = None
        record.facts.pop(_OTHER)
        return None
    if not _in_use(other):
        record.facts.pop(_OTHER)
        return None
    kept = [partner for partner in (linked, other) if partner is not None]
    numbers = " and ".join(partner.number for partner in kept)
    sobject = _SOBJECTS[record.kind]
    return Park(
        Cause.MERGE_CONFLICT,
        f"{sobject} {record.salesforce_number}: two {sobject}s with the {record.kind}s {numbers} "
        f"were merged.",
        tuple(Candidate(each.id, each.number, each.display_name) for each in kept),
    )


def _in_use(partner: Customer | Contact | None) -> bool:
    if isinstance(partner, Customer):
        return partner.blocked != "All"
    return partner is not None and not partner.privacy_blocked
