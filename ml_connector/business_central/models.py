"""Read models of the Business Central entities the connector works with.

Python names in snake_case, the API's property names as aliases. Values are freed of the wire's
peculiarities: enum texts decoded (`In_x0020_Review` → "In Review", blank → ""), ids lower case and
"" for none, `0001-01-01` → None. What a model does not know is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)
from pydantic.alias_generators import to_camel

from ml_connector.domain.identifiers import BLANK_ID
from ml_connector.domain.money import ZERO
from ml_connector.errors import ContractError

_ENCODED_CHARACTER = re.compile(r"_x([0-9A-Fa-f]{4})_")
BLANK_DATE = "0001-01-01"
"""How BC spells "no date"; a blank time begins with it."""

_NOT_PLAIN = re.compile(r"[^A-Za-z0-9_]")


def decoded_enum(text: str | None) -> str:
    """Return an enum value as people read it, from its encoded or plain form; blank is ""."""
    return _ENCODED_CHARACTER.sub(lambda m: chr(int(m[1], 16)), text or "").strip()


def encoded_enum(text: str) -> str:
    """Return an enum value as BC writes it; "" is the blank value."""
    return _NOT_PLAIN.sub(lambda m: f"_x{ord(m[0]):04X}_", text or " ")


def without_blanks(text: str) -> str:
    """Return a wire text as people read it: decoded, trimmed, BC's blank id and date as ""."""
    plain = decoded_enum(text)
    return "" if plain == BLANK_ID or plain.startswith(BLANK_DATE) else plain


def _text(value: Any) -> Any:
    return "" if value is None else value


def _enum_text(value: Any) -> Any:
    return decoded_enum(value) if value is None or isinstance(value, str) else value


def _guid(value: Any) -> Any:
    if value is None:
        return ""
    if not isinstance(value, str):
        return value
    lowered = value.lower()
    return "" if lowered == BLANK_ID else lowered


def _blankable(value: Any) -> Any:
    if isinstance(value, str) and (not value or value.startswith(BLANK_DATE)):
        return None
    return value


def _in_utc(value: datetime | None) -> datetime | None:
    return None if value is None else value.astimezone(UTC)


def _zero(value: Any) -> Any:
    return ZERO if value is None else value


def _no(value: Any) -> Any:
    return False if value is None else value


Amount = Annotated[Decimal, BeforeValidator(_zero)]
Text = Annotated[str, BeforeValidator(_text)]
EnumText = Annotated[str, BeforeValidator(_enum_text)]
Flag = Annotated[bool, BeforeValidator(_no)]
Guid = Annotated[str, BeforeValidator(_guid)]
BlankableDate = Annotated[date | None, BeforeValidator(_blankable)]
BlankableInstant = Annotated[
    AwareDatetime | None, BeforeValidator(_blankable), AfterValidator(_in_utc)
]


