"""Lines that changed on their own: a changed line need not move the stamp or total of its Order."""

from __future__ import annotations

import hashlib

from ml_connector.domain.identifiers import Kind, eighteen
from ml_connector.exchange.collect import (
    confirmation_of,
    mark_versions,
    pages_since,
    parse_instant,
)
from ml_connector.exchange.systems import Systems
from ml_connector.orders.mapping import plain
from ml_connector.salesforce.models import FIELDS, Order, OrderItem, parse
from ml_connector.salesforce.soql import select
from ml_connector.wire_json import encode

FEED = "salesforce/OrderItem"

LINES_READ = "lines_read"
"""Fact of an Order's record: the marks of the lines it was last decided with."""


def line_marks(order: Order) -> list[str]:
    """Return a short mark of each line; one whose content changes has another mark."""
    return [_mark(line) for line in order.order_items or ()]


def _mark(line: OrderItem) -> str:
    numbers = (line.quantity, line.unit_price, line.total_price)
    content = [
        line.id,
        line.order_item_number,
        line.product2_id,
        *(None if number is None else str(plain(number)) for number in numbers),
        (line.description or "").strip(),
    ]
    return hashlib.sha256(encode(content)).hexdigest()[:12]


def poll_order_lines(systems: Systems) -> None:
    """Put the Orders into the inbox whose lines are not those they were decided with.

    The first poll only notes where to begin, since every Order is read whole at first; it has to
    come before the first poll of Orders. Cost: one query per 2,000 changed lines.
    """
    if systems.ledger.checkpoint(FEED) is None:
        _begin(systems)
        return
    began = systems.clock.now()
    for page in pages_since(systems, "OrderItem", FIELDS[OrderItem], FEED):
        lines = [(eighteen(str(row["OrderId"])), parse(OrderItem, row)) for row in page]
        records = systems.ledger.records(Kind.ORDER, list({key for key, _ in lines}))
        news = [
            (key, f"{line.id}:{line.system_modstamp.isoformat()}:{_mark(line)}")
            for key, line in lines
            if key in records and _mark(line) not in records[key].facts.get(LINES_READ, ())
        ]
        last = page[-1]["SystemModstamp"]
        with systems.ledger.transaction() as tx:
            mark_versions(systems, "Order", news, "lines")
            tx.move_checkpoint(FEED, last, parse_instant(last))
    with systems.ledger.transaction() as tx:
        tx.remember(confirmation_of(FEED), began.isoformat())


def _begin(systems: Systems) -> None:
    began = systems.clock.now()
    newest = select("OrderItem", ["Id", "SystemModstamp"], order_by="SystemModstamp DESC", limit=1)
    for row in systems.salesforce.query_rows(newest):
        stamp = row["SystemModstamp"]
        with systems.ledger.transaction() as tx:
            tx.move_checkpoint(FEED, stamp, parse_instant(stamp))
            tx.remember(confirmation_of(FEED), began.isoformat())
