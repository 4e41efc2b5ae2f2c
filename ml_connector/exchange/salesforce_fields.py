"""The fields the connector owns in Salesforce, and the shape each must have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldShape:
    """What a field has to be: one of the describe *types*, with room for *length* characters."""

    types: frozenset[str]
    length: int = 0
    is_external_id: bool = False


def _text(length: int) -> FieldShape:
    return FieldShape(frozenset({"string", "textarea", "picklist"}), length)


_ID = FieldShape(frozenset({"string"}), 36, is_external_id=True)
_NUMBER = _text(20)
_STATUS = _text(40)
_LONG = _text(255)
_AMOUNT = FieldShape(frozenset({"currency", "double"}))
_PERCENT = FieldShape(frozenset({"double", "percent"}))
_MOMENT = FieldShape(frozenset({"datetime"}))

FIELDS: Mapping[str, Mapping[str, FieldShape]] = {
    "Account": {
        "BC_Customer_Id__c": _ID,
        "BC_Customer_Number__c": _NUMBER,
        "BC_Balance__c": _AMOUNT,
        "BC_Overdue__c": _AMOUNT,
        "BC_Credit_Limit__c": _AMOUNT,
        "BC_Blocked__c": _text(10),
        "BC_Sync_Status__c": _STATUS,
        "BC_Sync_Message__c": _LONG,
        "BC_As_Of__c": _MOMENT,
    },
    "Contact": {"BC_Contact_Id__c": _ID},
    "Product2": {"BC_Item_Id__c": _ID, "BC_Item_Number__c": _NUMBER},
    "Order": {
        "BC_Order_Id__c": _ID,
        "BC_Order_Number__c": _NUMBER,
        "BC_Order_Status__c": _STATUS,
        "BC_Shipped_Percent__c": _PERCENT,
        "BC_Invoiced_Percent__c": _PERCENT,
        "BC_Invoice_Numbers__c": _LONG,
        "BC_Invoiced_Amount__c": _AMOUNT,
        "BC_Paid_Amount__c": _AMOUNT,
        "BC_Open_Amount__c": _AMOUNT,
        "BC_Due_Date__c": FieldShape(frozenset({"date"})),
        "BC_Payment_Status__c": _STATUS,
        "BC_Sync_Status__c": _STATUS,
        "BC_Sync_Message__c": _LONG,
        "BC_As_Of__c": _MOMENT,
    },
}
"""Per object, by field name."""
