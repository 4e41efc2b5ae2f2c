"""The standard objects and fields of the org, as describe shows them."""

from dataclasses import replace
from typing import Any

from ml_connector.sandbox.salesforce.schema import Child, Field, Schema, SObject, read_only

CURRENCIES = ("USD", "EUR", "GBP", "CAD", "JPY", "CHF")
ORDER_STATUS_NAMES = ("Draft", "Activated")
USER_PERMISSIONS = (
    "ApiEnabled", "ActivateOrder", "EditActivatedOrders", "CustomizeApplication", "ModifyMetadata",
    "ModifyAllData", "ViewAllData", "ViewSetup", "AssignPermissionSets",
)  # fmt: skip
"""Permissions of a user, as UserPermissionAccess shows one's own."""


def _text(name: str, length: int, kind: str = "string", **more: Any) -> Field:
    return replace(Field(name, kind, length=length), **more)


def _pick(name: str, *values: str, restricted: bool = False, **more: Any) -> Field:
    column = Field(name, "picklist", length=255, picklist=values, restricted=restricted)
    return replace(column, **more)


def _money(name: str, precision: int = 18, scale: int = 2, **more: Any) -> Field:
    return replace(Field(name, "currency", precision=precision, scale=scale), **more)


def _double(name: str, precision: int, scale: int, **more: Any) -> Field:
    return replace(Field(name, "double", precision=precision, scale=scale), **more)


def _flag(name: str, *, default: bool = False, **more: Any) -> Field:
    column = Field(name, "boolean", nillable=False, default=default, defaulted=True)
    return replace(column, **more)


def _ref(name: str, *targets: str, relationship: str | None = None, **more: Any) -> Field:
    column = Field(
        name,
        "reference",
        length=18,
        reference_to=targets,
        relationship=relationship or name.removesuffix("Id"),
        indexed=True,
    )
    return replace(column, **more)


def _date(name: str, **more: Any) -> Field:
    return replace(Field(name, "date"), **more)


def _instant(name: str, **more: Any) -> Field:
    return replace(Field(name, "datetime"), **more)


def _address(prefix: str) -> list[Field]:
    compound = f"{prefix}Address"
    parts = [
        _text(f"{prefix}Street", 255, "textarea"),
        _text(f"{prefix}City", 40),
        _text(f"{prefix}State", 80),
        _text(f"{prefix}PostalCode", 20),
        _text(f"{prefix}Country", 80),
        _double(f"{prefix}Latitude", 18, 15),
        _double(f"{prefix}Longitude", 18, 15),
        _pick(f"{prefix}GeocodeAccuracy", "Address", "City", "Zip", "State", restricted=True),
    ]
    return [
        *(replace(part, compound=compound) for part in parts),
        read_only(Field(compound, "address")),
    ]


def _audit(*, deletable: bool = True) -> list[Field]:
    user: dict[str, Any] = {"nillable": False, "createable": False, "updateable": False}
    fields = [
        read_only(_instant("CreatedDate", nillable=False, defaulted=True)),
        _ref("CreatedById", "User", relationship="CreatedBy", **user),
        read_only(_instant("LastModifiedDate", nillable=False, defaulted=True)),
        _ref("LastModifiedById", "User", relationship="LastModifiedBy", **user),
        read_only(_instant("SystemModstamp", nillable=False, defaulted=True)),
    ]
    if deletable:
        fields.append(read_only(_flag("IsDeleted")))
    return fields


def _viewed() -> list[Field]:
    return [read_only(_instant("LastViewedDate")), read_only(_instant("LastReferencedDate"))]


def _object(
    name: str, label: str, plural: str, prefix: str, fields: list[Field], **more: Any
) -> SObject:
    identity = Field(
        "Id",
        "id",
        label=f"{label} ID",
        length=18,
        nillable=False,
        createable=False,
        updateable=False,
        defaulted=True,
        id_lookup=True,
    )
    columns = {column.name: column for column in [identity, *fields]}
    return SObject(name, label, plural, prefix, columns, **more)


