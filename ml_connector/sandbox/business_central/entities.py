"""The entity sets of API v2.0 as the sandbox knows them: fields, enums, navigation, rules."""

from dataclasses import dataclass, field
from functools import cache

from ml_connector.sandbox.business_central.field_tables import FIELD_TABLES

BLANK_GUID = "00000000-0000-0000-0000-000000000000"
BLANK_DATE = "0001-01-01"
BLANK_TIME = "0001-01-01T00:00:00.000Z"
BLANK = "_x0020_"

_DOCUMENT_STATUS = ("Draft", "In Review", "Open", "Canceled", "Corrective", "Paid")
_LINE_TYPE = (
    "Comment",
    "Account",
    "Item",
    "Resource",
    "Fixed Asset",
    "Charge",
    "Allocation Account",
)

ENUMS: dict[str, tuple[str, ...]] = {
    "customers.type": ("Company", "Person"),
    "customers.blocked": (" ", "Ship", "Invoice", "All"),
    "contacts.type": ("Company", "Person"),
    "contacts.contactBusinessRelation": (
        " ",
        "Customer",
        "Vendor",
        "Bank Account",
        "Employee",
        "None",
        "Other",
        "Multiple",
    ),
    "contactsInformation.contactType": ("Company", "Person"),
    "contactsInformation.relatedType": ("Customer", "Vendor", "Bank Account", "Employee"),
    "items.type": ("Inventory", "Service", "Non-Inventory"),
    "salesOrders.status": ("Draft", "In Review", "Open"),
    "salesInvoices.status": (" ", *_DOCUMENT_STATUS),
    "salesCreditMemos.status": _DOCUMENT_STATUS,
    "salesOrderLines.lineType": _LINE_TYPE,
    "salesInvoiceLines.lineType": _LINE_TYPE,
    "salesCreditMemoLines.lineType": _LINE_TYPE,
    "salesShipmentLines.lineType": _LINE_TYPE,
    "generalLedgerEntries.documentType": (
        " ",
        "Payment",
        "Invoice",
        "Credit Memo",
        "Finance Charge Memo",
        "Reminder",
        "Refund",
    ),
    "accounts.category": (
        " ",
        "Assets",
        "Liabilities",
        "Equity",
        "Income",
        "Cost of Goods Sold",
        "Expense",
    ),
    "accounts.accountType": ("Posting", "Heading", "Total", "Begin-Total", "End-Total"),
    "accounts.consolidationTranslationMethod": ("Average Rate (Manual)", "Closing Rate"),
    "defaultDimensions.parentType": (" ", "Customer", "Item", "Vendor", "Employee"),
    "defaultDimensions.postingValidation": (
        " ",
        "Code Mandatory",
        "Same Code",
        "No Code",
    ),
    "dimensionSetLines.parentType": (
        " ",
        "Sales Order",
        "Sales Invoice",
        "Sales Credit Memo",
        "Sales Order Line",
        "Sales Invoice Line",
        "Sales Credit Memo Line",
    ),
    "taxAreas.taxType": ("Sales Tax", "VAT"),
    "taxGroups.taxType": ("Sales Tax", "VAT"),
    "countriesRegions.addressFormat": (
        "Post Code+City",
        "City+Post Code",
        "City+County+Post Code",
        "Blank Line+Post Code+City",
        "City+County+New Line+Post Code",
        "Post Code+City+County",
        "Custom",
    ),
}

_CALCULATED: dict[str, frozenset[str]] = {
    "customers": frozenset({"currencyCode", "balanceDue", "taxAreaDisplayName"}),
    "items": frozenset({"inventory"}),
    "salesOrders": frozenset({"currencyCode", "partialShipping"}),
    "salesInvoices": frozenset({"currencyCode", "remainingAmount"}),
    "salesCreditMemos": frozenset({"currencyCode", "invoiceId"}),
    "customerFinancialDetails": frozenset({"balance", "totalSalesExcludingTax", "overdueAmount"}),
}


def encode_option(option: str) -> str:
    """An enum value in the form OData names allow."""
    return "".join(
        character
        if (character.isascii() and character.isalnum()) or character == "_"
        else f"_x{ord(character):04X}_"
        for character in option
    )


