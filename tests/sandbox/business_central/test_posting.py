"""Shipping, invoicing, crediting and cancelling."""

from decimal import Decimal
from typing import Any

DIALOG = (400, "Application_DialogException")
FIELD = (400, "Application_FieldValidationException")


def _invoice(tenant: Any, number: str) -> Any:
    (invoice,) = tenant.values(f"salesInvoices?$filter=number eq '{number}'")
    return invoice


def test_ship_and_invoice_makes_the_order_vanish(tenant: Any) -> None:
    """The action answers 204; shipment, invoice and G/L entries remain, the order does not."""
    order = tenant.order(externalDocumentNumber="SF-9")
    path = f"salesOrders({order['id']})"
    answer = tenant.call("POST", f"{path}/Microsoft.NAV.SHIPANDINVOICE")
    assert (answer.status_code, answer.content) == (204, b"")
    assert tenant.refusal("GET", path)[0] == 404
    (invoice,) = tenant.values(f"salesInvoices?$filter=orderId eq {order['id']}")
    assert (invoice["status"], invoice["orderNumber"]) == ("Open", order["number"])
    assert invoice["externalDocumentNumber"] == "SF-9"
    assert invoice["totalAmountExcludingTax"] == order["totalAmountExcludingTax"]
    assert invoice["remainingAmount"] == invoice["totalAmountIncludingTax"]
    (shipment,) = tenant.values(
        f"salesShipments?$filter=orderNumber eq '{order['number']}'&$expand=salesShipmentLines"
    )
    assert [line["quantity"] for line in shipment["salesShipmentLines"]] == [2, 100]
    entries = tenant.values(
        f"generalLedgerEntries?$filter=documentNumber eq '{invoice['number']}'"
        " and documentType eq 'Invoice'"
    )
    assert sum(e["debitAmount"] - e["creditAmount"] for e in entries) == 0
    assert tenant.get(f"items({tenant.ids['1000']})")["inventory"] == 998
    assert tenant.refusal("POST", f"{path}/Microsoft.NAV.shipAndInvoice")[0] == 404


def test_partial_posting(tenant: Any) -> None:
    """A part leaves the order Open with raised quantities; a repeat posts the rest."""
    order = tenant.order()
    path = f"salesOrders({order['id']})"
    line = order["salesOrderLines"][0]["id"]
    tenant.change(f"salesOrderLines({line})", shipQuantity=1, invoiceQuantity=1)
    other = order["salesOrderLines"][1]["id"]
    tenant.change(f"salesOrderLines({other})", shipQuantity=0, invoiceQuantity=0)
    assert tenant.call("POST", f"{path}/Microsoft.NAV.shipAndInvoice").status_code == 204
    after = tenant.get(f"{path}?$expand=salesOrderLines")
    assert (after["status"], after["fullyShipped"]) == ("Open", False)
    assert [row["invoicedQuantity"] for row in after["salesOrderLines"]] == [1, 0]
    refused = tenant.refusal("PATCH", f"salesOrderLines({line})", {"quantity": 9}, if_match="*")
    assert refused == FIELD
    assert tenant.call("POST", f"{path}/Microsoft.NAV.shipAndInvoice").status_code == 204
    invoices = tenant.values(f"salesInvoices?$filter=orderNumber eq '{order['number']}'")
    assert (
        sum(row["totalAmountExcludingTax"] for row in invoices)
        == (order["totalAmountExcludingTax"])
    )
    assert tenant.refusal("GET", path)[0] == 404


def test_clerk_ships_then_invoices(tenant: Any) -> None:
    """Shipping alone leaves the order; the later invoice lets it vanish."""
    order = tenant.order()
    tenant.act("ship", order=order["number"])
    assert tenant.get(f"salesOrders({order['id']})")["fullyShipped"] is True
    said = tenant.act("invoice", order=order["number"])
    assert said["order_gone"] is True
    assert _invoice(tenant, said["invoice"])["orderId"] == order["id"]