_OWNER = _ref("OwnerId", "User", relationship="Owner", nillable=False, defaulted=True)
_RATINGS = ("Hot", "Warm", "Cold")
_SOURCES = ("Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other")


def _account() -> SObject:
    return _object(
        "Account",
        "Account",
        "Accounts",
        "001",
        [
            read_only(_ref("MasterRecordId", "Account", relationship="MasterRecord")),
            _text("Name", 255, label="Account Name", nillable=False, indexed=True),
            _pick("Type", "Prospect", "Customer - Direct", "Customer - Channel", "Other"),
            _ref("ParentId", "Account", relationship="Parent"),
            *_address("Billing"),
            *_address("Shipping"),
            _text("Phone", 40, "phone"),
            _text("Fax", 40, "phone"),
            _text("AccountNumber", 40, indexed=True),
            _text("Website", 255, "url"),
            _text("Sic", 20),
            _pick("Industry", "Agriculture", "Construction", "Manufacturing", "Retail", "Other"),
            _money("AnnualRevenue", 18, 0),
            Field("NumberOfEmployees", "int", precision=8),
            _pick("Ownership", "Public", "Private", "Subsidiary", "Other"),
            _text("TickerSymbol", 20),
            _text("Description", 32000, "textarea"),
            _pick("Rating", *_RATINGS),
            _text("Site", 80),
            _OWNER,
            *_audit(),
            read_only(_date("LastActivityDate")),
            *_viewed(),
            _text("Jigsaw", 20),
            _pick("AccountSource", *_SOURCES),
            _text("SicDesc", 80),
        ],
    )


def _contact() -> SObject:
    return _object(
        "Contact",
        "Contact",
        "Contacts",
        "003",
        [
            read_only(_ref("MasterRecordId", "Contact", relationship="MasterRecord")),
            _ref("AccountId", "Account"),
            _text("LastName", 80, label="Last Name", nillable=False),
            _text("FirstName", 40),
            _pick("Salutation", "Mr.", "Ms.", "Mrs.", "Dr.", "Prof."),
            read_only(_text("Name", 121, label="Full Name", nillable=False, indexed=True)),
            *_address("Other"),
            *_address("Mailing"),
            *(
                _text(name, 40, "phone")
                for name in (
                    "Phone",
                    "Fax",
                    "MobilePhone",
                    "HomePhone",
                    "OtherPhone",
                    "AssistantPhone",
                )
            ),
            _ref("ReportsToId", "Contact", relationship="ReportsTo"),
            _text("Email", 80, "email", id_lookup=True, indexed=True),
            _text("Title", 128),
            _text("Department", 80),
            _text("AssistantName", 40),
            _pick("LeadSource", *_SOURCES),
            _date("Birthdate"),
            _text("Description", 32000, "textarea"),
            _OWNER,
            _flag("HasOptedOutOfEmail"),
            _flag("HasOptedOutOfFax"),
            _flag("DoNotCall"),
            *_audit(),
            read_only(_date("LastActivityDate")),
            *_viewed(),
            _text("EmailBouncedReason", 255),
            _instant("EmailBouncedDate"),
        ],
    )


def _product() -> SObject:
    return _object(
        "Product2",
        "Product",
        "Products",
        "01t",
        [
            _text("Name", 255, label="Product Name", nillable=False, indexed=True),
            _text("ProductCode", 255, indexed=True),
            _text("Description", 4000, "textarea"),
            _flag("IsActive"),
            *_audit(),
            _pick("Family", "None"),
            _ref("ExternalDataSourceId", "ExternalDataSource"),
            _text("ExternalId", 255),
            _text("DisplayUrl", 1000, "url"),
            _pick("QuantityUnitOfMeasure", "Each"),
            read_only(_flag("IsArchived")),
            *_viewed(),
            _text("StockKeepingUnit", 180),
        ],
    )