def decode_option(text: str) -> str:
    """The caption of an enum value given encoded or plain."""
    out, rest = "", text
    while rest:
        if rest.startswith("_x") and len(rest) >= 7 and rest[6] == "_":
            try:
                out, rest = out + chr(int(rest[2:6], 16)), rest[7:]
                continue
            except ValueError:
                pass
        out, rest = out + rest[0], rest[1:]
    return out


@dataclass(frozen=True, slots=True)
class Field:
    """A control of an API page."""

    name: str
    type: str
    length: int
    read_only: bool
    calculated: bool
    options: tuple[str, ...] = ()

    @property
    def blank(self) -> object:
        """What the field holds when nothing was entered."""
        if self.type == "enum":
            return encode_option(self.options[0])
        return _BLANKS[self.type]


_BLANKS: dict[str, object] = {
    "guid": BLANK_GUID,
    "code": "",
    "text": "",
    "formula": "",
    "decimal": 0,
    "int": 0,
    "bool": False,
    "date": BLANK_DATE,
    "datetime": BLANK_TIME,
}


@dataclass(frozen=True, slots=True)
class Navigation:
    """A navigation property: the set it leads to, and how rows of that set are found.

    `by` names (field of the target, field of this entity); without it `views` knows the way, and
    with an empty target the service has nothing there for the sandbox (pictures, documents).
    """

    target: str
    single: bool = False
    by: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Entity:
    """An entity set."""

    name: str
    type_name: str
    verbs: str
    order: tuple[str, ...]
    fields: dict[str, Field] = field(compare=False)
    navigation: dict[str, Navigation] = field(default_factory=dict, compare=False)
    key: str = "id"
    derived: bool = False

    @property
    def has_stamp(self) -> bool:
        """Whether rows carry the time of their last change."""
        return "lastModifiedDateTime" in self.fields


def _fields(name: str) -> dict[str, Field]:
    fields = {}
    for part in FIELD_TABLES[name].split(","):
        title, kind = part.split()
        read_only = title.endswith("*")
        title = title.rstrip("*")
        base = kind.rstrip("0123456789")
        fields[title] = Field(
            name=title,
            type=base,
            length=int(kind[len(base) :] or 0),
            read_only=read_only,
            calculated=title in _CALCULATED.get(name, ()),
            options=ENUMS[f"{name}.{title}"] if base == "enum" else (),
        )
    return fields


_NOTHING = Navigation("")
_NO_OBJECT = Navigation("", single=True)
_DOCUMENT_EXTRAS = {
    "dimensionSetLines": Navigation("dimensionSetLines", by=("parentId", "id")),
    "pdfDocument": _NO_OBJECT,
    "attachments": _NOTHING,
    "documentAttachments": _NOTHING,
}
_DIMENSIONS = {"dimensionSetLines": Navigation("dimensionSetLines", by=("parentId", "id"))}


def _single(target: str, own: str) -> Navigation:
    return Navigation(target, single=True, by=("id", own))


_DOCUMENT_LINKS = {
    "customer": _single("customers", "customerId"),
    "currency": _single("currencies", "currencyId"),
    "paymentTerm": _single("paymentTerms", "paymentTermsId"),
    "shipmentMethod": _single("shipmentMethods", "shipmentMethodId"),
    **_DOCUMENT_EXTRAS,
}
_LINE_LINKS = {
    "item": _single("items", "itemId"),
    "account": _single("accounts", "accountId"),
    "unitOfMeasure": _single("unitsOfMeasure", "unitOfMeasureId"),
    "location": _single("locations", "locationId"),
    **_DIMENSIONS,
}


def _lines(target: str) -> dict[str, Navigation]:
    return {target: Navigation(target, by=("documentId", "id"))}


def _entity(
    name: str,
    type_name: str,
    verbs: str = "GPMD",
    order: str = "code",
    navigation: dict[str, Navigation] | None = None,
    key: str = "id",
    *,
    derived: bool = False,
) -> Entity:
    return Entity(
        name,
        type_name,
        verbs,
        tuple(order.split()),
        _fields(name),
        navigation or {},
        key,
        derived,
    )


