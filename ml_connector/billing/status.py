"""What Salesforce shows about an order and a customer, derived from their BC documents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from ml_connector.business_central.models import (
    Customer,
    CustomerFinancialDetail,
    SalesCreditMemo,
    SalesInvoice,
    SalesOrder,
    SalesOrderLine,
)
from ml_connector.domain.fitting import cleaned, cut_at_word
from ml_connector.domain.identifiers import State, folded
from ml_connector.domain.money import ZERO, currency_scale, rounded, total

TEXT_LIMIT = 255
_HUNDRED = Decimal(100)
_UNPOSTED = frozenset({"Draft", "In Review", ""})

_SYNC_STATUS = {
    State.WRITTEN: "Synced",
    State.UNCHANGED: "Synced",
    State.WAITING: "Waiting",
    State.PARKED: "Parked",
    State.EXCLUDED: "Excluded",
}

ORDER_FIELDS = (
    "BC_Order_Status__c", "BC_Shipped_Percent__c", "BC_Invoiced_Percent__c",
    "BC_Invoice_Numbers__c", "BC_Invoiced_Amount__c", "BC_Paid_Amount__c", "BC_Open_Amount__c",
    "BC_Due_Date__c", "BC_Payment_Status__c",
)  # fmt: skip
"""The fields `order_status` derives."""


@dataclass(frozen=True, slots=True)
class OrderChain:
    """An Order's documents in BC and what else its status depends on.

    `order` is None when BC has no such order (any more); `posted` are the ids of the invoices that
    are posted beyond doubt; `net` is the net total of the BC order as last known, else of the
    Salesforce Order; `handed_over` tells that there is a link.
    """

    order: SalesOrder | None = None
    invoices: tuple[SalesInvoice, ...] = ()
    posted: frozenset[str] = frozenset()
    credit_memos: tuple[SalesCreditMemo, ...] = ()
    total_differs: bool = False
    parked: bool = False
    handed_over: bool = False
    net: Decimal | str | None = None

    @property
    def issued(self) -> tuple[SalesInvoice, ...]:
        """The posted invoices, canceled ones included."""
        return tuple(i for i in self.invoices if i.id in self.posted and i.status not in _UNPOSTED)

    @property
    def live(self) -> tuple[SalesInvoice, ...]:
        """The posted invoices that are not canceled."""
        return tuple(i for i in self.issued if i.status != "Canceled")

    @property
    def credits(self) -> tuple[SalesCreditMemo, ...]:
        """The posted credit memos that reduce a live invoice: applied to it, not corrective.

        A corrective one undoes an invoice that counts as canceled already, a canceled one undoes
        nothing.
        """
        ids = {invoice.id for invoice in self.live}
        numbers = {folded(invoice.number) for invoice in self.live}
        return tuple(
            memo
            for memo in self.credit_memos
            if memo.status not in _UNPOSTED | {"Corrective", "Canceled"}
            and (memo.invoice_id in ids or (not memo.invoice_id and _names(memo, numbers)))
        )


def _names(memo: SalesCreditMemo, numbers: set[str]) -> bool:
    return bool(memo.invoice_number) and folded(memo.invoice_number) in numbers


def order_status(chain: OrderChain, today: date) -> dict[str, Any]:
    """Return the status fields of an Order; all None before hand-over, but for "Error".

    Shape: Salesforce field → Decimal with two digits, text, ISO date text or None. *today* is the
    date in the policy's time zone.
    """
    if not chain.handed_over:
        fields: dict[str, Any] = dict.fromkeys(ORDER_FIELDS)
        return fields | {"BC_Order_Status__c": "Error" if chain.parked else None}
    status = _ladder(chain)
    invoiced, open_amount = _amounts(chain)
    return {
        "BC_Order_Status__c": status,
        "BC_Shipped_Percent__c": _percent(chain, status, "shipped"),
        "BC_Invoiced_Percent__c": _percent(chain, status, "invoiced"),
        "BC_Invoice_Numbers__c": invoice_numbers(_oldest_first(chain.issued)),
        "BC_Invoiced_Amount__c": _two_digits(invoiced),
        "BC_Paid_Amount__c": _two_digits(max(ZERO, invoiced - open_amount)),
        "BC_Open_Amount__c": _two_digits(open_amount),
        "BC_Due_Date__c": _due_date(chain),
        "BC_Payment_Status__c": _payment_status(chain, today),
    }


def _two_digits(amount: Decimal) -> Decimal:
    return rounded(amount, 2)


def _ladder(chain: OrderChain) -> str:
    """Return the first status that holds."""
    if _is_canceled(chain):
        return "Canceled"
    if _is_invoiced(chain):
        return "Invoiced"
    order = chain.order
    lines = _counting(order)
    if order is None or chain.live or any(line.invoiced_quantity > 0 for line in lines):
        return "Partly Invoiced"
    if order.fully_shipped:
        return "Shipped"
    if any(line.shipped_quantity > 0 for line in lines):
        return "Partly Shipped"
    return _unshipped(order, total_differs=chain.total_differs)


def _unshipped(order: SalesOrder, *, total_differs: bool) -> str:
    if total_differs and order.status == "Draft":
        return "On Hold"
    return {"Open": "Released", "In Review": "In Review"}.get(order.status, "Draft")


def _is_canceled(chain: OrderChain) -> bool:
    if chain.order is None and not chain.live:
        return True
    return bool(chain.invoices) and all(each.status == "Canceled" for each in chain.invoices)


def _is_invoiced(chain: OrderChain) -> bool:
    if chain.order is None:
        return _covers_net(chain)
    lines = _counting(chain.order)
    return bool(lines) and all(line.invoiced_quantity == line.quantity for line in lines)


def _covers_net(chain: OrderChain) -> bool:
    """Tell whether the live invoices come to the net of the order.

    Each of several invoices may have been rounded by half a cent more or less.
    """
    if chain.net is None:
        return True
    scale = currency_scale(chain.live[0].currency_code)
    billed = total(invoice.total_amount_excluding_tax for invoice in chain.live)
    slack = Decimal(len(chain.live) - 1).scaleb(-scale)
    return rounded(billed, scale) + slack >= rounded(Decimal(str(chain.net)), scale)


def _counting(order: SalesOrder | None) -> tuple[SalesOrderLine, ...]:
    lines = order.lines if order is not None else ()
    return tuple(line for line in lines if line.line_type != "Comment" and line.quantity != 0)


def _amounts(chain: OrderChain) -> tuple[Decimal, Decimal]:
    """Return what is invoiced after credit memos, and what of it is open; tax included."""
    invoiced = total(invoice.total_amount_including_tax for invoice in chain.live)
    return invoiced - _credited(chain), total(each.remaining_amount for each in chain.live)


def _credited(chain: OrderChain) -> Decimal:
    return total(memo.total_amount_including_tax for memo in chain.credits)


def _percent(chain: OrderChain, status: str, of: str) -> Decimal:
    """Return how much was shipped or invoiced, weighted by net amount, 0 to 100."""
    if chain.order is None:
        return _two_digits(_percent_when_gone(chain, status))
    parts: list[tuple[Decimal, Decimal]] = []
    for line in _counting(chain.order):
        done = line.shipped_quantity if of == "shipped" else line.invoiced_quantity
        parts.append((done / line.quantity, line.net_amount))
    whole = total(weight for _, weight in parts)
    if whole == 0:
        parts = [(share, Decimal(1)) for share, _ in parts]
        whole = Decimal(len(parts))
    reached = total(share * weight for share, weight in parts)
    percent = reached * _HUNDRED / whole if whole else ZERO
    return _two_digits(min(max(percent, ZERO), _HUNDRED))


def _percent_when_gone(chain: OrderChain, status: str) -> Decimal:
    if status == "Invoiced":
        return _HUNDRED
    net = Decimal(str(chain.net)) if chain.net is not None else ZERO
    billed = total(invoice.total_amount_excluding_tax for invoice in chain.live)
    return min(max(billed * _HUNDRED / net, ZERO), _HUNDRED) if net > 0 else ZERO


def _oldest_first(invoices: Iterable[SalesInvoice]) -> list[str]:
    def age(invoice: SalesInvoice) -> tuple[date, str]:
        return invoice.posting_date or invoice.invoice_date or date.max, invoice.number

    return [invoice.number for invoice in sorted(invoices, key=age)]


def invoice_numbers(numbers: Sequence[str]) -> str | None:
    """Return invoice numbers with ", " between, at most 255 characters; " +n" counts the rest."""
    listed = ", ".join(numbers)
    if len(listed) <= TEXT_LIMIT:
        return listed or None
    for kept in range(len(numbers) - 1, 0, -1):
        text = f"{', '.join(numbers[:kept])} +{len(numbers) - kept}"
        if len(text) <= TEXT_LIMIT:
            return text
    return f"+{len(numbers)}"


def _due_date(chain: OrderChain) -> str | None:
    """Return the earliest due date with something open, else the latest."""
    unpaid = [i.due_date for i in chain.live if i.due_date and i.remaining_amount > 0]
    if unpaid:
        return min(unpaid).isoformat()
    dates = [invoice.due_date for invoice in chain.live if invoice.due_date]
    return max(dates).isoformat() if dates else None


def _payment_status(chain: OrderChain, today: date) -> str:
    """Return the first payment status that holds."""
    if not chain.issued:
        return "Not Invoiced"
    credited = _credited(chain)
    billed = total(invoice.total_amount_including_tax for invoice in chain.live)
    if not chain.live or (credited > 0 and credited >= billed):
        return "Credited"
    open_amount = total(invoice.remaining_amount for invoice in chain.live)
    if open_amount <= 0:
        return "Paid"
    if any(i.remaining_amount > 0 and i.due_date and i.due_date < today for i in chain.live):
        return "Overdue"
    return "Partly Paid" if open_amount < billed - credited else "Open"


def account_fields(
    customer: Customer,
    financial: CustomerFinancialDetail | None,
    account_currency: str,
    local_currency: str,
) -> dict[str, Any]:
    """Return what an Account shows about its customer; money only in BC's local currency."""
    comparable = folded(account_currency) == folded(local_currency) and financial is not None
    return {
        "BC_Balance__c": _two_digits(financial.balance) if comparable and financial else None,
        "BC_Overdue__c": (
            _two_digits(financial.overdue_amount) if comparable and financial else None
        ),
        "BC_Credit_Limit__c": _two_digits(customer.credit_limit) if comparable else None,
        "BC_Blocked__c": customer.blocked or None,
    }


def account_notice(account_currency: str, local_currency: str) -> str:
    """Return the sentence that explains empty amounts on an Account, "" when they are shown."""
    account, local = folded(account_currency), folded(local_currency)
    if account == local:
        return ""
    shown = f"is kept in {account}" if account else "has no currency"
    return (
        f"Balance, overdue and credit limit are not shown, because BC keeps them in {local} and "
        f"the Account {shown}."
    )


def message_text(text: str | None) -> str | None:
    """Return a message for a field of 255 characters, cut at a word; None for none."""
    return cut_at_word(cleaned(text), TEXT_LIMIT, "…") or None


def sync_status(state: State) -> str:
    """Return how Salesforce calls a state of the ledger."""
    return _SYNC_STATUS[state]


def sync_fields(state: State, message: str | None) -> dict[str, Any]:
    """Return the sync fields of a record."""
    return {
        "BC_Sync_Status__c": sync_status(state),
        "BC_Sync_Message__c": message_text(message),
    }
