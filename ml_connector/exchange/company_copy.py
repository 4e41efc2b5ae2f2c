"""A fresh copy of both sides in a temporary file: read in bulk once, looked up by key.

Comparing a hundred thousand pairs record by record would cost thousands of calls; the vendors'
bulk forms cost a few dozen. What they answer goes page by page into a file that only its owner can
read and that is deleted at the end, so memory does not grow with the size of the book.
"""

from __future__ import annotations

import logging
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ml_connector.customers.mapping import folded_name, tax_key
from ml_connector.customers.matching import postal_key
from ml_connector.domain.identifiers import eighteen
from ml_connector.errors import ConnectorError, TransientError
from ml_connector.exchange.systems import Systems
from ml_connector.salesforce.bulk_query import typed
from ml_connector.salesforce.soql import select
from ml_connector.wire_json import decode, encode

log = logging.getLogger("ml_connector")

BULK_ABOVE = 2000
"""Records from which Salesforce recommends its bulk form."""

ROWS_PER_PAGE = 5000
"""Bounds the memory of a page; a quarter of what both vendors would send at once."""

ORDERS_PER_PAGE = 2000
"""Sales orders come with their lines."""

VALUES_PER_LOOK = 500

_LINE = (
    "id", "documentId", "sequence", "lineType", "itemId", "lineObjectNumber", "quantity",
    "unitPrice", "netAmount", "shippedQuantity", "invoicedQuantity",
)  # fmt: skip
_DOCUMENT = (
    "id", "number", "currencyCode", "totalAmountExcludingTax", "totalAmountIncludingTax",
    "status", "lastModifiedDateTime",
)  # fmt: skip
_ADDRESS = ("addressLine1", "addressLine2", "city", "state", "country", "postalCode")
PROPERTIES: Mapping[str, tuple[str, ...]] = {
    "salesOrders": (*_DOCUMENT, "externalDocumentNumber", "customerId", "fullyShipped"),
    "salesInvoices": (
        *_DOCUMENT, "externalDocumentNumber", "customerId", "orderId", "orderNumber",
        "invoiceDate", "postingDate", "dueDate", "remainingAmount",
    ),
    "salesCreditMemos": (*_DOCUMENT, "invoiceId", "invoiceNumber"),
    "customers": (
        "id", "number", "displayName", "type", *_ADDRESS, "phoneNumber", "website",
        "taxRegistrationNumber", "currencyCode", "blocked", "creditLimit",
    ),
    "customerFinancialDetails": ("id", "number", "balance", "overdueAmount"),
    "items": ("id", "number", "blocked"),
    "contacts": (
        "id", "number", "displayName", "type", "companyNumber", "jobTitle", *_ADDRESS,
        "phoneNumber", "mobilePhoneNumber", "email",
    ),
}  # fmt: skip
"""What is read of each entity set."""

_KEYS: Mapping[str, tuple[str, ...]] = {
    "salesOrders": ("externalDocumentNumber",),
    "salesInvoices": ("orderId", "orderNumber", "externalDocumentNumber"),
    "salesCreditMemos": ("invoiceNumber",),
}
"""Properties besides the id by which rows are looked up."""

_TABLES = """
CREATE TABLE salesforce (sobject TEXT, id TEXT, body BLOB, seen INTEGER DEFAULT 0,
                         PRIMARY KEY (sobject, id));
CREATE TABLE order_items (order_id TEXT, body BLOB);
CREATE TABLE central (entity TEXT, id TEXT, body BLOB, PRIMARY KEY (entity, id));
CREATE TABLE central_keys (entity TEXT, field TEXT, value TEXT, id TEXT);
CREATE TABLE customers (id TEXT PRIMARY KEY, number TEXT, name TEXT, name_key TEXT, tax_key TEXT,
                        postal_key TEXT, blocked TEXT, linked INTEGER DEFAULT 0);
CREATE TABLE links (kind TEXT, bc_id TEXT, key TEXT, number TEXT);
"""
_INDEXES = """
CREATE INDEX items_by_order ON order_items (order_id);
CREATE INDEX central_by_key ON central_keys (entity, field, value);
CREATE INDEX customers_by_name ON customers (name_key);
CREATE INDEX customers_by_tax ON customers (tax_key);
CREATE INDEX links_by_id ON links (kind, bc_id);
"""


