"""A Business Central client that reads for real, and keeps every write in memory.

What was "written" is seen by later reads, so that an order finds the customer that the same
rehearsal creates. Amounts are computed as BC does it without discounts and tax rules of its own.
"""

from __future__ import annotations

import re
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from ml_connector.business_central.client import (
    OPERATIONS_PER_BATCH,
    BatchOperation,
    BatchResult,
    BusinessCentralClient,
)
from ml_connector.business_central.faults import SYSTEM
from ml_connector.business_central.settings import BusinessCentralSettings
from ml_connector.business_central.wire import OnSend
from ml_connector.domain.clock import Clock
from ml_connector.domain.money import ZERO, currency_scale, rounded, total
from ml_connector.errors import RecordNotFound
from ml_connector.exchange.placeholders import Placeholders

Row = dict[str, Any]

LINES = {"salesOrders": "salesOrderLines", "salesInvoices": "salesInvoiceLines"}

_KEYED = re.compile(r"/(?P<set>\w+)\((?P<id>[0-9a-f-]{36})\)(?:/(?P<below>\w+))?$", re.IGNORECASE)
_CONDITION = re.compile(r"^(?P<field>\w+) (?P<operator>eq|gt) (?P<value>.+)$")


class RehearsedBusinessCentral(BusinessCentralClient):
    """Answers writes as BC would when all goes well; none of them leaves this computer.

    `versions` holds the version tag of every record that was read in full; `pretended` counts the
    calls that were not made, and `requests_made` leaves out what only the rehearsal looks up.
    """

    def __init__(self, settings: BusinessCentralSettings, clock: Clock) -> None:
        super().__init__(settings, clock)
        self._wire.read_only = True
        self.placeholders = Placeholders()
        self.versions: dict[str, str] = {}
        self.pretended: Counter[tuple[str, str]] = Counter()
        self._rows: dict[str, dict[str, Row]] = {}
        self._gone: dict[str, set[str]] = {}
        self._looks = 0
        self._guard = threading.RLock()

    @property
    def requests_made(self) -> int:
        """How many HTTP requests left that the run itself would make as well."""
        return super().requests_made - self._looks

    # --- reading ---

    def pages(
        self,
        entity_set: str,
        *,
        filter: str = "",  # noqa: A002  # OData's own word
        select: Sequence[str] = (),
        expand: str = "",
        orderby: str = "",
        page_size: int | None = None,
    ) -> Iterator[list[Row]]:
        """Yield the real pages with what the rehearsal wrote, and what it created as the last."""
        for page in super().pages(
            entity_set,
            filter=filter,
            select=select,
            expand=expand,
            orderby=orderby,
            page_size=page_size,
        ):
            self._note_versions(page)
            yield [row for row in map(self._seen(entity_set), page) if row is not None]
        made = [row for row in self._created(entity_set) if _meets(row, filter)]
        if made:
            yield made

    def find_by(
        self,
        entity_set: str,
        field: str,
        values: Iterable[str],
        *,
        quote: bool = True,
        select: Sequence[str] = (),
        expand: str = "",
        extra_filter: str = "",
    ) -> Iterator[Row]:
        """Yield the real rows and those that the rehearsal created."""
        wanted = list(values)
        asked = {value.strip().casefold() for value in wanted if value.strip()}
        found: set[str] = set()
        for row in super().find_by(
            entity_set,
            field,
            wanted,
            quote=quote,
            select=select,
            expand=expand,
            extra_filter=extra_filter,
        ):
            found.add(str(row.get("id") or ""))
            yield row
        for row in self._created(entity_set):
            if row["id"] not in found and str(row.get(field) or "").casefold() in asked:
                yield row

    def fetch(self, entity_set: str, id: str, *, expand: str = "") -> Row:  # noqa: A002
        """Return the record as the rehearsal left it. Raises: RecordNotFound."""
        with self._guard:
            known = self._rows.get(entity_set, {}).get(id.lower())
            gone = id.lower() in self._gone.get(entity_set, ())
        if known is not None or gone:
            self._pretend("GET", entity_set)
        if gone:
            raise RecordNotFound(f"{entity_set} {id} is gone", system=SYSTEM, record_id=id)
        if known is not None:
            return dict(known)
        row = super().fetch(entity_set, id, expand=expand)
        self._note_versions([row])
        return row

    # --- writing ---

    def create(
        self,
        entity_set: str,
        body: Mapping[str, Any],
        *,
        expand: str = "",  # noqa: ARG002  # the answer has the lines anyway
        on_send: OnSend | None = None,
    ) -> Row:
        """Keep a new record and return it as BC would."""
        self._pretend("POST", entity_set, on_send)
        with self._guard:
            made = self.placeholders.id_for(entity_set, natural_key(body))
            row: Row = {
                **body,
                "id": made,
                "@odata.etag": f'W/"{made}"',
                "number": str(body.get("number") or self.placeholders.number_for(made)),
                "lastModifiedDateTime": self._now(),
            }
            if entity_set == "salesOrders":
                row |= {"status": "Draft", "fullyShipped": False}
                row["salesOrderLines"] = [
                    _new_line(line, made, place)
                    for place, line in enumerate(body.get("salesOrderLines") or (), start=1)
                ]
                self._total(row)
            if entity_set == "customers":
                self._keep(
                    "customerFinancialDetails",
                    {"id": made, "number": row["number"], "balance": ZERO, "overdueAmount": ZERO},
                )
            self._keep(entity_set, row)
        return dict(row)

    def update(
        self,
        entity_set: str,
        id: str,  # noqa: A002  # BC's own word
        etag: str,  # noqa: ARG002  # nobody else writes in a rehearsal
        body: Mapping[str, Any],
        *,
        on_send: OnSend | None = None,
    ) -> Row:
        """Keep the changes of a record and return it as BC would."""
        row = self._current(entity_set, id)
        self._pretend("PATCH", entity_set, on_send)
        return self._keep(entity_set, {**row, **body, "lastModifiedDateTime": self._now()})

    def delete(
        self,
        entity_set: str,
        id: str,  # noqa: A002  # BC's own word
        etag: str,  # noqa: ARG002  # nobody else writes in a rehearsal
        *,
        on_send: OnSend | None = None,
    ) -> None:
        """Keep that a record is gone."""
        self._pretend("DELETE", entity_set, on_send)
        self._drop(entity_set, id)

    def act(
        self,
        entity_set: str,
        id: str,  # noqa: A002  # BC's own word
        action: str,
        *,
        etag: str = "",  # noqa: ARG002  # nobody else writes in a rehearsal
        on_send: OnSend | None = None,
    ) -> None:
        """Keep what a posting makes of a draft invoice, or of an order.

        Raises: ValueError for an action that no rehearsal knows.
        """
        row = self._current(entity_set, id, expand=LINES[entity_set])
        self._pretend("POST", f"{entity_set}.{action}", on_send)
        match entity_set, action:
            case "salesInvoices", "post":
                self._post(row)
            case "salesOrders", "shipAndInvoice":
                self._ship_and_invoice(row)
            case _:
                raise ValueError(f"a rehearsal does not know {action} of {entity_set}")

    def batch(
        self,
        operations: Sequence[BatchOperation],
        *,
        continue_on_error: bool = True,
        all_or_nothing: bool = False,
        on_send: OnSend | None = None,
    ) -> dict[str, BatchResult]:
        """Send a batch of reads for real; keep the edit of an order to itself."""
        if any(operation.method != "GET" for operation in operations):
            self._pretend("POST", "batch", on_send)
            self._edit_order(operations)
            return {operation.id: BatchResult(200, {}, {}) for operation in operations}
        ours = {each.id: each for each in operations if self._is_about_new(each)}
        with self._guard:
            self.pretended[("GET", "batch")] += _batches(len(operations))
            self.pretended[("GET", "batch")] -= _batches(len(operations) - len(ours))
        results = super().batch(
            [each for each in operations if each.id not in ours],
            continue_on_error=continue_on_error,
            all_or_nothing=all_or_nothing,
            on_send=on_send,
        )
        return results | {name: self._of_new(each) for name, each in ours.items()}

    # --- inside ---

    def _now(self) -> str:
        return f"{self.clock.now():%Y-%m-%dT%H:%M:%S.%f}Z"

    def _pretend(self, method: str, kind: str, on_send: OnSend | None = None) -> None:
        if on_send is not None:
            on_send()
        with self._guard:
            self.pretended[(method, kind)] += 1

    def _note_versions(self, rows: Iterable[Row]) -> None:
        with self._guard:
            for row in rows:
                if row.get("@odata.etag") and row.get("id"):
                    self.versions[str(row["id"]).lower()] = str(row["@odata.etag"])

    def _seen(self, entity_set: str) -> Any:
        with self._guard:
            written = dict(self._rows.get(entity_set, {}))
            gone = set(self._gone.get(entity_set, ()))

        def as_left(row: Row) -> Row | None:
            key = str(row.get("id") or "").lower()
            return None if key in gone else {**row, **written.get(key, {})}

        return as_left

    def _created(self, entity_set: str) -> list[Row]:
        with self._guard:
            rows = self._rows.get(entity_set, {})
            return [dict(row) for key, row in rows.items() if key in self.placeholders]

    def _current(self, entity_set: str, id: str, expand: str = "") -> Row:  # noqa: A002
        """Return the record as it is, lines included where *expand* names them; counts no call."""
        with self._guard:
            known = self._rows.get(entity_set, {}).get(id.lower())
        if known:
            return dict(known)
        self._look()
        return super().fetch(entity_set, id, expand=expand)

    def _look(self) -> None:
        """Note that the rehearsal makes one call that the run does not need."""
        with self._guard:
            self._looks += 1

    def _keep(self, entity_set: str, row: Row) -> Row:
        with self._guard:
            self._rows.setdefault(entity_set, {})[str(row["id"]).lower()] = row
        return dict(row)

    def _drop(self, entity_set: str, record_id: str) -> None:
        with self._guard:
            self._rows.get(entity_set, {}).pop(record_id.lower(), None)
            self._gone.setdefault(entity_set, set()).add(record_id.lower())

    def _total(self, order: Row) -> None:
        """Compute an order's amounts from its lines, without tax."""
        currency = str(order.get("currencyCode") or self.settings.local_currency)
        scale = currency_scale(currency)
        for line in order["salesOrderLines"]:
            line["netAmount"] = rounded(
                Decimal(str(line["quantity"])) * Decimal(str(line["unitPrice"])), scale
            )
        net = total(Decimal(str(line["netAmount"])) for line in order["salesOrderLines"])
        order["totalAmountExcludingTax"] = order["totalAmountIncludingTax"] = net

    def _edit_order(self, operations: Sequence[BatchOperation]) -> None:
        order: Row = {}
        for operation in operations:
            match = _KEYED.search(f"/{operation.url}")
            body = dict(operation.body or {})
            if match is not None and match["set"] == "salesOrders" and not match["below"]:
                order = self._current("salesOrders", match["id"], expand="salesOrderLines") | body
            elif match is not None and match["set"] == "salesOrderLines":
                _edit_line(order, match["id"], operation.method, body)
            else:
                place = max((line["sequence"] for line in order["salesOrderLines"]), default=0)
                line = _new_line(body, str(order["id"]), place // 10000 + 1)
                order["salesOrderLines"] = [*order["salesOrderLines"], line]
        self._total(order)
        self._keep("salesOrders", order | {"lastModifiedDateTime": self._now()})

    def _is_about_new(self, operation: BatchOperation) -> bool:
        match = _KEYED.search(f"/{operation.url}")
        return match is not None and match["id"].lower() in self.placeholders

    def _of_new(self, operation: BatchOperation) -> BatchResult:
        """Return what belongs to a new record: a customer has its company contact at once."""
        match = _KEYED.search(f"/{operation.url}")
        if match is None or match["below"] != "contactsInformation":
            return BatchResult(404, {}, {})
        contact = self.placeholders.id_for("contacts", match["id"])
        row = {
            "contactId": contact,
            "contactNumber": self.placeholders.number_for(contact),
            "contactType": "Company",
        }
        return BatchResult(200, {"value": [row]}, {})

    def _post(self, invoice: Row) -> None:
        number = self.placeholders.number_for(str(invoice["id"]).lower())
        self._keep(
            "salesInvoices",
            invoice
            | {
                "number": number,
                "status": "Open",
                "remainingAmount": invoice["totalAmountIncludingTax"],
                "lastModifiedDateTime": self._now(),
            },
        )
        self._prove(number)
        order_id = str(invoice.get("orderId") or "").lower()
        if order_id.strip("0-"):
            self._invoice_lines(order_id, invoice.get("salesInvoiceLines") or ())

    def _invoice_lines(self, order_id: str, lines: Iterable[Row]) -> None:
        """Count what was invoiced on the order; one that is invoiced in full vanishes."""
        expand = LINES["salesOrders"]
        self._look()
        order = next(
            self.find_by("salesOrders", "id", [order_id], quote=False, expand=expand), None
        )
        if order is None:
            return
        left: defaultdict[str, Decimal] = defaultdict(Decimal)
        for line in lines:
            left[str(line.get("itemId"))] += Decimal(str(line["quantity"]))
        for line in order["salesOrderLines"]:
            item = str(line.get("itemId"))
            before = Decimal(str(line["invoicedQuantity"]))
            taken = min(left[item], Decimal(str(line["quantity"])) - before)
            line["invoicedQuantity"] = before + taken
            line["shippedQuantity"] = max(Decimal(str(line["shippedQuantity"])), before + taken)
            left[item] -= taken
        if all(line["invoicedQuantity"] >= line["quantity"] for line in order["salesOrderLines"]):
            self._drop("salesOrders", order_id)
        else:
            self._keep("salesOrders", order | {"lastModifiedDateTime": self._now()})

    def _ship_and_invoice(self, order: Row) -> None:
        order_id = str(order["id"]).lower()
        made = self.placeholders.id_for("salesInvoices", order_id)
        number = self.placeholders.number_for(made)
        self._drop("salesOrders", order_id)
        self._keep(
            "salesInvoices",
            {name: value for name, value in order.items() if name != "salesOrderLines"}
            | {
                "id": made,
                "number": number,
                "orderId": order_id,
                "orderNumber": order["number"],
                "status": "Open",
                "remainingAmount": order["totalAmountIncludingTax"],
                "salesInvoiceLines": order["salesOrderLines"],
                "lastModifiedDateTime": self._now(),
            },
        )
        self._prove(number)

    def _prove(self, invoice_number: str) -> None:
        entry = self.placeholders.id_for("generalLedgerEntries", invoice_number)
        self._keep(
            "generalLedgerEntries",
            {"id": entry, "documentNumber": invoice_number, "documentType": "Invoice"},
        )


def _batches(operations: int) -> int:
    return -(-operations // OPERATIONS_PER_BATCH)


def natural_key(body: Mapping[str, Any]) -> str:
    """Return what tells one new record from another."""
    for name in ("externalDocumentNumber", "number", "displayName"):
        if body.get(name):
            return str(body[name])
    return repr(sorted(body))


def _new_line(line: Mapping[str, Any], order_id: str, place: int) -> Row:
    return {
        "lineType": "Item",
        "discountPercent": ZERO,
        **line,
        "id": f"{order_id[:24]}{place:012d}",
        "sequence": place * 10000,
        "shippedQuantity": ZERO,
        "invoicedQuantity": ZERO,
    }


def _edit_line(order: Row, line_id: str, method: str, body: Mapping[str, Any]) -> None:
    lines = order["salesOrderLines"]
    if method == "DELETE":
        order["salesOrderLines"] = [
            line for line in lines if str(line["id"]).lower() != line_id.lower()
        ]
        return
    for line in lines:
        if str(line["id"]).lower() == line_id.lower():
            line.update(body)


def _meets(row: Mapping[str, Any], condition: str) -> bool:
    """Tell whether a new row meets a filter of the form the phases use; its stamp is now."""
    match = _CONDITION.match(condition)
    if not condition or match is None or match["operator"] == "gt":
        return True
    return bool(str(row.get(match["field"])) == match["value"].strip("'"))