def test_drafts_of_an_order(tenant: Any) -> None:
    """A draft from an order keeps its id when posted, changes number, and closes the order."""
    order = tenant.order(externalDocumentNumber="SF-7")
    draft = tenant.act("draft_invoice", order=order["number"])
    path = f"salesInvoices({draft['id']})"
    before = tenant.get(f"{path}?$expand=salesInvoiceLines")
    assert (before["status"], before["externalDocumentNumber"]) == ("Draft", "SF-7")
    assert before["totalAmountExcludingTax"] == order["totalAmountExcludingTax"]
    assert tenant.call("POST", f"{path}/Microsoft.NAV.post").status_code == 204
    after = tenant.get(f"{path}?$expand=salesInvoiceLines")
    assert (after["id"], after["status"]) == (before["id"], "Open")
    assert after["number"] == "PS-INV103001" != before["number"]
    ids = {line["id"] for line in before["salesInvoiceLines"]}
    assert not ids & {line["id"] for line in after["salesInvoiceLines"]}
    assert tenant.refusal("GET", f"salesOrders({order['id']})")[0] == 404
    assert tenant.refusal("POST", f"{path}/Microsoft.NAV.post") == DIALOG


def test_guards(tenant: Any) -> None:
    """Empty, posted, unaddressed and wrongly dated documents are refused."""
    bare = tenant.create("salesInvoices", customerNumber="C200")
    path = f"salesInvoices({bare['id']})"
    assert tenant.refusal("POST", f"{path}/Microsoft.NAV.post") == DIALOG
    assert tenant.refusal("POST", f"{path}/Microsoft.NAV.cancel") == DIALOG
    assert tenant.refusal("POST", f"{path}/Microsoft.NAV.send") == DIALOG
    assert tenant.refusal("POST", f"{path}/Microsoft.NAV.dance")[0] == 404
    assert tenant.refusal("POST", f"customers({tenant.ids['C100']})/Microsoft.NAV.post")[0] == 501
    line = {"itemId": tenant.ids["1000"], "quantity": 1, "unitPrice": 5}
    tenant.create(f"{path}/salesInvoiceLines", **line)
    tenant.switch(posting_allowed_from="2099-01-01")
    assert tenant.refusal("POST", f"{path}/Microsoft.NAV.post") == DIALOG
    tenant.switch(posting_allowed_from="", external_document_number_mandatory=True)
    assert tenant.refusal("POST", f"{path}/Microsoft.NAV.post") == FIELD
    tenant.switch(external_document_number_mandatory=False, posting_setup_missing=True)
    assert tenant.refusal("POST", f"{path}/Microsoft.NAV.post") == FIELD
    tenant.switch(posting_setup_missing=False)
    assert tenant.refusal("POST", f"{path}/Microsoft.NAV.postAndSend") == DIALOG
    assert tenant.get(path)["status"] == "Open"
    refused = tenant.refusal("PATCH", path, {"email": "x@y.example"}, if_match="*")
    assert refused == DIALOG
    assert tenant.change(path, dueDate="2030-01-01")["dueDate"] == "2030-01-01"
    assert tenant.refusal("DELETE", path) == DIALOG


def test_late_failure_leaves_a_trace(tenant: Any) -> None:
    """A posting that fails late has already released the order, in a snapshot batch too."""
    order = tenant.order()
    path = f"salesOrders({order['id']})"
    tenant.switch(posting_fails_late=True)
    assert tenant.refusal("POST", f"{path}/Microsoft.NAV.shipAndInvoice") == DIALOG
    after = tenant.get(path)
    assert after["status"] == "Open"
    assert after["@odata.etag"] != order["@odata.etag"]
    assert tenant.values("salesInvoices") == []


def test_line_without_quantity(tenant: Any) -> None:
    """Posting would ask about a line without quantity, which a service cannot answer."""
    order = tenant.order()
    line = order["salesOrderLines"][1]["id"]
    tenant.change(f"salesOrderLines({line})", quantity=0)
    action = f"salesOrders({order['id']})/Microsoft.NAV.shipAndInvoice"
    assert tenant.refusal("POST", action) == (400, "Application_CallbackNotAllowed")


def test_released_draft_looks_open(tenant: Any) -> None:
    """An unposted, released invoice shows status Open without any G/L entry."""
    order = tenant.order()
    draft = tenant.act("draft_invoice", order=order["number"])
    tenant.act("release_invoice", invoice=draft["id"])
    shown = tenant.get(f"salesInvoices({draft['id']})")
    assert shown["status"] == "Open"
    found = tenant.values(f"generalLedgerEntries?$filter=documentNumber eq '{shown['number']}'")
    assert found == []


def test_stock(tenant: Any) -> None:
    """Not enough stock stops a posting when the setup says so."""
    tenant.switch(prevent_negative_inventory=True)
    order = tenant.order(lines=1)
    line = order["salesOrderLines"][0]["id"]
    tenant.change(f"salesOrderLines({line})", quantity=5000)
    action = f"salesOrders({order['id']})/Microsoft.NAV.shipAndInvoice"
    assert tenant.refusal("POST", action) == DIALOG


