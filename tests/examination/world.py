"""The two systems as people see them: rows past permissions, and what a rep and a clerk do."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import httpx

Row = dict[str, Any]
Body = dict[str, Any]


class World:
    """The sandbox's admin surface."""

    def __init__(self, admin_url: str) -> None:
        self.admin_url = admin_url
        self._http = httpx.Client(base_url=admin_url, trust_env=False, timeout=60)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def post(self, path: str, body: Any = None) -> Any:
        """Call a verb; raises when it is refused."""
        answer = self._http.post(path, json=body if body is not None else {})
        answer.raise_for_status()
        return json.loads(answer.text, parse_float=Decimal)

    def act(self, body: Body) -> bool:
        """Let a person do something; tells whether it was possible."""
        arguments = {key: value for key, value in body.items() if key != "system"}
        return self._http.post(f"/{body['system']}/act", json=arguments).status_code == 200

    def rows(self, system: str, entity: str) -> list[Row]:
        """Return the stored rows that are not deleted."""
        answer = self._http.get(f"/{system}/records/{entity}")
        answer.raise_for_status()
        body = json.loads(answer.text, parse_float=Decimal)
        found = body["records"] if isinstance(body, dict) else body
        return [row for row in found if not row.get("IsDeleted")]

    def salesforce(self, sobject: str) -> list[Row]:
        """Return Salesforce rows."""
        return self.rows("salesforce", sobject)

    def business_central(self, entity: str) -> list[Row]:
        """Return BC rows."""
        return self.rows("business-central", entity)

    def restore(self, name: str) -> None:
        """Set both systems back to a snapshot."""
        self.post("/restore", {"name": name})

    def later(self, seconds: float) -> None:
        """Move both clocks on."""
        self.post("/clock", {"by_seconds": seconds})

    def faults(self, system: str, rules: list[Body]) -> None:
        """Add rules to a system's fault plan."""
        self.post(f"/{system}/faults", rules)

    def no_faults(self) -> None:
        """Take all faults away."""
        for system in ("salesforce", "business-central"):
            self._http.delete(f"/{system}/faults").raise_for_status()

    def writes(self) -> list[Row]:
        """Return every write in either system so far."""
        found: list[Row] = []
        for system in ("salesforce", "business-central"):
            answer = self._http.get(f"/{system}/writes", params={"since": 0})
            found += json.loads(answer.text, parse_float=Decimal)["writes"]
        return found