def _price_books() -> list[SObject]:
    fixed: dict[str, Any] = {"updateable": False, "nillable": False}
    return [
        _object(
            "Pricebook2",
            "Price Book",
            "Price Books",
            "01s",
            [
                read_only(_flag("IsStandard")),
                _text("Name", 255, label="Price Book Name", nillable=False, indexed=True),
                _flag("IsActive"),
                _text("Description", 255),
                *_audit(),
                read_only(_flag("IsArchived")),
                *_viewed(),
            ],
        ),
        _object(
            "PricebookEntry",
            "Price Book Entry",
            "Price Book Entries",
            "01u",
            [
                read_only(_text("Name", 255)),
                _ref("Pricebook2Id", "Pricebook2", **fixed),
                _ref("Product2Id", "Product2", **fixed),
                _money("UnitPrice", label="List Price", nillable=False),
                _flag("IsActive"),
                _flag("UseStandardPrice"),
                *_audit(),
                read_only(_text("ProductCode", 255, indexed=True)),
                read_only(_flag("IsArchived")),
            ],
        ),
    ]


def _order() -> SObject:
    auto: dict[str, Any] = {
        "nillable": False,
        "defaulted": True,
        "auto_number": True,
        "id_lookup": True,
    }
    return _object(
        "Order",
        "Order",
        "Orders",
        "801",
        [
            _OWNER,
            _ref("ContractId", "Contract"),
            _ref("AccountId", "Account"),
            _ref("Pricebook2Id", "Pricebook2"),
            _ref("OriginalOrderId", "Order", updateable=False),
            _ref("OpportunityId", "Opportunity"),
            _date("EffectiveDate", label="Order Start Date", nillable=False),
            _date("EndDate"),
            _flag("IsReductionOrder", updateable=False),
            _pick("Status", *ORDER_STATUS_NAMES, restricted=True, nillable=False),
            _text("Description", 32000, "textarea"),
            *(
                field
                for name in ("CustomerAuthorized", "CompanyAuthorized")
                for field in (
                    _ref(
                        f"{name}ById",
                        "Contact" if name.startswith("Customer") else "User",
                        relationship=f"{name}By",
                    ),
                    _date(f"{name}Date"),
                )
            ),
            _pick("Type"),
            *_address("Billing"),
            *_address("Shipping"),
            _text("Name", 80, label="Order Name", indexed=True),
            _date("PoDate"),
            _text("PoNumber", 80, indexed=True),
            _text("OrderReferenceNumber", 80, indexed=True),
            _ref("BillToContactId", "Contact", relationship="BillToContact"),
            _ref("ShipToContactId", "Contact", relationship="ShipToContact"),
            read_only(_instant("ActivatedDate")),
            read_only(_ref("ActivatedById", "User", relationship="ActivatedBy")),
            read_only(
                _pick("StatusCode", "Draft", "Activated", "Canceled", "Expired", restricted=True)
            ),
            read_only(_text("OrderNumber", 30, indexed=True, **auto)),
            read_only(
                _money("TotalAmount", nillable=False, defaulted=True, calculated=False, default=0)
            ),
            *_audit(),
            *_viewed(),
        ],
    )


def _order_item() -> SObject:
    auto: dict[str, Any] = {
        "nillable": False,
        "defaulted": True,
        "auto_number": True,
        "id_lookup": True,
    }
    fixed: dict[str, Any] = {"updateable": False, "nillable": False}
    return _object(
        "OrderItem",
        "Order Product",
        "Order Products",
        "802",
        [
            _ref("Product2Id", "Product2", updateable=False),
            _ref("OrderId", "Order", **fixed),
            _ref("PricebookEntryId", "PricebookEntry", **fixed),
            _ref("OriginalOrderItemId", "OrderItem", updateable=False),
            read_only(_double("AvailableQuantity", 18, 2)),
            _double("Quantity", 18, 2, nillable=False),
            _money("UnitPrice", label="Unit Price"),
            read_only(_money("ListPrice")),
            read_only(_money("TotalPrice")),
            _date("ServiceDate", label="Start Date"),
            _date("EndDate"),
            _text("Description", 255),
            *_audit(),
            read_only(_text("OrderItemNumber", 30, indexed=True, **auto)),
            *_viewed(),
        ],
    )


