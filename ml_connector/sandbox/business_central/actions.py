"""Bound actions; their names are taken without regard to case."""

from collections.abc import Callable

from ml_connector.sandbox.business_central.company import Company
from ml_connector.sandbox.business_central.faults import Refusal, business_rule
from ml_connector.sandbox.business_central.posting import (
    cancel_invoice,
    cancel_memo,
    check_can_be_cancelled,
    draft_corrective_memo,
    post_draft,
    post_order,
)
from ml_connector.sandbox.business_central.tables import Row

Action = Callable[[Company, Row], None]


def _check_address(document: Row) -> None:
    if not document["email"]:
        raise business_rule(
            "The send-to email is empty. Enter an email for the customer or for the document."
        )


def _ship_and_invoice(company: Company, order: Row) -> None:
    post_order(company, order, ship=True, invoice=True)
    company.commit_point()


def _post_and_send(company: Company, draft: Row) -> None:
    post_draft(company, draft)
    _check_address(draft)


def _send(_company: Company, document: Row) -> None:
    _check_address(document)


def _cancel_invoice(company: Company, invoice: Row) -> None:
    cancel_invoice(company, invoice)


def _cancel_and_send(company: Company, invoice: Row) -> None:
    check_can_be_cancelled(company, invoice)
    cancel_invoice(company, invoice)
    _check_address(invoice)


def _cancel_memo_and_send(company: Company, memo: Row) -> None:
    cancel_memo(company, memo)
    _check_address(memo)


def _corrective(company: Company, invoice: Row) -> None:
    draft_corrective_memo(company, invoice)


ACTIONS: dict[str, dict[str, Action]] = {
    "salesOrders": {"shipAndInvoice": _ship_and_invoice},
    "salesInvoices": {
        "post": post_draft,
        "postAndSend": _post_and_send,
        "send": _send,
        "cancel": _cancel_invoice,
        "cancelAndSend": _cancel_and_send,
        "makeCorrectiveCreditMemo": _corrective,
    },
    "salesCreditMemos": {
        "post": post_draft,
        "postAndSend": _post_and_send,
        "send": _send,
        "cancel": cancel_memo,
        "cancelAndSend": _cancel_memo_and_send,
    },
}


def run_action(company: Company, entity: str, row: Row, name: str) -> None:
    """Run a bound action of a row."""
    actions = ACTIONS.get(entity)
    if actions is None:
        raise Refusal(501, "BadRequest_MethodNotImplemented", f"'{entity}' has no bound actions.")
    for title, action in actions.items():
        if title.lower() == name.lower():
            with company.transaction():
                company.note_action(entity, row, title)
                action(company, row)
            return
    raise Refusal(404, "BadRequest_NotFound", f"'{entity}' has no action '{name}'.")