class WireModel(BaseModel):
    """How every answer is read."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        validate_by_name=True,
        validate_by_alias=True,
        alias_generator=to_camel,
    )

    NAVIGATION: ClassVar[frozenset[str]] = frozenset()
    """Model fields that come from `$expand` and are no properties of the entity."""


class Entity(WireModel):
    """A record with an id of its own and a version tag."""

    id: Guid
    etag: Annotated[Text, Field(alias="@odata.etag")] = ""


class Company(Entity):
    """One company of the environment; `name` is the technical one."""

    name: Text = ""
    display_name: Text = ""


class CustomerFinancialDetail(Entity):
    """Balance and overdue amount of a customer, in local currency; computed when read."""

    number: Text = ""
    balance: Decimal
    total_sales_excluding_tax: Amount = ZERO
    overdue_amount: Decimal
    last_modified_date_time: BlankableInstant = None


class CompanyContactInformation(WireModel):
    """One contact of a customer, the company contact included; its key is `contact_id`."""

    contact_id: Guid
    contact_number: Text = ""
    contact_name: Text = ""
    contact_type: EnumText = ""
    related_id: Guid = ""
    related_type: EnumText = ""


class Customer(Entity):
    """A customer; `balance_due` and `credit_limit` are local currency."""

    NAVIGATION = frozenset({"customer_financial_detail", "contacts_information"})

    number: Text
    display_name: Text
    type: EnumText = ""
    address_line1: Text = ""
    address_line2: Text = ""
    city: Text = ""
    state: Text = ""
    country: Text = ""
    postal_code: Text = ""
    phone_number: Text = ""
    email: Text = ""
    website: Text = ""
    salesperson_code: Text = ""
    balance_due: Amount = ZERO
    credit_limit: Amount = ZERO
    tax_liable: Flag = False
    tax_area_id: Guid = ""
    tax_area_display_name: Text = ""
    tax_registration_number: Text = ""
    currency_id: Guid = ""
    currency_code: Text = ""
    payment_terms_id: Guid = ""
    shipment_method_id: Guid = ""
    payment_method_id: Guid = ""
    blocked: EnumText = ""
    last_modified_date_time: BlankableInstant = None
    customer_financial_detail: CustomerFinancialDetail | None = None
    contacts_information: tuple[CompanyContactInformation, ...] = ()


class Contact(Entity):
    """A company or person contact; `company_number` hangs a person under a company."""

    number: Text
    type: EnumText = ""
    display_name: Text = ""
    job_title: Text = ""
    company_number: Text = ""
    company_name: Text = ""
    contact_business_relation: EnumText = ""
    address_line1: Text = ""
    address_line2: Text = ""
    city: Text = ""
    state: Text = ""
    country: Text = ""
    postal_code: Text = ""
    phone_number: Text = ""
    mobile_phone_number: Text = ""
    email: Text = ""
    website: Text = ""
    search_name: Text = ""
    privacy_blocked: Flag = False
    tax_registration_number: Text = ""
    last_interaction_date: BlankableDate = None
    last_modified_date_time: BlankableInstant = None


class Item(Entity):
    """What is sold; prices are per base unit in local currency."""

    number: Text
    display_name: Text = ""
    display_name2: Text = ""
    type: EnumText = ""
    item_category_id: Guid = ""
    item_category_code: Text = ""
    blocked: Flag = False
    gtin: Text = ""
    inventory: Amount = ZERO
    unit_price: Amount = ZERO
    price_includes_tax: Flag = False
    unit_cost: Amount = ZERO
    tax_group_id: Guid = ""
    tax_group_code: Text = ""
    base_unit_of_measure_id: Guid = ""
    base_unit_of_measure_code: Text = ""
    general_product_posting_group_id: Guid = ""
    general_product_posting_group_code: Text = ""
    inventory_posting_group_id: Guid = ""
    inventory_posting_group_code: Text = ""
    last_modified_date_time: BlankableInstant = None


class UnitOfMeasure(Entity):
    """A unit, such as PCS."""

    code: Text
    display_name: Text = ""
    international_standard_code: Text = ""
    symbol: Text = ""
    last_modified_date_time: BlankableInstant = None


class Currency(Entity):
    """A foreign currency; the local one is normally not listed."""

    code: Text
    display_name: Text = ""
    symbol: Text = ""
    amount_decimal_places: Text = ""
    amount_rounding_precision: Amount = ZERO
    last_modified_date_time: BlankableInstant = None


class CountryRegion(Entity):
    """A country or region that addresses may name."""

    code: Text = ""
    display_name: Text = ""
    address_format: EnumText = ""
    last_modified_date_time: BlankableInstant = None


class PaymentTerm(Entity):
    """When an invoice falls due."""

    code: Text
    display_name: Text = ""
    due_date_calculation: Text = ""
    discount_date_calculation: Text = ""
    discount_percent: Amount = ZERO
    calculate_discount_on_credit_memos: Flag = False
    last_modified_date_time: BlankableInstant = None


class GeneralLedgerEntry(Entity):
    """One posting in the general ledger; evidence that a document was posted."""

    entry_number: int = 0
    posting_date: BlankableDate = None
    document_number: Text
    document_type: EnumText
    account_id: Guid = ""
    account_number: Text = ""
    description: Text = ""
    debit_amount: Amount = ZERO
    credit_amount: Amount = ZERO
    additional_currency_debit_amount: Amount = ZERO
    additional_currency_credit_amount: Amount = ZERO
    last_modified_date_time: BlankableInstant = None


class DocumentLine(Entity):
    """What the lines of every sales document have in common."""

    document_id: Guid = ""
    sequence: int = 0
    line_type: EnumText = ""
    line_object_number: Text = ""
    description: Text = ""
    description2: Text = ""
    unit_of_measure_code: Text = ""
    quantity: Decimal
    unit_price: Decimal
    discount_percent: Amount = ZERO
    tax_percent: Amount = ZERO
    shipment_date: BlankableDate = None


class PricedLine(DocumentLine):
    """A line with amounts; `net_amount` is after all discounts and before tax."""

    item_id: Guid = ""
    account_id: Guid = ""
    item_variant_id: Guid = ""
    location_id: Guid = ""
    unit_of_measure_id: Guid = ""
    discount_amount: Amount = ZERO
    discount_applied_before_tax: Flag = False
    amount_excluding_tax: Amount = ZERO
    tax_code: Text = ""
    total_tax_amount: Amount = ZERO
    amount_including_tax: Amount = ZERO
    invoice_discount_allocation: Amount = ZERO
    net_amount: Decimal
    net_tax_amount: Amount = ZERO
    net_amount_including_tax: Amount = ZERO


class SalesOrderLine(PricedLine):
    """One line of a sales order; `ship_quantity` is what the next posting will ship."""

    shipped_quantity: Decimal
    invoiced_quantity: Decimal
    ship_quantity: Amount = ZERO
    invoice_quantity: Amount = ZERO


class SalesInvoiceLine(PricedLine):
    """One line of a draft or posted invoice."""


class SalesCreditMemoLine(PricedLine):
    """One line of a credit memo."""


class SalesShipmentLine(DocumentLine):
    """One line of a posted shipment."""

    document_no: Text = ""


class Document(Entity):
    """What the headers of all sales documents have in common."""

    NAVIGATION = frozenset({"lines"})

    number: Text
    external_document_number: Text = ""
    posting_date: BlankableDate = None
    customer_id: Guid = ""
    customer_number: Text = ""
    customer_name: Text = ""
    bill_to_name: Text = ""
    bill_to_customer_id: Guid = ""
    bill_to_customer_number: Text = ""
    sell_to_address_line1: Text = ""
    sell_to_address_line2: Text = ""
    sell_to_city: Text = ""
    sell_to_country: Text = ""
    sell_to_state: Text = ""
    sell_to_post_code: Text = ""
    bill_to_address_line1: Text = ""
    bill_to_address_line2: Text = ""
    bill_to_city: Text = ""
    bill_to_country: Text = ""
    bill_to_state: Text = ""
    bill_to_post_code: Text = ""
    currency_code: Text = ""
    salesperson: Text = ""
    prices_include_tax: Flag = False
    phone_number: Text = ""
    email: Text = ""
    last_modified_date_time: BlankableInstant = None

    @property
    def lines_were_read(self) -> bool:
        """Tell whether the answer carried the document's lines; without them `lines` is empty."""
        return "lines" in self.model_fields_set