def _opportunity() -> SObject:
    stages = ("Prospecting", "Qualification", "Negotiation/Review", "Closed Won", "Closed Lost")
    return _object(
        "Opportunity",
        "Opportunity",
        "Opportunities",
        "006",
        [
            _ref("AccountId", "Account"),
            _text("Name", 120, label="Name", nillable=False, indexed=True),
            _text("Description", 32000, "textarea"),
            _pick("StageName", *stages, nillable=False),
            _money("Amount"),
            Field("Probability", "percent", precision=3, scale=0),
            read_only(_money("ExpectedRevenue")),
            _date("CloseDate", nillable=False),
            _pick("Type", "Existing Business", "New Business"),
            _text("NextStep", 255),
            _pick("LeadSource", *_SOURCES),
            read_only(_flag("IsClosed")),
            read_only(_flag("IsWon")),
            _pick("ForecastCategoryName", "Pipeline", "Best Case", "Commit", "Omitted", "Closed"),
            _ref("Pricebook2Id", "Pricebook2"),
            read_only(_flag("HasOpportunityLineItem")),
            _OWNER,
            *_audit(),
            *_viewed(),
        ],
    )


def _setup_objects() -> list[SObject]:
    closed: dict[str, Any] = {
        "createable": False,
        "updateable": False,
        "deletable": False,
        "replicateable": False,
    }
    return [
        _object(
            "OrderStatus",
            "Order Status Value",
            "Order Status Values",
            "01J",
            [
                read_only(_text("MasterLabel", 255)),
                read_only(_text("ApiName", 255, indexed=True)),
                read_only(Field("SortOrder", "int", precision=9)),
                read_only(_flag("IsDefault")),
                read_only(_pick("StatusCode", "Draft", "Activated", restricted=True)),
                *_audit(deletable=False),
            ],
            **closed,
        ),
        _object(
            "User",
            "User",
            "Users",
            "005",
            [
                read_only(_text("Username", 80, indexed=True)),
                read_only(_text("LastName", 80)),
                read_only(_text("FirstName", 40)),
                read_only(_text("Name", 121)),
                read_only(_text("Email", 128, "email")),
                read_only(_flag("IsActive", default=True)),
                read_only(_text("Alias", 8)),
                read_only(_pick("TimeZoneSidKey", "GMT")),
                read_only(_pick("LocaleSidKey", "en_US")),
                read_only(_pick("UserType", "Standard")),
                *_audit(deletable=False),
            ],
            **closed,
        ),
        _object(
            "PermissionSet",
            "Permission Set",
            "Permission Sets",
            "0PS",
            [
                read_only(_text("Name", 80, indexed=True)),
                read_only(_text("Label", 80)),
                read_only(_flag("IsOwnedByProfile")),
                *_audit(deletable=False),
            ],
            **closed,
        ),
        _object(
            "PermissionSetAssignment",
            "Permission Set Assignment",
            "Permission Set Assignments",
            "0Pa",
            [
                _ref("AssigneeId", "User", nillable=False, updateable=False),
                _ref("PermissionSetId", "PermissionSet", nillable=False, updateable=False),
                *_audit(),
            ],
            updateable=False,
            replicateable=False,
        ),
        _object(
            "UserPermissionAccess",
            "User Permission Access",
            "User Permission Accesses",
            "0PA",
            [
                read_only(_instant("LastCacheUpdate")),
                *(read_only(_flag(f"Permissions{name}")) for name in USER_PERMISSIONS),
            ],
            **closed,
        ),
        _object(
            "Organization",
            "Organization",
            "Organizations",
            "00D",
            [
                read_only(_text("Name", 80)),
                read_only(_text("Country", 80)),
                read_only(_flag("IsSandbox")),
                read_only(_pick("OrganizationType", "Enterprise Edition", "Developer Edition")),
                read_only(_text("InstanceName", 5)),
                read_only(_text("NamespacePrefix", 15)),
                read_only(_pick("TimeZoneSidKey", "GMT")),
                read_only(_pick("DefaultLocaleSidKey", "en_US")),
                read_only(_pick("LanguageLocaleKey", "en_US")),
                read_only(_instant("TrialExpirationDate")),
                *_audit(deletable=False),
            ],
            **closed,
        ),
    ]


