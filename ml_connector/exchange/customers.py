"""Ingest customers: qualifying Accounts become BC customers, created, linked or updated."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ml_connector.business_central.client import BatchOperation
from ml_connector.business_central.models import CompanyContactInformation, Customer
from ml_connector.business_central.models import parse as parse_bc
from ml_connector.customers.mapping import customer_number
from ml_connector.customers.matching import CustomerIndex
from ml_connector.customers.planning import (
    CustomerContext,
    plan_customer,
    qualifies,
)
from ml_connector.domain.causes import Cause
from ml_connector.domain.decision import (
    Body,
    Create,
    Exclude,
    Link,
    Park,
    Update,
)
from ml_connector.domain.identifiers import Kind, State, folded
from ml_connector.errors import ConcurrentEdit, RecordRejected, TransientError
from ml_connector.exchange.collect import (
    content_digest,
    due_keys,
    mark_changed,
    poll_salesforce,
    same_value,
    shown_fields,
)
from ml_connector.exchange.decided import Decided, store_decided
from ml_connector.exchange.order_filter import qualifying_order_condition
from ml_connector.exchange.outcome import Outcome, Planned, Prepared
from ml_connector.exchange.planned import finish_plans, planned_record
from ml_connector.exchange.reading import fields_of, ids_where, read_models
from ml_connector.exchange.show import express
from ml_connector.exchange.systems import Systems
from ml_connector.exchange.write_protocol import (
    Claims,
    Write,
    Written,
    claimed,
    fresh_record,
    store_decision,
    write_once,
)
from ml_connector.ledger.ledger import Intent
from ml_connector.ledger.records import Record
from ml_connector.salesforce.models import Account, Order
from ml_connector.salesforce.soql import among, in_list, select

log = logging.getLogger("ml_connector")

_INDEX_FIELDS = (
    "id", "number", "displayName", "postalCode", "email", "website", "taxRegistrationNumber",
)  # fmt: skip
_SERIES_ONLY = "customer_series_only"


def collect_accounts(systems: Systems) -> list[str]:
    """Store what changed and return the Account ids to decide now.

    Orders are polled as well: a qualifying Order makes its Account a customer although the Account
    itself did not change. Effect: inbox and checkpoints in the ledger.
    """
    poll_orders(systems)
    poll_salesforce(systems, "Account", fields_of(systems, Account), Kind.CUSTOMER)
    return due_keys(systems, "Account", Kind.CUSTOMER)


def poll_orders(systems: Systems) -> None:
    """Store changed Orders in the inbox, and with them the Accounts that are no customers yet."""

    def on_page(page: list[dict[str, Any]], records: dict[str, Record]) -> None:
        accounts = [str(row["AccountId"]) for row in page if row.get("AccountId")]
        known = systems.ledger.records(Kind.CUSTOMER, list(dict.fromkeys(accounts)))
        unlinked = [key for key in accounts if key not in known or not known[key].bc_id]
        mark_changed(systems, "Account", unlinked, "order")

    poll_salesforce(systems, "Order", fields_of(systems, Order), Kind.ORDER, on_page)


@dataclass(slots=True)
class _Window:
    """What deciding about one window of Accounts needs from both systems."""

    by_id: dict[str, Customer] = field(default_factory=dict)
    index: CustomerIndex | None = None
    ordering: set[str] = field(default_factory=set)
    conditioned: set[str] = field(default_factory=set)
    sharing: dict[str, list[str]] = field(default_factory=dict)


def prepare_customers(systems: Systems, keys: Sequence[str]) -> Prepared:
    """Decide about the Accounts of *keys*; what needs no BC write is stored at once."""
    up_to = systems.ledger.last_change_id()
    accounts, rows = read_models(systems, Account, keys)
    records = {
        key: record for key, record in systems.ledger.records(Kind.CUSTOMER, keys).items()
    }
    window = _read_window(systems, accounts, records)
    decided: list[Decided] = []
    plans: list[Planned] = []
    for key in keys:
        record = records.get(key) or fresh_record(systems, Kind.CUSTOMER, key)
        account = accounts.get(key)
        if account is None:
            decided.append(Decided(record, _deleted(record)))
            continue
        record.salesforce_number = account.account_number or account.name or ""
        record.source_stamp = content_digest(rows[key])
        record.shown = shown_fields(rows[key])
        record.facts["currency"] = account.currency_iso_code or systems.org_currency()
        if not record.bc_id and not _qualifies(systems, account, window):
            name = account.name or key
            decided.append(
                Decided(
                    record,
                    Exclude(
                        Cause.NOT_QUALIFYING,
                        f"Account {name} is no customer: rule {systems.policy.customers.qualify}.",
                    ),
                )
            )
            continue
        decision = _decide(systems, account, record, window)
        if isinstance(decision, Create | Update) or (
            isinstance(decision, Link) and decision.changes
        ):
            plans.append(
                Planned(
                    Kind.CUSTOMER,
                    key,
                    record.salesforce_number,
                    decision,
                    account,
                    up_to,
                    rows[key],
                    context=_agreed(systems, account),
                )
            )
        else:
            agreed = None if isinstance(decision, Park) else _agreed(systems, account)
            decided.append(Decided(record, decision, sent=agreed))
    return Prepared(tuple(plans), store_decided(systems, "Account", decided, up_to))


def _deleted(record: Record) -> Park | Exclude:
    if record.bc_id:
        return Park(
            Cause.DELETED_IN_SALESFORCE,
            f"Account {record.salesforce_number} was deleted in Salesforce; customer "
            f"{record.bc_number} stays in Business Central.",
        )
    return Exclude(Cause.DELETED, f"Account {record.salesforce_number or record.key} was deleted.")


def _read_window(
    systems: Systems, accounts: Mapping[str, Account], records: Mapping[str, Record]
) -> _Window:
    """Read what the decisions need: linked customers, the match index, orders, shared numbers."""
    window = _Window()
    ids = {record.bc_id.lower() for record in records.values() if record.bc_id}
    ids |= {each.bc_customer_id.lower() for each in accounts.values() if each.bc_customer_id}
    window.by_id = read_customers(systems, ids)
    unlinked = {
        key: account
        for key, account in accounts.items()
        if not (key in records and records[key].bc_id)
    }
    if not unlinked:
        return window
    window.index = customer_index(systems)
    _read_qualification(systems, unlinked, window)
    window.sharing = _sharing(systems, unlinked.values())
    return window


def read_customers(systems: Systems, ids: Iterable[str]) -> dict[str, Customer]:
    """Return BC customers by lower-case id."""
    found: dict[str, Customer] = {}
    for row in systems.business_central.find_by("customers", "id", sorted(ids), quote=False):
        customer = parse_bc(Customer, row)
        found[customer.id] = customer
    return found


def customer_index(systems: Systems) -> CustomerIndex:
    """Return what matching needs of every BC customer; read once per run, one call per 20,000."""
    return systems.remembered.get(
        "customer_index",
        lambda: CustomerIndex(
            parse_bc(Customer, row)
            for row in systems.business_central.rows("customers", select=_INDEX_FIELDS)
        ),
    )


def _read_qualification(
    systems: Systems, accounts: Mapping[str, Account], window: _Window
) -> None:
    policy = systems.policy.customers
    if policy.qualify == "all":
        return
    if policy.qualify in ("order", "type_or_order"):
        asked = [
            key
            for key, account in accounts.items()
            if not qualifies(account, has_qualifying_order=False, policy=policy)
        ]
        window.ordering = ids_where(
            systems, "Order", asked, qualifying_order_condition(systems), field="AccountId"
        )
    else:
        window.conditioned = ids_where(systems, "Account", list(accounts), policy.qualify)


def _qualifies(systems: Systems, account: Account, window: _Window) -> bool:
    policy = systems.policy.customers
    if policy.qualify in ("all", "order", "type_or_order"):
        return qualifies(
            account, has_qualifying_order=account.id in window.ordering, policy=policy
        )
    return account.id in window.conditioned


def _sharing(systems: Systems, accounts: Iterable[Account]) -> dict[str, list[str]]:
    """Return the ids of all Accounts per folded Account Number, for the numbers of *accounts*."""
    numbers = [account.account_number for account in accounts if account.account_number]
    sharing: dict[str, list[str]] = defaultdict(list)
    for chunk in in_list(numbers):
        soql = select("Account", ["Id", "AccountNumber"], where=among("AccountNumber", chunk))
        for page in systems.salesforce.query(soql):
            for row in page:
                sharing[folded(row["AccountNumber"])].append(row["Id"])
    return sharing