class CompanyCopy:
    """Both sides as they were when they were read; used by one thread."""

    def __init__(self, systems: Systems) -> None:
        self._systems = systems
        self._folder = tempfile.TemporaryDirectory(prefix="ml-connector-")
        self._db = sqlite3.connect(Path(self._folder.name) / "copy.db", isolation_level=None)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.executescript(_TABLES)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._db.close()
        self._folder.cleanup()

    # reading in bulk

    def read_salesforce(self, sobject: str, fields: Sequence[str]) -> None:
        """Copy every record of *sobject*; OrderItem by its order.

        Cost: a count, then a query of pages of 2,000 or one bulk job.
        """
        count = 0
        for page in salesforce_pages(self._systems, sobject, fields):
            count += len(page)
            with self._db:
                self._db.execute("BEGIN")
                if sobject == "OrderItem":
                    self._db.executemany(
                        "INSERT INTO order_items VALUES (?, ?)",
                        ((eighteen(row["OrderId"]), encode(row)) for row in page),
                    )
                else:
                    self._db.executemany(
                        "INSERT OR REPLACE INTO salesforce (sobject, id, body) VALUES (?, ?, ?)",
                        ((sobject, eighteen(row["Id"]), encode(row)) for row in page),
                    )
        log.info("read %s records of %s from Salesforce", count, sobject)

    def read_central(self, entity_set: str, extra: Sequence[str] = ()) -> None:
        """Copy every record of a BC set. Cost: one call per 5,000 records."""
        lines = f"salesOrderLines($select={','.join(_LINE)})"
        with_lines = entity_set == "salesOrders"
        count = 0
        for page in self._systems.business_central.pages(
            entity_set,
            select=tuple(dict.fromkeys((*PROPERTIES[entity_set], *extra))),
            expand=lines if with_lines else "",
            page_size=ORDERS_PER_PAGE if with_lines else ROWS_PER_PAGE,
        ):
            count += len(page)
            self._store_central(entity_set, page)
        log.info("read %s records of %s from Business Central", count, entity_set)

    def _store_central(self, entity_set: str, page: Sequence[Mapping[str, Any]]) -> None:
        with self._db:
            self._db.execute("BEGIN")
            self._db.executemany(
                "INSERT OR REPLACE INTO central VALUES (?, ?, ?)",
                ((entity_set, str(row["id"]).lower(), encode(row)) for row in page),
            )
            for field in _KEYS.get(entity_set, ()):
                self._db.executemany(
                    "INSERT INTO central_keys VALUES (?, ?, ?, ?)",
                    (
                        (entity_set, field, _key(row[field]), str(row["id"]).lower())
                        for row in page
                        if row.get(field)
                    ),
                )
            if entity_set == "customers":
                self._db.executemany(
                    "INSERT OR REPLACE INTO customers VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
                    (
                        (
                            str(row["id"]).lower(),
                            row["number"],
                            row["displayName"],
                            folded_name(row["displayName"]),
                            tax_key(row.get("taxRegistrationNumber")),
                            postal_key(row.get("postalCode")),
                            row["blocked"],
                        )
                        for row in page
                    ),
                )

    def note_links(self, kind: str, links: Iterable[tuple[str, str, str]]) -> None:
        """Keep which records are linked: (BC id, key, number people use)."""
        with self._db:
            self._db.execute("BEGIN")
            rows = [(kind, bc_id.lower(), key, number) for bc_id, key, number in links]
            self._db.executemany("INSERT INTO links VALUES (?, ?, ?, ?)", rows)
            if kind == "customer":
                self._db.executemany(
                    "UPDATE customers SET linked = 1 WHERE id = ?", ((row[1],) for row in rows)
                )

    def finish_reading(self) -> None:
        """Prepare the look-ups; called when everything is read."""
        self._db.executescript(_INDEXES)

    # looking up

    def find_by(
        self,
        entity_set: str,
        field: str,
        values: Iterable[str],
        *,
        quote: bool = True,
        select: Sequence[str] = (),
        expand: str = "",
    ) -> Iterator[dict[str, Any]]:
        """Yield each row once whose *field* is one of *values*; a set not copied is asked live."""
        if entity_set not in PROPERTIES:
            yield from self._systems.business_central.find_by(
                entity_set, field, values, quote=quote, select=select, expand=expand
            )
            return
        wanted = list(dict.fromkeys(_key(value) for value in values if value))
        for start in range(0, len(wanted), VALUES_PER_LOOK):
            chunk = wanted[start : start + VALUES_PER_LOOK]
            marks = ",".join("?" * len(chunk))
            if field == "id":
                query = f"SELECT body FROM central WHERE entity = ? AND id IN ({marks})"  # noqa: S608  # marks only
                found = self._db.execute(query, (entity_set, *chunk)).fetchall()
            else:
                query = (
                    "SELECT body FROM central WHERE entity = ? AND id IN (SELECT id FROM "  # noqa: S608
                    f"central_keys WHERE entity = ? AND field = ? AND value IN ({marks}))"
                )
                found = self._db.execute(query, (entity_set, entity_set, field, *chunk)).fetchall()
            for (body,) in found:
                yield decode(body)

    def salesforce_rows(self, sobject: str, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the records of *keys* that exist, by id, and note that they were asked for."""
        found: dict[str, dict[str, Any]] = {}
        for start in range(0, len(keys), VALUES_PER_LOOK):
            chunk = keys[start : start + VALUES_PER_LOOK]
            marks = ",".join("?" * len(chunk))
            terms = f"sobject = ? AND id IN ({marks})"
            query = f"SELECT id, body FROM salesforce WHERE {terms}"  # noqa: S608  # marks only
            found |= {key: decode(body) for key, body in self._db.execute(query, (sobject, *chunk))}
            self._db.execute(f"UPDATE salesforce SET seen = 1 WHERE {terms}", (sobject, *chunk))  # noqa: S608
        return found

    def unseen_rows(self, sobject: str, size: int = 500) -> Iterator[dict[str, dict[str, Any]]]:
        """Yield the records nobody asked for, page by page."""
        after = ""
        while True:
            page = self._db.execute(
                "SELECT id, body FROM salesforce WHERE sobject = ? AND seen = 0 AND id > ? "
                "ORDER BY id LIMIT ?",
                (sobject, after, size),
            ).fetchall()
            if not page:
                return
            yield {key: decode(body) for key, body in page}
            after = page[-1][0]

    def order_items(self, keys: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        """Return the lines of the Orders *keys*, by order."""
        found: dict[str, list[dict[str, Any]]] = {key: [] for key in keys}
        for start in range(0, len(keys), VALUES_PER_LOOK):
            chunk = keys[start : start + VALUES_PER_LOOK]
            marks = ",".join("?" * len(chunk))
            query = f"SELECT order_id, body FROM order_items WHERE order_id IN ({marks})"  # noqa: S608
            for key, body in self._db.execute(query, chunk):
                found[key].append(decode(body))
        return found

    def central_ids(self, entity_set: str, ids: Sequence[str]) -> set[str]:
        """Return which BC ids exist."""
        found: set[str] = set()
        for start in range(0, len(ids), VALUES_PER_LOOK):
            chunk = [each.lower() for each in ids[start : start + VALUES_PER_LOOK]]
            marks = ",".join("?" * len(chunk))
            query = f"SELECT id FROM central WHERE entity = ? AND id IN ({marks})"  # noqa: S608
            found.update(each for (each,) in self._db.execute(query, (entity_set, *chunk)))
        return found

    def doubled_customers(self) -> Iterator[dict[str, Any]]:
        """Yield customers without Account that say they are a linked customer as well.

        Twins have the same tax number, or the same name and no different postal code. One that is
        blocked for everything is not used and left out.
        """
        columns = "a.id, a.number, a.name, b.id, b.number"
        for reason, same in (
            ("tax registration number", "a.tax_key <> '' AND b.tax_key = a.tax_key"),
            (
                "name",
                "a.name_key <> '' AND b.name_key = a.name_key AND (b.postal_key = a.postal_key "
                "OR b.postal_key = '' OR a.postal_key = '')",
            ),
        ):
            query = (
                f"SELECT {columns} FROM customers a JOIN customers b ON {same} "  # noqa: S608
                "WHERE a.linked = 1 AND b.linked = 0 AND b.blocked <> 'All' AND a.id <> b.id "
                "ORDER BY a.number, b.number"
            )
            for row in self._db.execute(query).fetchall():
                names = ("bc_id", "bc_number", "name", "twin_id", "twin_number")
                yield {**dict(zip(names, row, strict=True)), "reason": reason}

    def shared_links(self) -> Iterator[tuple[str, str, list[tuple[str, str]]]]:
        """Yield (kind, BC id, [(key, number), …]) of BC records with several partners."""
        query = "SELECT kind, bc_id FROM links GROUP BY kind, bc_id HAVING COUNT(*) > 1"
        for kind, bc_id in self._db.execute(query).fetchall():
            terms = "SELECT key, number FROM links WHERE kind = ? AND bc_id = ? ORDER BY key"
            yield kind, bc_id, self._db.execute(terms, (kind, bc_id)).fetchall()


def salesforce_pages(
    systems: Systems, sobject: str, fields: Sequence[str], where: str = ""
) -> Iterator[list[dict[str, Any]]]:
    """Yield every record of *sobject*: few by query, thousands by a bulk job.

    An org that offers no bulk jobs is read by query whatever the number.
    """
    client = systems.salesforce
    soql = select(sobject, fields, where=where)
    if client.count(select(sobject, ["COUNT()"], where=where)) <= BULK_ABOVE:
        yield from client.query(soql)
        return
    describe = client.describe(sobject)
    pages = client.bulk_query(soql, page_size=ROWS_PER_PAGE)
    try:
        first = next(pages, [])
    except TransientError:
        raise
    except ConnectorError as refusal:
        log.info("%s is read by query, since no bulk job can be made: %s", sobject, refusal.message)
        yield from client.query(soql)
        return
    for page in chain([first], pages):
        yield [typed(row, describe) for row in page]


def _key(value: Any) -> str:
    """Return a value as it is looked up: BC compares codes and ids whatever their case."""
    return str(value).strip().lower()