def _currency_type() -> SObject:
    return _object(
        "CurrencyType",
        "Currency Type",
        "Currency Types",
        "01L",
        [
            read_only(_pick("IsoCode", *CURRENCIES)),
            read_only(_double("ConversionRate", 18, 6)),
            read_only(Field("DecimalPlaces", "int", precision=9)),
            read_only(_flag("IsActive")),
            read_only(_flag("IsCorporate")),
            *_audit(deletable=False),
        ],
        createable=False,
        updateable=False,
        deletable=False,
        replicateable=False,
    )


_CHILD_NAMES = {
    ("Contact", "AccountId"): ("Contacts", True),
    ("Order", "AccountId"): ("Orders", True),
    ("Opportunity", "AccountId"): ("Opportunities", True),
    ("Account", "ParentId"): ("ChildAccounts", False),
    ("OrderItem", "OrderId"): ("OrderItems", True),
    ("OrderItem", "Product2Id"): ("OrderItems", False),
    ("OrderItem", "PricebookEntryId"): ("OrderItems", False),
    ("OrderItem", "OriginalOrderItemId"): ("ChildOrderItems", False),
    ("Order", "OriginalOrderId"): ("ReductionOrders", False),
    ("Order", "OpportunityId"): ("Orders", False),
    ("Order", "Pricebook2Id"): ("Orders", False),
    ("Order", "BillToContactId"): ("OrdersBillTo", False),
    ("Order", "ShipToContactId"): ("OrdersShipTo", False),
    ("Opportunity", "Pricebook2Id"): ("Opportunities", False),
    ("PricebookEntry", "Pricebook2Id"): ("PricebookEntries", False),
    ("PricebookEntry", "Product2Id"): ("PricebookEntries", True),
    ("Contact", "ReportsToId"): ("ChildContacts", False),
}
_PRICED = ("Account", "Contact", "Product2", "PricebookEntry", "Order", "OrderItem", "Opportunity")


def standard_schema(
    *, multi_currency: bool, orders_enabled: bool, order_statuses: tuple[str, ...]
) -> Schema:
    """The standard part of the org, before any metadata is deployed."""
    objects = [
        _account(),
        _contact(),
        _product(),
        *_price_books(),
        _opportunity(),
        *_setup_objects(),
    ]
    if orders_enabled:
        objects += [_order(), _order_item()]
    else:
        objects = [sobject for sobject in objects if sobject.name != "OrderStatus"]
    schema = Schema([*objects, _currency_type()] if multi_currency else objects)
    if multi_currency:
        _add_currencies(schema)
    if orders_enabled:
        order = schema["Order"]
        order.add(replace(order.fields["Status"], picklist=order_statuses))
    _relate(schema)
    return schema


def _add_currencies(schema: Schema) -> None:
    column = _pick("CurrencyIsoCode", *CURRENCIES, restricted=True, length=3)
    column = replace(column, nillable=False, defaulted=True, default=CURRENCIES[0], indexed=False)
    for name in _PRICED:
        if name in schema.objects:
            fixed = name == "OrderItem"
            writable = replace(column, updateable=name != "PricebookEntry")
            schema[name].add(read_only(column) if fixed else writable)


def _relate(schema: Schema) -> None:
    for sobject in schema.objects.values():
        for column in list(sobject.fields.values()):
            targets = [name for name in column.reference_to if name in schema.objects]
            found = _CHILD_NAMES.get((sobject.name, column.name))
            for target in targets if found else ():
                relationship, cascade = found or ("", False)
                schema[target].children.append(
                    Child(sobject.name, column.name, relationship, cascade)
                )
