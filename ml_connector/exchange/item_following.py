"""What Salesforce's catalog takes over from BC's items, where the policy says so."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ml_connector.business_central.models import Item
from ml_connector.business_central.models import parse as parse_bc
from ml_connector.catalog.mapping import product_body
from ml_connector.catalog.prices import plan_price
from ml_connector.domain.identifiers import Kind, State, eighteen, folded
from ml_connector.errors import TransientError
from ml_connector.exchange.collect import OVERLAP, parse_instant
from ml_connector.exchange.expressed import express
from ml_connector.exchange.systems import Systems
from ml_connector.exchange.write_protocol import Direction, audit, claimed, new_record
from ml_connector.ledger.records import Record
from ml_connector.salesforce.client import RecordResult
from ml_connector.salesforce.models import PricebookEntry
from ml_connector.salesforce.models import parse as parse_salesforce
from ml_connector.salesforce.soql import among, both, in_list, quote, select

log = logging.getLogger("ml_connector")

PAGE = 200

FEED = "business_central/items/followed"
"""How far the items were read for what the catalog takes over from them."""


@dataclass(slots=True)
class Followed:
    """How many products were created and prices written; refused ones are in the log."""

    products: int = 0
    prices: int = 0
    refused: int = 0


def follow_items(systems: Systems) -> Followed:
    """Create products for items without partner and write prices, as far as the policy says.

    Effect: upserts by External Id and price book entries, both harmless to repeat. Items are read
    from a checkpoint of its own, from the beginning on the first run.
    Raises: TransientError when Salesforce was not available for some of them.
    """
    policy = systems.policy.catalog
    result = Followed()
    if not policy.create_products and policy.prices == "off":
        return result
    checkpoint = systems.ledger.checkpoint(FEED)
    start = checkpoint.confirmed_at if checkpoint else datetime(2000, 1, 1, tzinfo=UTC)
    since = (start - OVERLAP).astimezone(UTC)
    for page in systems.business_central.pages(
        "items",
        filter=f"lastModifiedDateTime gt {since:%Y-%m-%dT%H:%M:%S}Z",
        orderby="lastModifiedDateTime",
    ):
        for begin in range(0, len(page), PAGE):
            items = [parse_bc(Item, row) for row in page[begin : begin + PAGE]]
            if policy.create_products:
                _create_products(systems, items, result)
            if policy.prices == "standard":
                _write_prices(systems, items, result)
        if page:
            newest = parse_instant(page[-1]["lastModifiedDateTime"])
            with systems.ledger.transaction() as tx:
                tx.move_checkpoint(FEED, newest.isoformat(), newest)
    return result


def _create_products(systems: Systems, items: Sequence[Item], result: Followed) -> None:
    """Upsert a Product2 for every item that no product stands for."""
    linked = systems.ledger.records_by_bc_id(Kind.ITEM, [item.id for item in items])
    unlinked = [item for item in items if item.id not in linked and not item.blocked]
    taken: set[str] = set()
    for chunk in in_list([item.number for item in unlinked]):
        soql = select("Product2", ["Id", "ProductCode"], where=among("ProductCode", chunk))
        for rows in systems.salesforce.query(soql):
            taken.update(folded(row["ProductCode"]) for row in rows)
    wanted = [item for item in unlinked if folded(item.number) not in taken]
    if not wanted:
        return
    bodies = [dict(product_body(item)) for item in wanted]
    answers = systems.salesforce.upsert_records("Product2", "BC_Item_Id__c", bodies)
    for item, body, answer in zip(wanted, bodies, answers, strict=True):
        if answer.success and answer.id:
            _link_product(systems, eighteen(answer.id), item, body, answer.request_id)
            result.products += 1
        else:
            _refused(f"product for item {item.number}", answer, result)


def _link_product(
    systems: Systems, key: str, item: Item, body: dict[str, Any], request_id: str
) -> None:
    with claimed(systems, Kind.ITEM, [key]) as claims:
        if key not in claims:
            return
        record = systems.ledger.record(Kind.ITEM, key) or new_record(
            systems, Kind.ITEM, key, item.number
        )
        record.bc_id, record.bc_number = item.id, item.number
        record.shown = {name: value for name, value in body.items() if name.startswith("BC_")}
        record.facts["sales_unit"] = ""
        record.enter(State.WRITTEN, now=systems.clock.now())
        express(record)
        with systems.ledger.transaction() as tx:
            tx.save(record, fence=claims.fence(key))
            audit(
                tx,
                systems,
                record,
                direction=Direction.TO_SALESFORCE,
                action="create",
                rule="create_products",
                outcome="done",
                after=body,
                request_id=request_id,
            )


def _refused(what: str, answer: RecordResult, result: Followed) -> None:
    if answer.is_retryable:
        raise TransientError(f"Salesforce could not take the {what} now.", system="salesforce")
    text = "; ".join(f"{error.message} ({error.code})" for error in answer.errors)
    log.warning("Salesforce refused the %s: %s", what, text)
    result.refused += 1


def _write_prices(systems: Systems, items: Sequence[Item], result: Followed) -> None:
    """Write the standard price of linked products whose item price differs."""
    linked = {
        bc_id: records[0]
        for bc_id, records in systems.ledger.records_by_bc_id(
            Kind.ITEM, [item.id for item in items]
        ).items()
    }
    currency = systems.local_currency if systems.is_multi_currency() else systems.org_currency()
    entries = _standard_entries(systems, [record.key for record in linked.values()], currency)
    changed: list[_Price] = []
    created: list[_Price] = []
    for item in items:
        record = linked.get(item.id)
        if record is None:
            continue
        entry = entries.get(record.key)
        price = plan_price(
            item,
            entry,
            currency=currency,
            local_currency=systems.local_currency,
            policy=systems.policy.catalog,
        )
        if price is None:
            continue
        if entry is not None:
            body = {"Id": entry.id, "UnitPrice": price}
            changed.append(_Price(record, body, {"UnitPrice": entry.unit_price}))
        else:
            created.append(_Price(record, _new_entry(systems, record, price, currency), {}))
    client = systems.salesforce
    if changed:
        answers = client.update_records("PricebookEntry", [each.body for each in changed])
        _count_prices(systems, changed, answers, result)
    if created:
        answers = client.create_records("PricebookEntry", [each.body for each in created])
        _count_prices(systems, created, answers, result)


@dataclass(frozen=True, slots=True)
class _Price:
    """A price to write: the product's record, the entry's fields, and its price before."""

    record: Record
    body: dict[str, Any]
    before: dict[str, Any]


def _new_entry(systems: Systems, record: Record, price: Any, currency: str) -> dict[str, Any]:
    entry = {
        "Pricebook2Id": _standard_price_book(systems),
        "Product2Id": record.key,
        "UnitPrice": price,
        "IsActive": True,
    }
    return entry | ({"CurrencyIsoCode": currency} if systems.is_multi_currency() else {})


def _count_prices(
    systems: Systems, prices: Sequence[_Price], answers: Sequence[RecordResult], result: Followed
) -> None:
    """Audit the prices that Salesforce took."""
    with systems.ledger.transaction() as tx:
        for price, answer in zip(prices, answers, strict=True):
            if not answer.success:
                continue
            result.prices += 1
            audit(
                tx,
                systems,
                price.record,
                direction=Direction.TO_SALESFORCE,
                action="price",
                rule="standard",
                outcome="done",
                before=price.before,
                after={name: value for name, value in price.body.items() if name != "Id"},
                request_id=answer.request_id,
            )
    for answer in answers:
        if not answer.success:
            _refused("price", answer, result)


def _standard_price_book(systems: Systems) -> str:
    def read() -> str:
        soql = select("Pricebook2", ["Id"], where="IsStandard = true")
        return next(str(row["Id"]) for page in systems.salesforce.query(soql) for row in page)

    return systems.remembered.get("standard_price_book", read)


def _standard_entries(
    systems: Systems, products: Sequence[str], currency: str
) -> dict[str, PricebookEntry]:
    """Return the standard price book's entry of each product in *currency*."""
    found: dict[str, PricebookEntry] = {}
    fields = ["Id", "SystemModstamp", "Product2Id", "Pricebook2Id", "UnitPrice", "IsActive"]
    conditions = ["Pricebook2.IsStandard = true"]
    if systems.is_multi_currency():
        fields.append("CurrencyIsoCode")
        conditions.append(f"CurrencyIsoCode = {quote(currency)}")
    for chunk in in_list(list(products)):
        soql = select("PricebookEntry", fields, where=both(among("Product2Id", chunk), *conditions))
        for page in systems.salesforce.query(soql):
            for row in page:
                entry = parse_salesforce(PricebookEntry, row)
                found.setdefault(eighteen(entry.product2_id), entry)
    return found