ENTITIES: dict[str, Entity] = {
    entity.name: entity
    for entity in (
        _entity("companies", "company", "G", "name"),
        _entity("companyInformation", "companyInformation", "GM", "id"),
        _entity(
            "customers",
            "customer",
            order="number",
            navigation={
                "customerFinancialDetail": _single("customerFinancialDetails", "id"),
                "agedAccountsReceivable": Navigation(
                    "agedAccountsReceivables", single=True, by=("customerId", "id")
                ),
                "contactsInformation": Navigation("contactsInformation"),
                "currency": _single("currencies", "currencyId"),
                "paymentTerm": _single("paymentTerms", "paymentTermsId"),
                "shipmentMethod": _single("shipmentMethods", "shipmentMethodId"),
                "paymentMethod": _single("paymentMethods", "paymentMethodId"),
                "defaultDimensions": Navigation("defaultDimensions", by=("parentId", "id")),
                "picture": _NO_OBJECT,
                "documentAttachments": _NOTHING,
            },
        ),
        _entity("contacts", "contact", order="number", navigation={"picture": _NO_OBJECT}),
        _entity(
            "contactsInformation",
            "contactInformation",
            "G",
            "contactNumber",
            {"contact": _single("contacts", "contactId")},
            key="contactId",
            derived=True,
        ),
        _entity(
            "customerContacts",
            "customerContact",
            "G",
            "id",
            {"pdfDocument": _NO_OBJECT},
            derived=True,
        ),
        _entity(
            "items",
            "item",
            order="number",
            navigation={
                "inventoryPostingGroup": _single(
                    "inventoryPostingGroups", "inventoryPostingGroupId"
                ),
                "generalProductPostingGroup": _single(
                    "generalProductPostingGroups", "generalProductPostingGroupId"
                ),
                "unitOfMeasure": _single("unitsOfMeasure", "baseUnitOfMeasureId"),
                "itemCategory": _single("itemCategories", "itemCategoryId"),
                "itemVariants": Navigation("itemVariants", by=("itemId", "id")),
                "defaultDimensions": Navigation("defaultDimensions", by=("parentId", "id")),
                "picture": _NO_OBJECT,
                "documentAttachments": _NOTHING,
            },
        ),
        _entity("itemCategories", "itemCategory"),
        _entity(
            "itemVariants",
            "itemVariant",
            order="itemNumber code",
            navigation={"item": _single("items", "itemId"), "picture": _NO_OBJECT},
        ),
        _entity("unitsOfMeasure", "unitOfMeasure"),
        _entity(
            "salesOrders",
            "salesOrder",
            order="number",
            navigation={**_DOCUMENT_LINKS, **_lines("salesOrderLines")},
        ),
        _entity("salesOrderLines", "salesOrderLine", order="sequence", navigation=_LINE_LINKS),
        _entity(
            "salesInvoices",
            "salesInvoice",
            order="number",
            navigation={**_DOCUMENT_LINKS, **_lines("salesInvoiceLines")},
        ),
        _entity("salesInvoiceLines", "salesInvoiceLine", order="sequence", navigation=_LINE_LINKS),
        _entity(
            "salesCreditMemos",
            "salesCreditMemo",
            order="number",
            navigation={**_DOCUMENT_LINKS, **_lines("salesCreditMemoLines")},
        ),
        _entity(
            "salesCreditMemoLines", "salesCreditMemoLine", order="sequence", navigation=_LINE_LINKS
        ),
        _entity(
            "salesShipments",
            "salesShipment",
            "G",
            "number",
            {
                "customer": _single("customers", "customerId"),
                **_DOCUMENT_EXTRAS,
                **_lines("salesShipmentLines"),
            },
        ),
        _entity("salesShipmentLines", "salesShipmentLine", "G", "sequence", _DIMENSIONS),
        _entity(
            "customerPaymentJournals",
            "customerPaymentJournal",
            navigation={
                "account": _single("accounts", "balancingAccountId"),
                "customerPayments": Navigation("customerPayments", by=("journalId", "id")),
            },
        ),
        _entity(
            "customerPayments",
            "customerPayment",
            order="lineNumber",
            navigation={"customer": _single("customers", "customerId"), **_DIMENSIONS},
        ),
        _entity("customerFinancialDetails", "customerFinancialDetail", "G", "number", derived=True),
        _entity(
            "agedAccountsReceivables",
            "agedAccountsReceivable",
            "G",
            "customerNumber",
            key="customerId",
            derived=True,
        ),
        _entity(
            "generalLedgerEntries",
            "generalLedgerEntry",
            "G",
            "entryNumber",
            {
                "account": _single("accounts", "accountId"),
                "attachments": _NOTHING,
                **_DIMENSIONS,
            },
        ),
        _entity("accounts", "account", "G", "number"),
        _entity(
            "dimensions",
            "dimension",
            "G",
            navigation={"dimensionValues": Navigation("dimensionValues", by=("dimensionId", "id"))},
        ),
        _entity("dimensionValues", "dimensionValue", "G", "dimensionId code"),
        _entity("defaultDimensions", "defaultDimension", order="dimensionCode"),
        _entity("dimensionSetLines", "dimensionSetLine", order="code"),
        _entity("currencies", "currency"),
        _entity("paymentTerms", "paymentTerm"),
        _entity("paymentMethods", "paymentMethod"),
        _entity("shipmentMethods", "shipmentMethod"),
        _entity("taxAreas", "taxArea"),
        _entity("taxGroups", "taxGroup"),
        _entity("locations", "location"),
        _entity("salespeoplePurchasers", "salespersonPurchaser"),
        _entity("countriesRegions", "countryRegion"),
        _entity("generalProductPostingGroups", "generalProductPostingGroup", "G"),
        _entity("inventoryPostingGroups", "inventoryPostingGroup", "G"),
    )
}