def test_cancelling(tenant: Any) -> None:
    """Cancel makes a corrective credit memo; twice, or after a payment, it is refused."""
    order = tenant.order()
    number = tenant.act("ship_and_invoice", order=order["number"])["invoice"]
    invoice = _invoice(tenant, number)
    action = f"salesInvoices({invoice['id']})/Microsoft.NAV.cancel"
    assert tenant.call("POST", action).status_code == 204
    after = _invoice(tenant, number)
    assert (after["status"], after["remainingAmount"]) == ("Canceled", 0)
    (memo,) = tenant.values("salesCreditMemos")
    assert (memo["status"], memo["invoiceId"]) == ("Corrective", invoice["id"])
    assert memo["totalAmountIncludingTax"] == invoice["totalAmountIncludingTax"]
    assert tenant.refusal("POST", action) == DIALOG
    second = tenant.act("ship_and_invoice", order=tenant.order()["number"])["invoice"]
    tenant.act("pay", invoice=second, amount=1)
    path = f"salesInvoices({_invoice(tenant, second)['id']})"
    assert tenant.refusal("POST", f"{path}/Microsoft.NAV.cancel") == DIALOG
    assert tenant.refusal("POST", f"{path}/Microsoft.NAV.makeCorrectiveCreditMemo") == DIALOG


def test_corrective_credit_memo_is_a_draft(tenant: Any) -> None:
    """The correction waits as a draft; posted, it closes the invoice."""
    number = tenant.act("ship_and_invoice", order=tenant.order()["number"])["invoice"]
    invoice = _invoice(tenant, number)
    path = f"salesInvoices({invoice['id']})"
    assert tenant.call("POST", f"{path}/Microsoft.NAV.makeCorrectiveCreditMemo").status_code == 204
    (memo,) = tenant.values("salesCreditMemos?$expand=salesCreditMemoLines")
    assert (memo["status"], memo["invoiceNumber"]) == ("Draft", number)
    assert len(memo["salesCreditMemoLines"]) == 2
    assert tenant.get(path)["status"] == "Open"
    action = f"salesCreditMemos({memo['id']})/Microsoft.NAV.post"
    assert tenant.call("POST", action).status_code == 204
    assert tenant.get(path)["status"] == "Paid"
    assert tenant.get(f"salesCreditMemos({memo['id']})")["status"] == "Paid"


def test_ordinary_credit_memo(tenant: Any) -> None:
    """A credit over part of an invoice takes its amount off what is open."""
    number = tenant.act("ship_and_invoice", order=tenant.order()["number"])["invoice"]
    total = _invoice(tenant, number)["totalAmountIncludingTax"]
    memo = tenant.act("credit", invoice=number, amount=Decimal("100.01"))
    assert memo["totalAmountIncludingTax"] == Decimal("100.01")
    after = _invoice(tenant, number)
    assert (after["status"], after["remainingAmount"]) == ("Open", total - Decimal("100.01"))
    (shown,) = tenant.values("salesCreditMemos")
    assert (shown["status"], shown["invoiceId"]) == ("Paid", after["id"])


def test_loaded_orders_are_there_and_nothing_tells_of_them(tenant: Any) -> None:
    """A bulk load makes orders and invoices as a client would, without a write or a change."""
    before = tenant.admin.get("/writes", params={"since": 0}).json()["last"]
    changes = tenant.admin.get("/state").json()["change_log"]
    line = {"lineType": "Item", "lineObjectNumber": "1000", "quantity": 2, "unitPrice": 10}
    rows = [
        {
            "customerNumber": "C100",
            "externalDocumentNumber": f"L{number}",
            "salesOrderLines": [line],
            "invoiced": number == 1,
        }
        for number in range(3)
    ]

    answer = tenant.admin.post("/load", json={"entity": "salesOrders", "rows": rows})

    assert answer.json() == {"loaded": 3}
    orders = tenant.get("salesOrders")["value"]
    assert sorted(each["externalDocumentNumber"] for each in orders) == ["L0", "L2"]
    (invoice,) = tenant.get("salesInvoices")["value"]
    assert (invoice["externalDocumentNumber"], invoice["status"]) == ("L1", "Open")
    assert tenant.admin.get("/writes", params={"since": 0}).json()["last"] == before
    assert tenant.admin.get("/state").json()["change_log"] == changes
    refused = tenant.admin.post("/load", json={"entity": "salesOrders", "rows": [{"a": 1}]})
    assert refused.status_code == 400