class ShippedDocument(Document):
    """A document that goes to an address."""

    ship_to_name: Text = ""
    ship_to_contact: Text = ""
    ship_to_address_line1: Text = ""
    ship_to_address_line2: Text = ""
    ship_to_city: Text = ""
    ship_to_country: Text = ""
    ship_to_state: Text = ""
    ship_to_post_code: Text = ""


class SalesOrder(ShippedDocument):
    """A sales order; gone once everything is invoiced."""

    order_date: BlankableDate = None
    requested_delivery_date: BlankableDate = None
    shortcut_dimension1_code: Text = ""
    shortcut_dimension2_code: Text = ""
    currency_id: Guid = ""
    payment_terms_id: Guid = ""
    shipment_method_id: Guid = ""
    partial_shipping: Flag = False
    fully_shipped: Flag = False
    discount_amount: Amount = ZERO
    discount_applied_before_tax: Flag = False
    total_amount_excluding_tax: Decimal
    total_tax_amount: Amount = ZERO
    total_amount_including_tax: Decimal
    status: EnumText
    """Draft (editable), In Review, Open (released)."""
    lines: Annotated[tuple[SalesOrderLine, ...], Field(alias="salesOrderLines")] = ()


class SalesInvoice(ShippedDocument):
    """A draft or posted invoice; `remaining_amount` is computed when read."""

    invoice_date: BlankableDate = None
    due_date: BlankableDate = None
    promised_pay_date: BlankableDate = None
    customer_purchase_order_reference: Text = ""
    currency_id: Guid = ""
    shortcut_dimension1_code: Text = ""
    shortcut_dimension2_code: Text = ""
    order_id: Guid = ""
    order_number: Text = ""
    payment_terms_id: Guid = ""
    shipment_method_id: Guid = ""
    dispute_status_id: Guid = ""
    dispute_status: Text = ""
    discount_amount: Amount = ZERO
    discount_applied_before_tax: Flag = False
    total_amount_excluding_tax: Decimal
    total_tax_amount: Amount = ZERO
    total_amount_including_tax: Decimal
    remaining_amount: Decimal
    status: EnumText
    """Draft, In Review, Open, Paid, Canceled, Corrective, or blank."""
    lines: Annotated[tuple[SalesInvoiceLine, ...], Field(alias="salesInvoiceLines")] = ()


