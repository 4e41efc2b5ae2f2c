"""Compare both systems and the ledger, knowing nothing of the connector's code.

Everything is read past the APIs: rows of the sandbox's admin surface, and the ledger by plain SQL.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import psycopg

from tests.examination.world import Row, World

CENT = Decimal("0.005")
COMPARED = (("Name", "displayName"), ("Phone", "phoneNumber"), ("BillingCity", "city"))


@dataclass(frozen=True)
class Expected:
    """What the people did that excuses a difference.

    Attributes:
        edited: ids of Orders changed after they may have been handed over.
        touched: numbers of Orders whose BC documents the clerk worked on.
        customers: numbers of the customers BC had before.
        uncertain: ids of Orders, Accounts and Contacts edited while the ledger forgot what was
            agreed about them.
    """

    edited: set[str] = field(default_factory=set)
    touched: set[str] = field(default_factory=set)
    customers: set[str] = field(default_factory=set)
    uncertain: set[str] = field(default_factory=set)


@dataclass
class _Chain:
    """What BC has of one order: by the id of the order that is or was."""

    order: Row | None = None
    invoices: list[Row] = field(default_factory=list)


class Checker:
    """One comparison; `complaints` lists what must not be."""

    def __init__(self, world: World, ledger_url: str, expected: Expected) -> None:
        self._world = world
        self._ledger = Ledger(ledger_url)
        self._expected = expected
        self.complaints: list[str] = []

    def check(self) -> list[str]:
        """Compare everything and return the complaints."""
        self._read()
        self._check_orders()
        self._check_customers()
        self._check_contacts()
        self._check_invoices()
        self._check_ledger()
        return self.complaints

    def _complain(self, text: str) -> None:
        self.complaints.append(text)

    def _read(self) -> None:
        world = self._world
        self.orders = {
            row["Id"]: row
            for row in world.salesforce("Order")
            if row["StatusCode"] == "Activated" and not row.get("IsReductionOrder")
        }
        self.lines: dict[str, list[Row]] = defaultdict(list)
        for row in world.salesforce("OrderItem"):
            self.lines[row["OrderId"]].append(row)
        self.products = {row["Id"]: row for row in world.salesforce("Product2")}
        self.accounts = {row["Id"]: row for row in world.salesforce("Account")}
        self.bc_lines: dict[str, list[Row]] = defaultdict(list)
        for entity in ("salesOrderLines", "salesInvoiceLines"):
            for row in world.business_central(entity):
                self.bc_lines[row["documentId"]].append(row)
        self.chains: dict[str, dict[str, _Chain]] = defaultdict(lambda: defaultdict(_Chain))
        for row in world.business_central("salesOrders"):
            self.chains[row["externalDocumentNumber"]][row["id"]].order = row
        self.invoices = world.business_central("salesInvoices")
        for row in self.invoices:
            chain = self.chains[row["externalDocumentNumber"]][row["orderId"]]
            chain.invoices.append(row)
        self.standing = self._ledger.records()
        self.today = str(world.post("/business-central/clock")["now"])[:10]

    # --- orders ---

    def _check_orders(self) -> None:
        known = {order["OrderNumber"]: order for order in self.orders.values()}
        for reference in self.chains.keys() - known.keys():
            self._complain(f"BC has documents of {reference!r}, which is no closed Order")
        for order in self.orders.values():
            self._check_order(order, self.chains.get(order["OrderNumber"], {}))

    def _check_order(self, order: Row, chains: dict[str, _Chain]) -> None:
        name = f"Order {order['OrderNumber']}"
        state, cause = self.standing.get(("order", order["Id"]), ("", ""))
        if state not in ("written", "unchanged", "parked"):
            self._complain(f"{name} is {state or 'unknown'} {cause} in the ledger")
        if len(chains) != 1:
            what = [chain.order and chain.order["number"] for chain in chains.values()]
            self._complain(f"{name} has {len(chains)} chains in BC: {what} ({state} {cause})")
            return
        (bc_id, chain), *_ = chains.items()
        expected = self._expected
        excused = order["Id"] in expected.uncertain or (
            order["Id"] in expected.edited and order["OrderNumber"] in expected.touched
        )
        if state == "parked" and not excused:
            self._complain(f"{name} is parked: {cause}: {order.get('BC_Sync_Message__c')}")
        if not (excused and state == "parked"):
            self._check_content(name, order, chain)
        if not (order["Id"] in expected.uncertain and state == "parked"):
            self._check_shown(name, order, bc_id, chain, state)

    def _check_content(self, name: str, order: Row, chain: _Chain) -> None:
        wanted = sorted(
            (self.products[row["Product2Id"]]["ProductCode"], row["Quantity"], row["TotalPrice"])
            for row in self.lines[order["Id"]]
        )
        if chain.order is not None:
            rows = self._sold(chain.order)
            found = sorted(
                (row["lineObjectNumber"], row["quantity"], row["netAmount"]) for row in rows
            )
            if wanted != found:
                self._complain(f"{name}: lines {wanted} became {found}")
            net = chain.order["totalAmountExcludingTax"]
            if chain.order["shipToCity"] != (
                order.get("ShippingCity") or chain.order["shipToCity"]
            ):
                self._complain(f"{name}: goes to {chain.order['shipToCity']}")
        else:
            posted = [row for row in chain.invoices if row["_posted"]]
            sums: dict[str, Decimal] = defaultdict(Decimal)
            for invoice in posted:
                for row in self._sold(invoice):
                    sums[row["lineObjectNumber"]] += row["quantity"]
            expected: dict[str, Decimal] = defaultdict(Decimal)
            for code, quantity, _ in wanted:
                expected[code] += quantity
            if dict(sums) != dict(expected):
                self._complain(f"{name}: quantities {dict(expected)} were invoiced as {dict(sums)}")
            net = sum((row["totalAmountExcludingTax"] for row in posted), Decimal(0))
        cents = CENT * 2 * max(1, len(chain.invoices)) if chain.order is None else CENT
        if abs(Decimal(net) - Decimal(order["TotalAmount"])) > cents:
            self._complain(f"{name}: net {order['TotalAmount']} became {net}")

    def _sold(self, document: Row) -> Iterator[Row]:
        return (row for row in self.bc_lines[document["id"]] if row["lineType"] == "Item")

    def _check_shown(self, name: str, order: Row, bc_id: str, chain: _Chain, state: str) -> None:
        self._same(name, order, "BC_Order_Id__c", bc_id)
        first = chain.order or chain.invoices[0]
        number = first["number"] if chain.order is not None else first["orderNumber"]
        self._same(name, order, "BC_Order_Number__c", number)
        posted = [row for row in chain.invoices if row["_posted"]]
        invoiced = sum((row["totalAmountIncludingTax"] for row in posted), Decimal(0))
        left = sum((Decimal(row["_remaining"]) for row in posted), Decimal(0))
        self._same(name, order, "BC_Invoiced_Amount__c", invoiced)
        self._same(name, order, "BC_Open_Amount__c", left)
        self._same(name, order, "BC_Paid_Amount__c", invoiced - left)
        status = _payment_status(invoiced, left)
        late = any(row["_remaining"] and str(row["dueDate"]) < self.today for row in posted)
        self._same(name, order, "BC_Payment_Status__c", "Overdue" if late else status)
        self._same(name, order, "BC_Order_Status__c", self._order_status(chain))
        numbers = set((order.get("BC_Invoice_Numbers__c") or "").split(", ")) - {""}
        if numbers != {row["number"] for row in posted}:
            self._complain(f"{name}: shows invoices {numbers}")
        self._same(name, order, "BC_Sync_Status__c", "Parked" if state == "parked" else "Synced")

    def _order_status(self, chain: _Chain) -> str:
        if chain.order is None:
            return "Invoiced"
        rows = list(self._sold(chain.order))
        invoiced = [row["invoicedQuantity"] for row in rows]
        if all(row["invoicedQuantity"] == row["quantity"] for row in rows):
            return "Invoiced"
        if any(invoiced):
            return "Partly Invoiced"
        if chain.order["fullyShipped"]:
            return "Shipped"
        if any(row["shippedQuantity"] for row in rows):
            return "Partly Shipped"
        return "Released" if chain.order["status"] == "Open" else "Draft"

    def _same(self, name: str, row: Row, field_name: str, wanted: Any) -> None:
        shown = row.get(field_name)
        if isinstance(wanted, Decimal):
            shown, equal = Decimal(shown or 0), abs(Decimal(shown or 0) - wanted) < CENT
        else:
            equal = (shown or "") == wanted
        if not equal:
            self._complain(f"{name}: {field_name} shows {shown!r}, BC has {wanted!r}")

    # --- customers, contacts, invoices ---

    def _check_customers(self) -> None:
        customers = {row["id"]: row for row in self._world.business_central("customers")}
        linked: dict[str, str] = {}
        for account in self.accounts.values():
            bc_id = account.get("BC_Customer_Id__c")
            if not bc_id:
                continue
            if bc_id in linked:
                self._complain(f"Account {account['Name']} and {linked[bc_id]} share a customer")
            linked[bc_id] = account["Name"]
            self._check_customer(account, customers.get(bc_id))
        for bc_id, customer in customers.items():
            if bc_id not in linked and customer["number"] not in self._expected.customers:
                self._complain(f"customer {customer['number']} belongs to no Account")
        for order in self.orders.values():
            if not self.accounts[order["AccountId"]].get("BC_Customer_Id__c"):
                self._complain(f"Order {order['OrderNumber']}: its Account has no customer")

    def _check_customer(self, account: Row, customer: Row | None) -> None:
        name = f"Account {account['Name']}"
        if customer is None:
            self._complain(f"{name}: its customer {account['BC_Customer_Id__c']} is not in BC")
            return
        self._same(name, account, "BC_Customer_Number__c", customer["number"])
        excused = account["Id"] in self._expected.uncertain
        if customer["number"] in self._expected.customers or excused:
            return
        for ours, theirs in COMPARED:
            if (account.get(ours) or "").strip() != customer[theirs]:
                self._complain(f"{name}: {ours} {account.get(ours)!r} is {customer[theirs]!r}")

    def _check_contacts(self) -> None:
        people = {
            row["id"]: row
            for row in self._world.business_central("contacts")
            if row["type"] == "Person"
        }
        linked: set[str] = set()
        for contact in self._world.salesforce("Contact"):
            name = f"Contact {contact.get('LastName')}"
            account = self.accounts.get(contact.get("AccountId") or "")
            if account is None or not account.get("BC_Customer_Id__c"):
                continue
            bc_id = contact.get("BC_Contact_Id__c") or ""
            person = people.get(bc_id)
            if person is None:
                self._complain(f"{name}: its contact {bc_id!r} is not in BC")
                continue
            linked.add(bc_id)
            if contact["Id"] in self._expected.uncertain:
                continue
            full = " ".join(filter(None, (contact.get("FirstName"), contact["LastName"])))
            if person["displayName"] != full or person["jobTitle"] != (contact.get("Title") or ""):
                self._complain(f"{name}: is {person['displayName']!r}, {person['jobTitle']!r}")
        for bc_id in people.keys() - linked:
            self._complain(f"contact {people[bc_id]['displayName']} belongs to no Contact")

    def _check_invoices(self) -> None:
        for row in self.invoices:
            if (
                not row["_posted"]
                and self.standing.get(("invoice", row["id"]), ("",))[0] != "parked"
            ):
                self._complain(f"draft invoice {row['number']} was not posted")
        for chains in self.chains.values():
            for chain in chains.values():
                self._check_quantities(chain)

    def _check_quantities(self, chain: _Chain) -> None:
        if chain.order is None:
            return
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for row in self._sold(chain.order):
            sums[row["lineObjectNumber"]] += row["quantity"]
        for invoice in chain.invoices:
            for row in self._sold(invoice) if invoice["_posted"] else ():
                sums[row["lineObjectNumber"]] -= row["quantity"]
        if any(left < 0 for left in sums.values()):
            self._complain(
                f"order {chain.order['number']}: more invoiced than ordered: {dict(sums)}"
            )

    # --- ledger ---

    def _check_ledger(self) -> None:
        for (kind, key), (state, cause) in self.standing.items():
            if not state or state == "waiting":
                self._complain(f"{kind} {key} is {state} {cause}")
        for sobject, kind in (
            ("Account", "customer"),
            ("Contact", "contact"),
            ("Product2", "item"),
        ):
            for row in self._world.salesforce(sobject):
                if (kind, row["Id"]) not in self.standing:
                    self._complain(f"{sobject} {row['Name']} has no state in the ledger")
        for text in self._ledger.left_open():
            self._complain(text)


def _payment_status(invoiced: Decimal, left: Decimal) -> str:
    if not invoiced:
        return "Not Invoiced"
    if not left:
        return "Paid"
    return "Partly Paid" if left < invoiced else "Open"


class Ledger:
    """The ledger's rows by plain SQL."""

    def __init__(self, url: str) -> None:
        self._url = url

    def records(self) -> dict[tuple[str, str], tuple[str, str]]:
        """Return state and cause of each record by kind and key."""
        rows = self._rows("SELECT kind, key, state, cause FROM records")
        return {(kind, key): (state, cause) for kind, key, state, cause in rows}

    def left_open(self) -> Iterator[str]:
        """Yield what a ledger at rest does not have."""
        for kind, key, operation, state in self._rows(
            "SELECT kind, key, operation, state FROM intents WHERE state <> 'closed'"
        ):
            yield f"the {operation} of {kind} {key} is still {state}"
        for entity, key in self._rows(
            "SELECT entity, record_id FROM changes "
            "WHERE finished_at IS NULL AND system <> 'quarantine'"  # unreadable events: evidence
        ):
            yield f"a change of {entity} {key} is unfinished"
        for kind, key in self._rows("SELECT kind, key FROM records WHERE show_pending"):
            yield f"{kind} {key} is still to be shown"

    def _rows(self, query: str) -> Iterable[tuple[Any, ...]]:
        if self._url.startswith("sqlite"):
            connection = sqlite3.connect(self._url.removeprefix("sqlite:///"))
            try:
                return connection.execute(query).fetchall()
            finally:
                connection.close()
        with psycopg.connect(self._url.replace("+psycopg", "")) as database:
            return database.execute(query).fetchall()  # type: ignore[arg-type, call-overload, no-any-return]