NEEDS_PARENT: dict[str, tuple[str, str]] = {
    "salesOrderLines": ("documentId", "Give an Id or a Document Id to read lines."),
    "salesInvoiceLines": ("documentId", "Give an Id or a Document Id to read lines."),
    "salesCreditMemoLines": ("documentId", "Give an Id or a Document Id to read lines."),
    "salesShipmentLines": ("documentId", "Give an Id or a Document Id to read lines."),
    "customerPayments": ("journalId", "Give a journal ID to read a journal line."),
    "contactsInformation": ("relatedId", "The type of the id is not specified."),
    "defaultDimensions": ("parentId", "Give the parent's ID to read its dimensions."),
    "dimensionSetLines": ("parentId", "Give the parent's ID to read its dimensions."),
}
"""Sets that cannot be listed flat: the field that must be filtered, and the refusal."""

LINES: dict[str, str] = {
    "salesOrders": "salesOrderLines",
    "salesInvoices": "salesInvoiceLines",
    "salesCreditMemos": "salesCreditMemoLines",
    "salesShipments": "salesShipmentLines",
}
HEADERS: dict[str, str] = {lines: header for header, lines in LINES.items()}

INDEXED: dict[str, tuple[str, ...]] = {
    "customers": ("number", "displayName", "taxRegistrationNumber", "email", "postalCode"),
    "contacts": ("number", "companyNumber", "email", "_customer"),
    "items": ("number", "gtin"),
    "salesOrders": ("number", "externalDocumentNumber", "customerId", "customerNumber", "status"),
    "salesInvoices": (
        "number",
        "externalDocumentNumber",
        "customerId",
        "customerNumber",
        "orderId",
        "orderNumber",
        "status",
    ),
    "salesCreditMemos": (
        "number",
        "externalDocumentNumber",
        "customerId",
        "invoiceNumber",
        "_invoice",
        "status",
    ),
    "salesShipments": ("number", "externalDocumentNumber", "customerId", "orderNumber"),
    "salesOrderLines": ("documentId",),
    "salesInvoiceLines": ("documentId",),
    "salesCreditMemoLines": ("documentId",),
    "salesShipmentLines": ("documentId",),
    "itemVariants": ("itemId",),
    "customerPayments": ("journalId",),
    "dimensionValues": ("dimensionId",),
    "defaultDimensions": ("parentId",),
    "dimensionSetLines": ("parentId",),
    "generalLedgerEntries": ("documentNumber", "documentType"),
    "accounts": ("number",),
}
"""Fields the tables are indexed by; every set with a code is indexed by it too."""


@cache
def singular_to_set() -> dict[str, str]:
    """The entity set of each entity type."""
    return {entity.type_name: entity.name for entity in ENTITIES.values()}