class SalesShipment(ShippedDocument):
    """A posted shipment; it names its order by `order_number` only."""

    invoice_date: BlankableDate = None
    due_date: BlankableDate = None
    customer_purchase_order_reference: Text = ""
    order_number: Text = ""
    payment_terms_code: Text = ""
    shipment_method_code: Text = ""
    lines: Annotated[tuple[SalesShipmentLine, ...], Field(alias="salesShipmentLines")] = ()


class SalesCreditMemo(Document):
    """A credit memo; `invoice_id` is the invoice it applies to."""

    credit_memo_date: BlankableDate = None
    due_date: BlankableDate = None
    shortcut_dimension1_code: Text = ""
    shortcut_dimension2_code: Text = ""
    currency_id: Guid = ""
    payment_terms_id: Guid = ""
    shipment_method_id: Guid = ""
    discount_amount: Amount = ZERO
    discount_applied_before_tax: Flag = False
    total_amount_excluding_tax: Decimal
    total_tax_amount: Amount = ZERO
    total_amount_including_tax: Decimal
    status: EnumText
    """Draft, In Review, Open, Paid, Canceled or Corrective."""
    invoice_id: Guid = ""
    invoice_number: Text = ""
    customer_return_reason_id: Guid = ""
    lines: Annotated[tuple[SalesCreditMemoLine, ...], Field(alias="salesCreditMemoLines")] = ()


ENTITY_SETS: dict[str, type[WireModel]] = {
    "companies": Company,
    "contacts": Contact,
    "contactsInformation": CompanyContactInformation,
    "countriesRegions": CountryRegion,
    "currencies": Currency,
    "customerFinancialDetails": CustomerFinancialDetail,
    "customers": Customer,
    "generalLedgerEntries": GeneralLedgerEntry,
    "items": Item,
    "paymentTerms": PaymentTerm,
    "salesCreditMemos": SalesCreditMemo,
    "salesInvoices": SalesInvoice,
    "salesOrderLines": SalesOrderLine,
    "salesOrders": SalesOrder,
    "salesShipments": SalesShipment,
    "unitsOfMeasure": UnitOfMeasure,
}
"""The model that reads each entity set."""

PROPERTIES: dict[type[WireModel], tuple[str, ...]] = {
    model: tuple(
        info.alias
        for name, info in model.model_fields.items()
        if info.alias and name != "etag" and name not in model.NAVIGATION
    )
    for model in ENTITY_SETS.values()
}
"""Per model the API's property names, as `$select` and field mappings spell them."""


PropertyKind = Literal["enum", "id", "number", "flag", "date", "text"]


def kind_of(model: type[WireModel], property_name: str) -> PropertyKind:
    """Return what a property of *model* holds; an instant is a "date" too."""
    info = next(each for each in model.model_fields.values() if each.alias == property_name)
    reads = {getattr(part, "func", None) for part in info.metadata}
    if _enum_text in reads:
        return "enum"
    if _guid in reads:
        return "id"
    if info.annotation in (Decimal, int):
        return "number"
    if info.annotation is bool:
        return "flag"
    return "text" if info.annotation is str else "date"


_Model = TypeVar("_Model", bound=WireModel)


def parse(model: type[_Model], raw: Mapping[str, Any]) -> _Model:
    """Return *raw*, one record of an answer, as *model*.

    Raises: ContractError naming the entity and the first property that does not fit.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ContractError(
            f"Business Central answered with {model.__name__} whose property {field} does not "
            f"fit: {first['msg']}.",
            system="business_central",
            operation=f"read {model.__name__}",
            record_id=str(raw.get("id", "")) if isinstance(raw, Mapping) else "",
            fields=(field,),
        ) from error