@dataclass
class People:
    """A rep and a clerk who act by chance, and what of it the checker has to know.

    Attributes:
        edited: ids of Orders, Accounts and Contacts the rep changed after they may have been
            written.
        touched: Orders (by number) whose BC documents the clerk worked on.
    """

    world: World
    chance: random.Random
    edited: set[str] = field(default_factory=set)
    touched: set[str] = field(default_factory=set)
    log: list[str] = field(default_factory=list)
    made: int = 0

    def do_something(self) -> None:
        """Let one of them act."""
        acts: list[Callable[[], None]] = [
            self.new_order, self.new_order, self.edit_order_lines, self.edit_order_lines,
            self.edit_shipping, self.edit_account, self.edit_contact, self.new_account,
            self.new_contact, self.overwrite_status, self.ship, self.ship_and_invoice,
            self.draft_invoice, self.draft_invoice, self.pay, self.pay,
        ]  # fmt: skip
        self.chance.choice(acts)()

    def planned_act(self) -> Body | None:
        """Return one simple act for a worker to trigger in the middle of its run."""
        kind = self.chance.choice(("account", "contact", "ship", "pay", "shipping"))
        match kind:
            case "account":
                return self._account_edit()
            case "contact":
                return self._contact_edit()
            case "ship":
                return self._on_order("ship")
            case "pay":
                return self._payment()
            case _:
                return self._shipping_edit()

    def settle(self) -> None:
        """Bring every Order the rep left as a draft back to activated."""
        for order in self.world.salesforce("Order"):
            if order["Id"] in self.edited and order["StatusCode"] == "Draft":
                self._act({"act": "activate_order", "order": order["Id"]})

    def _act(self, body: Body) -> bool:
        full = {"system": "salesforce", **body}
        done = self.world.act(full)
        self.log.append(f"{'' if done else 'refused '}{json.dumps(full, default=str)}")
        return done

    def _pick(self, rows: list[Row]) -> Row | None:
        return self.chance.choice(rows) if rows else None

    def _activated(self) -> Row | None:
        rows = self.world.salesforce("Order")
        return self._pick([row for row in rows if row["StatusCode"] == "Activated"])

    def _word(self) -> str:
        self.made += 1
        return f"{self.chance.choice(('Nord', 'Süd', 'West', 'Ost'))}{self.made}"

    # the rep

    def new_order(self) -> None:
        """Write and activate an order."""
        account = self._pick(self.world.salesforce("Account"))
        products = [row["ProductCode"] for row in self.world.salesforce("Product2")]
        if account is None:
            return
        lines = [
            {"product": code, "quantity": self.chance.randint(1, 9)}
            for code in self.chance.sample(products, self.chance.randint(1, 3))
        ]
        self._act({
            "act": "create_order", "account": account["Id"], "lines": lines, "activate": True,
        })  # fmt: skip

    def edit_order_lines(self) -> None:
        """Set an order back to draft, change its lines, and mostly activate it again."""
        order = self._activated()
        if order is None or not self._act({"act": "draft_order", "order": order["Id"]}):
            return
        self.edited.add(order["Id"])
        lines = [row for row in self.world.salesforce("OrderItem") if row["OrderId"] == order["Id"]]
        line = self.chance.choice(lines)
        what = self.chance.random()
        if what < 0.6:
            fields = {"Quantity": self.chance.randint(1, 30)}
            self._act(
                {"act": "edit", "sobject": "OrderItem", "record": line["Id"], "fields": fields}
            )
        elif what < 0.8 and len(lines) > 1:
            self._act({"act": "remove_line", "line": line["Id"]})
        else:
            products = [row["ProductCode"] for row in self.world.salesforce("Product2")]
            wanted = {"product": self.chance.choice(products), "quantity": 2}
            self._act({"act": "add_line", "order": order["Id"], "line": wanted})
        if self.chance.random() < 0.8:
            self._act({"act": "activate_order", "order": order["Id"]})

    def edit_shipping(self) -> None:
        """Change where an order goes."""
        body = self._shipping_edit()
        if body is not None:
            self._act(body)

    def _shipping_edit(self) -> Body | None:
        rows = self.world.salesforce("Order")
        order = self._pick(
            [row for row in rows if row["StatusCode"] == "Activated" and row.get("ShippingCity")]
        )
        if order is None:
            return None
        self.edited.add(order["Id"])
        fields = {"ShippingCity": self._word()}
        return {
            "system": "salesforce", "act": "edit", "sobject": "Order", "record": order["Id"],
            "fields": fields,
        }  # fmt: skip

    def _account_edit(self) -> Body | None:
        account = self._pick(self.world.salesforce("Account"))
        if account is None:
            return None
        field_name = self.chance.choice(("Phone", "Name", "BillingCity"))
        self.edited.add(account["Id"])
        self.made += 1
        text = f"+1 555 01{self.made:02}" if field_name == "Phone" else self._word()
        return {
            "system": "salesforce", "act": "edit", "sobject": "Account", "record": account["Id"],
            "fields": {field_name: text},
        }  # fmt: skip

    def _contact_edit(self) -> Body | None:
        contact = self._pick(self.world.salesforce("Contact"))
        if contact is None:
            return None
        self.edited.add(contact["Id"])
        field_name = self.chance.choice(("LastName", "Title"))
        return {
            "system": "salesforce", "act": "edit", "sobject": "Contact", "record": contact["Id"],
            "fields": {field_name: self._word()},
        }  # fmt: skip

    def edit_account(self) -> None:
        """Change an Account."""
        body = self._account_edit()
        if body:
            self._act(body)

    def edit_contact(self) -> None:
        """Change a Contact."""
        body = self._contact_edit()
        if body:
            self._act(body)

    def new_account(self) -> None:
        """Add a customer with a Contact."""
        name = self._word()
        fields = {
            "Name": f"{name} Werke", "Type": "Customer - Direct", "CurrencyIsoCode": "USD",
            "BillingCountry": "US", "BillingCity": name,
        }  # fmt: skip
        self._act({"act": "create", "sobject": "Account", "fields": fields})

    def new_contact(self) -> None:
        """Add a Contact to an Account."""
        account = self._pick(self.world.salesforce("Account"))
        if account is not None:
            fields = {"LastName": self._word(), "AccountId": account["Id"]}
            self._act({"act": "create", "sobject": "Contact", "fields": fields})

    def overwrite_status(self) -> None:
        """Write something wrong into a status field."""
        order = self._activated()
        if order is not None:
            fields = {"BC_Order_Status__c": "Lost", "BC_Open_Amount__c": 1}
            self._act({"act": "edit", "sobject": "Order", "record": order["Id"], "fields": fields})

    # the clerk

    def _on_order(self, act: str, **arguments: Any) -> Body | None:
        order = self._pick(self.world.business_central("salesOrders"))
        if order is None:
            return None
        self.touched.add(order["externalDocumentNumber"])
        return {"system": "business-central", "act": act, "order": order["number"], **arguments}

    def _payment(self) -> Body | None:
        rows = self.world.business_central("salesInvoices")
        invoice = self._pick([row for row in rows if row["_posted"] and row["_remaining"]])
        if invoice is None:
            return None
        part = {"amount": "1.00"} if self.chance.random() < 0.5 else {}
        return {"system": "business-central", "act": "pay", "invoice": invoice["number"], **part}

    def ship(self) -> None:
        """Ship all or half of an order."""
        body = self._on_order("ship", **self.chance.choice(({}, {"share": 0.5})))
        if body:
            self._act(body)

    def ship_and_invoice(self) -> None:
        """Ship and invoice all or half of an order."""
        body = self._on_order("ship_and_invoice", **self.chance.choice(({}, {"share": 0.5})))
        if body:
            self._act(body)

    def draft_invoice(self) -> None:
        """Draft an invoice of an order, which the connector posts."""
        body = self._on_order("draft_invoice", **self.chance.choice(({}, {"share": 0.5})))
        if body:
            self._act(body)

    def pay(self) -> None:
        """Take a payment, in part or in full."""
        body = self._payment()
        if body:
            self._act(body)
