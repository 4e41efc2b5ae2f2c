"""What a Salesforce record should show of its ledger record: link, sync status, message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from ml_connector.billing.status import ORDER_FIELDS, sync_fields
from ml_connector.configuration.fields import FieldMapping, shown_from
from ml_connector.domain.causes import Cause
from ml_connector.domain.identifiers import Kind, State
from ml_connector.exchange.collect import same_value
from ml_connector.ledger.records import Record


@dataclass(frozen=True, slots=True)
class Target:
    """Where a kind of record is shown in Salesforce."""

    sobject: str
    external_id: str
    number: str
    """Field of the BC number; "" when there is none."""
    by_external_id: bool
    has_sync_status: bool
    has_as_of: bool


TARGETS: Mapping[Kind, Target] = {
    Kind.ITEM: Target("Product2", "BC_Item_Id__c", "BC_Item_Number__c", False, False, False),
    Kind.CUSTOMER: Target(
        "Account", "BC_Customer_Id__c", "BC_Customer_Number__c", True, True, True
    ),
    Kind.CONTACT: Target("Contact", "BC_Contact_Id__c", "", True, False, False),
    Kind.ORDER: Target("Order", "BC_Order_Id__c", "BC_Order_Number__c", True, True, True),
}

_QUIET_CAUSES = frozenset({Cause.NOT_QUALIFYING, Cause.DELETED, Cause.ACCOUNT_EXCLUDED})
"""Excluded for these, a record that never showed anything is not touched in Salesforce."""


def express(record: Record) -> None:
    """Derive the link and sync fields that *record* should show, and mark it when they differ.

    An Order without BC order shows the status Error when it is parked, else none.
    """
    target = TARGETS.get(record.kind)
    if target is None:
        return
    if record.bc_id:
        record.wanted[target.external_id] = record.bc_id.lower()
        if target.number:
            record.wanted[target.number] = record.bc_number
    elif record.kind is Kind.ORDER:
        is_parked = record.state is State.PARKED
        record.wanted.update(_copied(target, record))
        record.wanted["BC_Order_Status__c"] = "Error" if is_parked else None
    if target.has_sync_status and not _stays_quiet(record):
        record.wanted.update(sync_fields(record.state, _message(record)))
    record.show_pending = bool(differences(record))


def _copied(target: Target, record: Record) -> dict[str, Any]:
    """Return what an Order without sales order shows of one all the same, such as a clone, as None.

    One that still shows a BC id is left as it is: its link may only be lost.
    """
    shown = record.shown or {}
    if shown.get(target.external_id):
        return {}
    return {name: None for name in (target.number, *ORDER_FIELDS) if shown.get(name)}


def _stays_quiet(record: Record) -> bool:
    if record.state is State.EXCLUDED and record.cause in _QUIET_CAUSES:
        return not (record.shown or {}).get("BC_Sync_Status__c")
    return record.cause in (Cause.HELD_BY_OTHER_WORKER, Cause.DELETED)


def _message(record: Record) -> str:
    if record.state in (State.WRITTEN, State.UNCHANGED):
        return record.message or str(record.facts.get("notice", ""))
    remedy = f" {record.remedy}" if record.remedy else ""
    return f"{record.message}{remedy}"


def forget_unmapped(record: Record, mappings: Iterable[FieldMapping], entity_set: str) -> None:
    """Let go of custom fields that are mapped no more: what was written is left to people."""
    mapped = shown_from(mappings, entity_set)
    for name in [each for each in record.wanted if not each.startswith("BC_")]:
        if name not in mapped:
            del record.wanted[name]


def differences(record: Record) -> dict[str, Any]:
    """Return the wanted fields whose value Salesforce does not show yet, as JSON values."""
    shown = record.shown or {}
    return {
        name: json_value(value)
        for name, value in record.wanted.items()
        if name != "BC_As_Of__c"
        and not (record.shown is not None and same_value(json_value(value), shown.get(name)))
    }


def json_value(value: Any) -> Any:
    """Return a field value as it travels in JSON: dates and instants as ISO text."""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    if isinstance(value, date):
        return value.isoformat()
    return value
