"""Why a record waits, is parked or is left out: the catalogue behind `cause`, owner and remedy.

`Cause.value` is what users see as `cause` in JSON, in the ledger and in `replay --cause`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ml_connector.domain.identifiers import Owner


class Cause(StrEnum):
    """Cause codes; stable, because people filter and replay by them."""

    # waiting: released by itself when what is missing arrives
    MISSING_ITEM = "missing_item"
    MISSING_CUSTOMER = "missing_customer"
    MISSING_COMPANY_CONTACT = "missing_company_contact"
    OUTCOME_UNKNOWN = "outcome_unknown"
    SERVICE_UNAVAILABLE = "service_unavailable"
    HELD_BY_OTHER_WORKER = "held_by_other_worker"
    # parked: a person has to act in one of the systems
    NO_ITEM = "no_item"
    AMBIGUOUS_ITEM = "ambiguous_item"
    BLOCKED_ITEM = "blocked_item"
    AMBIGUOUS_CUSTOMER = "ambiguous_customer"
    POSSIBLE_DUPLICATE = "possible_duplicate"
    SHARED_CUSTOMER = "shared_customer"
    BLOCKED_CUSTOMER = "blocked_customer"
    NUMBER_TAKEN = "number_taken"
    TEXT_TOO_LONG = "text_too_long"
    INVALID_PHONE = "invalid_phone"
    UNKNOWN_COUNTRY = "unknown_country"
    UNKNOWN_CURRENCY = "unknown_currency"
    UNKNOWN_UNIT = "unknown_unit"
    INVALID_QUANTITY = "invalid_quantity"
    NO_LINES = "no_lines"
    MISSING_VALUE = "missing_value"
    TOTAL_DIFFERS = "total_differs"
    DUPLICATE_REFERENCE = "duplicate_reference"
    EDITED_AFTER_HAND_OVER = "edited_after_hand_over"
    WITHDRAWN_AFTER_HAND_OVER = "withdrawn_after_hand_over"
    DELETED_IN_BC = "deleted_in_bc"
    DELETED_IN_SALESFORCE = "deleted_in_salesforce"
    DRAFT_DOES_NOT_FIT = "draft_does_not_fit"
    POSTING_REFUSED = "posting_refused"
    REJECTED_BY_BC = "rejected_by_bc"
    MISSING_PERMISSION = "missing_permission"
    REJECTED_BY_SALESFORCE = "rejected_by_salesforce"
    CONCURRENT_EDIT = "concurrent_edit"
    UNREADABLE_ANSWER = "unreadable_answer"
    UNEXPECTED_CREATION = "unexpected_creation"
    FLIPPING = "flipping"
    MERGE_CONFLICT = "merge_conflict"
    # excluded: by a rule of the policy
    NOT_QUALIFYING = "not_qualifying"
    REDUCTION_ORDER = "reduction_order"
    NO_ACCOUNT = "no_account"
    ACCOUNT_EXCLUDED = "account_excluded"
    DELETED = "deleted"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class CauseEntry:
    """Who can cure a cause and how, in one sentence."""

    owner: Owner
    remedy: str


_S, _F, _I = Owner.SALES, Owner.FINANCE, Owner.IT

CATALOGUE: dict[Cause, CauseEntry] = {
    Cause.MISSING_ITEM: CauseEntry(_F, "Create the item in BC with the product's code as its number; the order goes through by itself."),
    Cause.MISSING_CUSTOMER: CauseEntry(_S, "Cure what keeps the Account from becoming a customer; the record goes through by itself."),
    Cause.MISSING_COMPANY_CONTACT: CauseEntry(_F, "Give the customer a company contact in BC (Marketing Setup, relation code of customers; then Create Contacts from Customers); the contact goes through by itself."),
    Cause.OUTCOME_UNKNOWN: CauseEntry(_I, "Nothing to do: the next run looks in BC before it writes again."),
    Cause.SERVICE_UNAVAILABLE: CauseEntry(_I, "Nothing to do: the next run tries again."),
    Cause.HELD_BY_OTHER_WORKER: CauseEntry(_I, "Nothing to do: another worker has the record in hand."),
    Cause.NO_ITEM: CauseEntry(_F, "Create an item in BC whose number is the product code, or correct the product code in Salesforce."),
    Cause.AMBIGUOUS_ITEM: CauseEntry(_S, "Give each product its own product code in Salesforce."),
    Cause.BLOCKED_ITEM: CauseEntry(_F, "Unblock the item in BC, or replace the product on the order in Salesforce."),
    Cause.AMBIGUOUS_CUSTOMER: CauseEntry(_F, "Put the number of the right BC customer into Account Number in Salesforce."),
    Cause.POSSIBLE_DUPLICATE: CauseEntry(_F, "Put the number of the existing BC customer into Account Number, or change the name or address if they are two."),
    Cause.SHARED_CUSTOMER: CauseEntry(_S, "Merge the Accounts in Salesforce, or give them different customer numbers."),
    Cause.BLOCKED_CUSTOMER: CauseEntry(_F, "Unblock the customer in BC."),
    Cause.NUMBER_TAKEN: CauseEntry(_F, "Correct the Account Number in Salesforce, or rename the customer in BC that has it."),
    Cause.TEXT_TOO_LONG: CauseEntry(_S, "Shorten the text in Salesforce, or set the overflow policy to truncate."),
    Cause.INVALID_PHONE: CauseEntry(_S, "Write the phone number in Salesforce with digits only; BC takes no letters."),
    Cause.UNKNOWN_COUNTRY: CauseEntry(_S, "Correct the country in Salesforce, or add it to the countries in BC."),
    Cause.UNKNOWN_CURRENCY: CauseEntry(_F, "Add the currency in BC, or correct it in Salesforce."),
    Cause.UNKNOWN_UNIT: CauseEntry(_F, "Add the unit of measure to the item in BC, or correct it on the product."),
    Cause.INVALID_QUANTITY: CauseEntry(_S, "Correct the quantity in Salesforce; BC needs more than zero."),
    Cause.NO_LINES: CauseEntry(_S, "Add a product to the order in Salesforce."),
    Cause.MISSING_VALUE: CauseEntry(_S, "Fill the field in Salesforce."),
    Cause.TOTAL_DIFFERS: CauseEntry(_F, "Compare the lines of both orders; correct one of them. It is compared again by the next run."),
    Cause.DUPLICATE_REFERENCE: CauseEntry(_F, "Decide which BC document belongs to the order, and change the external document number of the others."),
    Cause.EDITED_AFTER_HAND_OVER: CauseEntry(_S, "Make the same change in BC by hand, or take it back in Salesforce."),
    Cause.WITHDRAWN_AFTER_HAND_OVER: CauseEntry(_S, "Activate the order again, or have finance delete the order in BC."),
    Cause.DELETED_IN_BC: CauseEntry(_F, "Find out why the BC record was deleted; cancel the order in Salesforce, or replay it to write it again."),
    Cause.DELETED_IN_SALESFORCE: CauseEntry(_S, "Restore the record in Salesforce, or have finance close the BC record."),
    Cause.DRAFT_DOES_NOT_FIT: CauseEntry(_F, "Correct or delete the draft invoice in BC; its lines do not fit what the order has left."),
    Cause.POSTING_REFUSED: CauseEntry(_F, "Cure what BC names, then the next run posts the invoice."),
    Cause.REJECTED_BY_BC: CauseEntry(_F, "Cure what BC names, then replay it; runs try again by themselves, at least hourly."),
    Cause.MISSING_PERMISSION: CauseEntry(_I, "Give the app the permission sets it lacks in BC, on page Microsoft Entra Applications, then replay; runs try again by themselves, at least hourly."),
    Cause.REJECTED_BY_SALESFORCE: CauseEntry(_I, "Cure what Salesforce names; the next run tries again."),
    Cause.CONCURRENT_EDIT: CauseEntry(_F, "Somebody edits the record at the same time; the next run tries again."),
    Cause.UNREADABLE_ANSWER: CauseEntry(_I, "The answer was cut or no JSON; the next run tries again. If it stays, check proxies between here and the vendor."),
    Cause.UNEXPECTED_CREATION: CauseEntry(_I, "A write-back created a record, as the message says. Check who removed the External Id, and delete that record if it is still there."),
    Cause.FLIPPING: CauseEntry(_I, "Two automations overwrite each other; stop one of them, then replay the record."),
    Cause.MERGE_CONFLICT: CauseEntry(_F, "Both merged records had a partner in BC; decide which one stays: block the other customer for all, or delete the other contact."),
    Cause.NOT_QUALIFYING: CauseEntry(_S, "Nothing to do: the policy leaves it out."),
    Cause.REDUCTION_ORDER: CauseEntry(_S, "Nothing to do: reduction orders are handled by finance in BC."),
    Cause.NO_ACCOUNT: CauseEntry(_S, "Give the contact an Account if it belongs to a customer."),
    Cause.ACCOUNT_EXCLUDED: CauseEntry(_S, "Nothing to do: the Account does not qualify as a customer."),
    Cause.WITHDRAWN: CauseEntry(_S, "Nothing to do: the policy on_cancel settles it. Activate the order again to hand it over again."),
    Cause.DELETED: CauseEntry(_S, "Nothing to do: the record is gone, and nothing of it is left to write."),
}  # fmt: skip
