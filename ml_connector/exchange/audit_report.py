"""The audit as people ask for it: one record, one run, the proof, erasure and retention."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from ml_connector.domain.identifiers import Kind
from ml_connector.exchange.addresses import Addresses
from ml_connector.exchange.feed_report import instant_text
from ml_connector.exchange.mentions import find_mentions, merged_into, take_out
from ml_connector.exchange.plan_file import forget_plans
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.records import AuditEntry


def audit_of(systems: Systems, text: str) -> dict[str, Any] | None:
    """Return the `audit --json` document of the record that *text* names; None when none does.

    *text* is a Salesforce id, an order, customer or item number, or a BC id or number. A record's
    life is that of all that shares its Salesforce id: an order's invoices and status belong to it.
    Others that *text* names too, such as namesakes, are listed in `others`.
    """
    found = systems.ledger.find(text)
    if not found:
        return None
    order = list(Kind)
    found.sort(key=lambda record: order.index(record.kind))
    main = found[0]
    life = systems.ledger.find(main.salesforce_id) if main.salesforce_id else [main]
    entries = sorted(
        (
            entry
            for record in life
            for entry in systems.ledger.audit_entries(record.kind, record.key)
        ),
        key=lambda entry: entry.sequence,
    )
    addresses = Addresses(systems.settings)
    known = {(record.kind, record.key) for record in life}
    return {
        "record": addresses.report(main),
        "entries": [entry_json(entry) for entry in entries],
        "others": [addresses.report(each) for each in found if (each.kind, each.key) not in known],
    }


def entry_json(entry: AuditEntry) -> dict[str, Any]:
    """Return one entry; before and after are null once they were erased."""
    return {
        "at": instant_text(entry.at),
        "direction": entry.direction,
        "action": entry.action,
        "before": _numbers_as_text(entry.before),
        "after": _numbers_as_text(entry.after),
        "rule": entry.rule,
        "outcome": entry.outcome,
        "flow_run_id": entry.flow_run_id,
        "task_run_id": entry.task_run_id,
        "request_id": entry.request_id,
        "policy_version": entry.policy_version,
        "sequence": entry.sequence,
    }


def _numbers_as_text(content: Any) -> Any:
    """Return *content* with every number as text: money is a string whether or not it has cents."""
    match content:
        case bool():
            return content
        case int() | Decimal():
            return format(content, "f") if isinstance(content, Decimal) else str(content)
        case Mapping():
            return {name: _numbers_as_text(value) for name, value in content.items()}
        case list() | tuple():
            return [_numbers_as_text(value) for value in content]
    return content


def audit_of_run(systems: Systems, flow_run_id: str) -> dict[str, Any] | None:
    """Return what one flow run decided and wrote, record by record; None when it did nothing.

    Shape: `{run, records: [R], entries: [entry with kind, key, salesforce_id, bc_id]}`.
    """
    run = systems.ledger.run(flow_run_id)
    entries = systems.ledger.audit_of_run(flow_run_id)
    if run is None and not entries:
        return None
    addresses = Addresses(systems.settings)
    keys: dict[Kind, list[str]] = {}
    for entry in entries:
        if entry.key:
            keys.setdefault(entry.kind, []).append(entry.key)
    records = [
        record
        for kind in Kind
        for record in systems.ledger.records(kind, dict.fromkeys(keys.get(kind, ()))).values()
    ]
    return {
        "run": {
            "flow_run_id": flow_run_id,
            "name": run.name if run else "",
            "started_at": instant_text(run.started_at) if run else None,
            "ended_at": instant_text(run.ended_at) if run else None,
            "exit_code": run.exit_code if run else None,
        },
        "records": [addresses.report(record) for record in records],
        "entries": [
            {
                "kind": str(entry.kind),
                "key": entry.key,
                "salesforce_id": entry.salesforce_id,
                "bc_id": entry.bc_id,
                **entry_json(entry),
            }
            for entry in entries
        ],
    }


def verification(systems: Systems) -> dict[str, Any]:
    """Return whether the chain of audit entries is whole.

    `head` is the digest of the newest entry: kept elsewhere, it also shows when the end of the
    chain was cut off.
    """
    result = systems.ledger.verify_audit()
    return {
        "connection": systems.settings.name,
        "ok": result.ok,
        "entries": result.entries,
        "erased": result.erased,
        "first_bad_sequence": result.first_bad_sequence,
        "head": result.head,
    }


def erase(systems: Systems, text: str) -> dict[str, Any] | None:
    """Erase what the ledger says about the person or company that *text* names; None when nobody.

    Effect: contents of audit entries, intents and changes are gone for good, and so are all kept
    plans and the bytes of events nobody could decode. What orders and other records say about a
    customer or contact goes too; they keep their state and cause (`mentions` lists them). That
    something was decided and written, when and by which rule stays, and the chain still verifies.
    The vendors' records are not touched, and a record that stays there is known again when it
    changes.
    Raises: StaleClaim when a worker changed one of the records meanwhile; nothing is erased then.
    """
    found = systems.ledger.find(text)
    if not found:
        return None
    found += merged_into(systems, found)
    mentions = find_mentions(systems, found)
    with systems.ledger.transaction() as tx:
        for record in found:
            tx.erase(record.kind, record.key, systems.run)
        forget_plans(tx)
        for record in found:
            now = systems.ledger.record(record.kind, record.key)
            if now is not None and record.kind is not Kind.ORDER:
                now.salesforce_number = ""  # a contact's or account's name where it has no number
                tx.save(now)
        blanked = take_out(tx, systems, mentions)
    return {
        "connection": systems.settings.name,
        "erased": [{"kind": str(record.kind), "key": record.key} for record in found],
        "mentions": [{"kind": str(record.kind), "key": record.key} for record in blanked],
    }


def apply_retention(systems: Systems) -> dict[str, int]:
    """Erase and delete what the policy does not keep longer; returns how much that was."""
    policy = systems.policy.audit
    now = systems.clock.now()
    with systems.ledger.transaction() as tx:
        changes = tx.forget_finished_changes(now - timedelta(days=policy.inbox_days))
        entries = 0
        if policy.keep_days:
            entries = tx.erase_audit_before(now - timedelta(days=policy.keep_days), systems.run)
    return {"entries": entries, "changes": changes}
