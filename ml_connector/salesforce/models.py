"""Read models of the Salesforce objects the connector works with.

Python names in snake_case, the vendor's field names as aliases; fields of the org that are not
modelled (custom ones) stay readable through `value`. Empty fields are None, as Salesforce has them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)
from pydantic.functional_validators import field_validator

from ml_connector.errors import ContractError


def vendor_name(name: str) -> str:
    """Return the Salesforce field name of a model field: `bc_order_id` → `BC_Order_Id__c`."""
    parts = [part.capitalize() for part in name.split("_")]
    if parts[0] == "Bc":
        return "BC_" + "_".join(parts[1:]) + "__c"
    return "".join(parts)


def _in_utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


def _null_is_no(value: Any) -> Any:
    return False if value is None else value


Flag = Annotated[bool, BeforeValidator(_null_is_no)]
Instant = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class SObject(BaseModel):
    """What every record carries."""

    model_config = ConfigDict(
        frozen=True,
        extra="allow",
        validate_by_name=True,
        validate_by_alias=True,
        alias_generator=vendor_name,
    )

    OPTIONAL: ClassVar[tuple[str, ...]] = ()
    """Fields that not every org has or shows; selected only when describe lists them."""
    CHILDREN: ClassVar[frozenset[str]] = frozenset()
    """Model fields that come from a child subquery and are no fields of the object."""

    id: str
    system_modstamp: Instant
    is_deleted: Flag = False

    def value(self, field: str) -> Any:
        """Return the value of the Salesforce field *field*, modelled or not; None when not read."""
        if field in (self.model_extra or {}):
            return (self.model_extra or {})[field]
        for name, info in type(self).model_fields.items():
            if info.alias == field:
                return getattr(self, name)
        return None


class Account(SObject):
    """A company that sales deals with; a customer once it qualifies."""

    OPTIONAL = (
        "CurrencyIsoCode", "IsPersonAccount", "MasterRecordId", "BillingStateCode",
        "BillingCountryCode",
        "ShippingStreet", "ShippingCity", "ShippingState",
        "ShippingPostalCode", "ShippingCountry", "ShippingStateCode", "ShippingCountryCode",
    )  # fmt: skip

    name: str | None = None
    account_number: str | None = None
    type: str | None = None
    phone: str | None = None
    website: str | None = None
    billing_street: str | None = None
    billing_city: str | None = None
    billing_state: str | None = None
    billing_state_code: str | None = None
    billing_postal_code: str | None = None
    billing_country: str | None = None
    billing_country_code: str | None = None
    shipping_street: str | None = None
    shipping_city: str | None = None
    shipping_state: str | None = None
    shipping_state_code: str | None = None
    shipping_postal_code: str | None = None
    shipping_country: str | None = None
    shipping_country_code: str | None = None
    currency_iso_code: str | None = None
    is_person_account: Flag = False
    master_record_id: str | None = None
    """The winner, on the losing records of a merge."""
    bc_customer_id: str | None = None
    bc_customer_number: str | None = None
    bc_balance: Decimal | None = None
    bc_overdue: Decimal | None = None
    bc_credit_limit: Decimal | None = None
    bc_blocked: str | None = None
    bc_sync_status: str | None = None
    bc_sync_message: str | None = None
    bc_as_of: Instant | None = None


class Contact(SObject):
    """A person, normally of one Account."""

    OPTIONAL = (
        "CurrencyIsoCode", "IsPersonAccount", "MasterRecordId", "Title", "MobilePhone",
        "MailingStateCode", "MailingCountryCode",
    )  # fmt: skip

    account_id: str | None = None
    """None on a private contact."""
    is_person_account: Flag = False
    """The person half of a person Account; the customer of that Account is the person."""
    name: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    title: str | None = None
    email: str | None = None
    phone: str | None = None
    mobile_phone: str | None = None
    mailing_street: str | None = None
    mailing_city: str | None = None
    mailing_state: str | None = None
    mailing_state_code: str | None = None
    mailing_postal_code: str | None = None
    mailing_country: str | None = None
    mailing_country_code: str | None = None
    currency_iso_code: str | None = None
    master_record_id: str | None = None
    bc_contact_id: str | None = None


class Product2(SObject):
    """A product of the catalog; its ProductCode names the BC item."""

    OPTIONAL = ("CurrencyIsoCode", "QuantityUnitOfMeasure")

    name: str | None = None
    product_code: str | None = None
    is_active: Flag = False
    quantity_unit_of_measure: str | None = None
    currency_iso_code: str | None = None
    bc_item_id: str | None = None
    bc_item_number: str | None = None


class PricebookEntry(SObject):
    """The price of one product in one price book and currency."""

    OPTIONAL = ("CurrencyIsoCode",)

    product2_id: str
    pricebook2_id: str
    unit_price: Decimal
    is_active: Flag = False
    currency_iso_code: str | None = None


class OrderItem(SObject):
    """One line of an Order; `total_price` is quantity times unit price, before tax."""

    OPTIONAL = ("CurrencyIsoCode",)

    order_id: str | None = None
    order_item_number: str | None = None
    product2_id: str | None = None
    pricebook_entry_id: str | None = None
    quantity: Decimal
    unit_price: Decimal | None = None
    total_price: Decimal | None = None
    description: str | None = None
    currency_iso_code: str | None = None


class Order(SObject):
    """An Order with its lines as far as they were read; `total_amount` is net of tax."""

    OPTIONAL = (
        "CurrencyIsoCode", "PoNumber", "IsReductionOrder", "ActivatedDate", "ShippingStateCode",
        "ShippingCountryCode",
    )  # fmt: skip
    CHILDREN = frozenset({"order_items"})

    order_number: str | None = None
    account_id: str | None = None
    status: str
    status_code: str
    """Category of the status: Draft, Activated, Canceled, Expired."""
    effective_date: date | None = None
    activated_date: Instant | None = None
    """Moves with each activation, so that one with other lines is noticed as a change."""
    total_amount: Decimal | None = None
    currency_iso_code: str | None = None
    is_reduction_order: Flag = False
    po_number: str | None = None
    shipping_street: str | None = None
    shipping_city: str | None = None
    shipping_state: str | None = None
    shipping_state_code: str | None = None
    shipping_postal_code: str | None = None
    shipping_country: str | None = None
    shipping_country_code: str | None = None
    bc_order_id: str | None = None
    bc_order_number: str | None = None
    bc_order_status: str | None = None
    bc_shipped_percent: Decimal | None = None
    bc_invoiced_percent: Decimal | None = None
    bc_invoice_numbers: str | None = None
    bc_invoiced_amount: Decimal | None = None
    bc_paid_amount: Decimal | None = None
    bc_open_amount: Decimal | None = None
    bc_due_date: date | None = None
    bc_payment_status: str | None = None
    bc_sync_status: str | None = None
    bc_sync_message: str | None = None
    bc_as_of: Instant | None = None
    order_items: Annotated[tuple[OrderItem, ...] | None, Field(alias="OrderItems")] = None
    """The lines; None when they were not asked for."""

    @field_validator("order_items", mode="before")
    @classmethod
    def _from_child_result(cls, value: Any) -> Any:
        if value is None:
            return ()
        if isinstance(value, Mapping):
            return value.get("records", ())
        return value


FIELDS: dict[type[SObject], tuple[str, ...]] = {
    model: tuple(
        info.alias
        for name, info in model.model_fields.items()
        if info.alias and name not in model.CHILDREN and info.alias not in model.OPTIONAL
    )
    for model in (Account, Contact, Product2, PricebookEntry, Order, OrderItem)
}
"""Per model the fields every org that is set up has; `selected_fields` adds the others."""


def selected_fields(model: type[SObject], has: Callable[[str], bool]) -> tuple[str, ...]:
    """Return the fields to select for *model* in an org whose describe answers *has(field)*."""
    return FIELDS[model] + tuple(field for field in model.OPTIONAL if has(field))


_Model = TypeVar("_Model", bound=SObject)


def parse(model: type[_Model], raw: Mapping[str, Any]) -> _Model:
    """Return *raw*, one record of an answer, as *model*.

    Raises: ContractError naming the object and the first field that does not fit.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ContractError(
            f"Salesforce answered with {model.__name__} whose field {field} does not fit: "
            f"{first['msg']}.",
            system="salesforce",
            operation=f"read {model.__name__}",
            record_id=str(raw.get("Id", "")) if isinstance(raw, Mapping) else "",
            fields=(field,),
        ) from error
