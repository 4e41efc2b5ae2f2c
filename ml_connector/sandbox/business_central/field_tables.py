"""The fields of every entity set: name, `*` for read only, type with its length.

Types: code and text carry their greatest length, formula is a date formula, enum values are in
`entities.ENUMS`. The order is the one the answers have.
"""

FIELD_TABLES: dict[str, str] = {
    "companies": """
        id* guid, systemVersion* text250, timestamp* int, name* text30, displayName* text250,
        businessProfileId* text250, systemCreatedAt* datetime, systemCreatedBy* guid,
        systemModifiedAt* datetime, systemModifiedBy* guid
    """,
    "customers": """
        id* guid, number code20, displayName text100, type enum, addressLine1 text100, addressLine2
        text50, city text30, state text30, country code10, postalCode code20, phoneNumber text30,
        email text80, website text255, salespersonCode code20, balanceDue* decimal, creditLimit
        decimal, taxLiable bool, taxAreaId guid, taxAreaDisplayName* text100, taxRegistrationNumber
        text50, currencyId guid, currencyCode code10, paymentTermsId guid, shipmentMethodId guid,
        paymentMethodId guid, blocked enum, lastModifiedDateTime* datetime
    """,
    "contacts": """
        id* guid, number code20, type enum, displayName text100, jobTitle text30, companyNumber
        code20, companyName text100, contactBusinessRelation enum, addressLine1 text100,
        addressLine2 text50, city text30, state text30, country code10, postalCode code20,
        phoneNumber text30, mobilePhoneNumber text30, email text80, website text255, searchName
        code100, privacyBlocked bool, taxRegistrationNumber text50, lastInteractionDate* date,
        lastModifiedDateTime* datetime
    """,
    "contactsInformation": """
        contactId* guid, contactNumber* code20, contactName* text100, contactType* enum, relatedId*
        guid, relatedType* enum
    """,
    "customerContacts": """
        id* guid, email text80, firstName text30, lastName text30, professionalTitle text30,
        customerId guid, customerName* text100, primaryPhoneNumber text30
    """,
    "items": """
        id* guid, number code20, displayName text100, displayName2 text50, type enum, itemCategoryId
        guid, itemCategoryCode code20, blocked bool, gtin code14, inventory decimal, unitPrice
        decimal, priceIncludesTax bool, unitCost decimal, taxGroupId guid, taxGroupCode code20,
        baseUnitOfMeasureId guid, baseUnitOfMeasureCode code10, generalProductPostingGroupId guid,
        generalProductPostingGroupCode code20, inventoryPostingGroupId guid,
        inventoryPostingGroupCode code20, lastModifiedDateTime* datetime
    """,
    "itemCategories": """
        id* guid, code code20, displayName text100, lastModifiedDateTime* datetime
    """,
    "itemVariants": """
        id* guid, itemId guid, itemNumber code20, code code10, description text100,
        lastModifiedDateTime* datetime
    """,
    "unitsOfMeasure": """
        id* guid, code code10, displayName text50, internationalStandardCode code10, symbol text10,
        lastModifiedDateTime* datetime
    """,
    "salesOrders": """
        id* guid, number* code20, externalDocumentNumber code35, orderDate date, postingDate date,
        customerId guid, customerNumber code20, customerName* text100, billToName* text100,
        billToCustomerId guid, billToCustomerNumber code20, shipToName text100, shipToContact
        text100, sellToAddressLine1 text100, sellToAddressLine2 text50, sellToCity text30,
        sellToCountry code10, sellToState text30, sellToPostCode code20, billToAddressLine1*
        text100, billToAddressLine2* text50, billToCity* text30, billToCountry* code10, billToState*
        text30, billToPostCode* code20, shipToAddressLine1 text100, shipToAddressLine2 text50,
        shipToCity text30, shipToCountry code10, shipToState text30, shipToPostCode code20,
        shortcutDimension1Code code20, shortcutDimension2Code code20, currencyId guid, currencyCode
        code10, pricesIncludeTax bool, paymentTermsId guid, shipmentMethodId guid, salesperson
        code20, partialShipping bool, requestedDeliveryDate date, discountAmount decimal,
        discountAppliedBeforeTax* bool, totalAmountExcludingTax* decimal, totalTaxAmount* decimal,
        totalAmountIncludingTax* decimal, fullyShipped bool, status* enum, lastModifiedDateTime*
        datetime, phoneNumber text30, email text80
    """,
    "salesOrderLines": """
        id* guid, documentId guid, sequence int, itemId guid, accountId guid, lineType enum,
        lineObjectNumber code20, description text100, description2 text50, unitOfMeasureId guid,
        unitOfMeasureCode code10, quantity decimal, unitPrice decimal, discountAmount decimal,
        discountPercent decimal, discountAppliedBeforeTax* bool, amountExcludingTax* decimal,
        taxCode code50, taxPercent* decimal, totalTaxAmount* decimal, amountIncludingTax* decimal,
        invoiceDiscountAllocation* decimal, netAmount* decimal, netTaxAmount* decimal,
        netAmountIncludingTax* decimal, shipmentDate date, shippedQuantity decimal, invoicedQuantity
        decimal, invoiceQuantity decimal, shipQuantity decimal, itemVariantId guid, locationId guid
    """,
    "salesInvoices": """
        id* guid, number* code20, externalDocumentNumber code35, invoiceDate date, postingDate date,
        dueDate date, promisedPayDate date, customerPurchaseOrderReference text35, customerId guid,
        customerNumber code20, customerName* text100, billToName* text100, billToCustomerId guid,
        billToCustomerNumber code20, shipToName text100, shipToContact text100, sellToAddressLine1
        text100, sellToAddressLine2 text50, sellToCity text30, sellToCountry code10, sellToState
        text30, sellToPostCode code20, billToAddressLine1* text100, billToAddressLine2* text50,
        billToCity* text30, billToCountry* code10, billToState* text30, billToPostCode* code20,
        shipToAddressLine1 text100, shipToAddressLine2 text50, shipToCity text30, shipToCountry
        code10, shipToState text30, shipToPostCode code20, currencyId guid, shortcutDimension1Code
        code20, shortcutDimension2Code code20, currencyCode code10, orderId* guid, orderNumber*
        code20, paymentTermsId guid, shipmentMethodId guid, salesperson code20, disputeStatusId
        guid, disputeStatus code10, pricesIncludeTax* bool, remainingAmount* decimal, discountAmount
        decimal, discountAppliedBeforeTax* bool, totalAmountExcludingTax* decimal, totalTaxAmount*
        decimal, totalAmountIncludingTax* decimal, status* enum, lastModifiedDateTime* datetime,
        phoneNumber text30, email text80
    """,
    "salesInvoiceLines": """
        id* guid, documentId guid, sequence int, itemId guid, accountId guid, lineType enum,
        lineObjectNumber code20, description text100, description2 text50, unitOfMeasureId guid,
        unitOfMeasureCode code10, quantity decimal, unitPrice decimal, discountAmount decimal,
        discountPercent decimal, discountAppliedBeforeTax* bool, amountExcludingTax* decimal,
        taxCode code50, taxPercent* decimal, totalTaxAmount* decimal, amountIncludingTax* decimal,
        invoiceDiscountAllocation* decimal, netAmount* decimal, netTaxAmount* decimal,
        netAmountIncludingTax* decimal, shipmentDate date, itemVariantId guid, locationId guid
    """,
    "salesShipments": """
        id* guid, number* code20, externalDocumentNumber* code35, invoiceDate* date, postingDate*
        date, dueDate* date, customerPurchaseOrderReference* text35, customerId* guid,
        customerNumber* code20, customerName* text100, billToCustomerId* guid, billToName* text100,
        billToCustomerNumber* code20, shipToName* text100, shipToContact* text100,
        sellToAddressLine1* text100, sellToAddressLine2* text50, sellToCity* text30, sellToCountry*
        code10, sellToState* text30, sellToPostCode* code20, billToAddressLine1* text100,
        billToAddressLine2* text50, billToCity* text30, billToCountry* code10, billToState* text30,
        billToPostCode* code20, shipToAddressLine1* text100, shipToAddressLine2* text50, shipToCity*
        text30, shipToCountry* code10, shipToState* text30, shipToPostCode* code20, currencyCode*
        code10, orderNumber* code20, paymentTermsCode* code10, shipmentMethodCode* code10,
        salesperson* code20, pricesIncludeTax* bool, lastModifiedDateTime* datetime, phoneNumber*
        text30, email* text80
    """,
    "salesShipmentLines": """
        id* guid, documentId* guid, documentNo* code20, sequence* int, lineType* enum,
        lineObjectNumber* code20, description* text100, description2* text50, unitOfMeasureCode*
        code10, unitPrice* decimal, quantity* decimal, discountPercent* decimal, taxPercent*
        decimal, shipmentDate* date
    """,
    "salesCreditMemos": """
        id* guid, number* code20, externalDocumentNumber code35, creditMemoDate date, postingDate
        date, dueDate date, customerId guid, customerNumber code20, customerName* text100,
        billToName* text100, billToCustomerId guid, billToCustomerNumber code20, sellToAddressLine1
        text100, sellToAddressLine2 text50, sellToCity text30, sellToCountry code10, sellToState
        text30, sellToPostCode code20, billToAddressLine1 text100, billToAddressLine2 text50,
        billToCity text30, billToCountry code10, billToState text30, billToPostCode code20,
        shortcutDimension1Code code20, shortcutDimension2Code code20, currencyId guid, currencyCode
        code10, paymentTermsId guid, shipmentMethodId guid, salesperson code20, pricesIncludeTax*
        bool, discountAmount decimal, discountAppliedBeforeTax* bool, totalAmountExcludingTax*
        decimal, totalTaxAmount* decimal, totalAmountIncludingTax* decimal, status* enum,
        lastModifiedDateTime* datetime, invoiceId guid, invoiceNumber code20, phoneNumber text30,
        email text80, customerReturnReasonId guid
    """,
    "salesCreditMemoLines": """
        id* guid, documentId guid, sequence int, itemId guid, accountId guid, lineType enum,
        lineObjectNumber code20, description text100, description2 text50, unitOfMeasureId guid,
        unitOfMeasureCode code10, unitPrice decimal, quantity decimal, discountAmount decimal,
        discountPercent decimal, discountAppliedBeforeTax* bool, amountExcludingTax* decimal,
        taxCode code50, taxPercent* decimal, totalTaxAmount* decimal, amountIncludingTax* decimal,
        invoiceDiscountAllocation* decimal, netAmount* decimal, netTaxAmount* decimal,
        netAmountIncludingTax* decimal, shipmentDate date, itemVariantId guid, locationId guid
    """,
    "customerPaymentJournals": """
        id* guid, code code10, displayName text100, lastModifiedDateTime* datetime,
        balancingAccountId guid, balancingAccountNumber* code20
    """,
    "customerPayments": """
        id* guid, journalId guid, journalDisplayName code10, lineNumber int, customerId guid,
        customerNumber code20, postingDate date, documentNumber code20, externalDocumentNumber
        code35, amount decimal, appliesToInvoiceId guid, appliesToInvoiceNumber code20, description
        text100, comment text250, lastModifiedDateTime* datetime
    """,
    "customerFinancialDetails": """
        id* guid, number* code20, balance* decimal, totalSalesExcludingTax* decimal, overdueAmount*
        decimal, lastModifiedDateTime* datetime
    """,
    "agedAccountsReceivables": """
        customerId* guid, customerNumber* code20, name* text100, currencyCode* code10, balanceDue*
        decimal, currentAmount* decimal, period1Label* text30, period1Amount* decimal, period2Label*
        text30, period2Amount* decimal, period3Label* text30, period3Amount* decimal, agedAsOfDate*
        date, periodLengthFilter* text10
    """,
    "generalLedgerEntries": """
        id* guid, entryNumber* int, postingDate* date, documentNumber* code20, documentType* enum,
        accountId* guid, accountNumber* code20, description* text100, debitAmount* decimal,
        creditAmount* decimal, additionalCurrencyDebitAmount* decimal,
        additionalCurrencyCreditAmount* decimal, lastModifiedDateTime* datetime
    """,
    "accounts": """
        id* guid, number* code20, displayName* text100, category* enum, subCategory* text80,
        blocked* bool, accountType* enum, directPosting* bool, netChange* decimal,
        consolidationTranslationMethod* enum, consolidationDebitAccount* code20,
        consolidationCreditAccount* code20, excludeFromConsolidation* bool, lastModifiedDateTime*
        datetime
    """,
    "dimensions": """
        id* guid, code* code20, displayName* text30, consolidationCode* code20,
        lastModifiedDateTime* datetime
    """,
    "dimensionValues": """
        id* guid, code* code20, dimensionId* guid, displayName* text50, consolidationCode* code20,
        lastModifiedDateTime* datetime
    """,
    "defaultDimensions": """
        id* guid, parentType enum, parentId guid, dimensionId guid, dimensionCode* code20,
        dimensionValueId guid, dimensionValueCode* code20, postingValidation enum,
        lastModifiedDateTime* datetime
    """,
    "dimensionSetLines": """
        id guid, code code20, consolidationCode* code20, parentId* guid, parentType* enum,
        displayName text30, valueId guid, valueCode code20, valueConsolidationCode* code20,
        valueDisplayName text50
    """,
    "currencies": """
        id* guid, code code10, displayName text30, symbol text10, amountDecimalPlaces text5,
        amountRoundingPrecision decimal, lastModifiedDateTime* datetime
    """,
    "paymentTerms": """
        id* guid, code code10, displayName text100, dueDateCalculation formula32,
        discountDateCalculation formula32, discountPercent decimal, calculateDiscountOnCreditMemos
        bool, lastModifiedDateTime* datetime
    """,
    "paymentMethods": """
        id* guid, code code10, displayName text100, lastModifiedDateTime* datetime
    """,
    "shipmentMethods": """
        id* guid, code code10, displayName text100, lastModifiedDateTime* datetime
    """,
    "taxAreas": """
        id* guid, code code20, displayName text100, taxType* enum, lastModifiedDateTime* datetime
    """,
    "taxGroups": """
        id* guid, code code20, displayName text100, taxType* enum, lastModifiedDateTime* datetime
    """,
    "locations": """
        id* guid, code code10, displayName text100, contact text100, addressLine1 text100,
        addressLine2 text50, city text30, state text30, country code10, postalCode code20,
        phoneNumber text30, email text80, website text255, lastModifiedDateTime* datetime
    """,
    "salespeoplePurchasers": """
        id* guid, code code20, displayName text50, email text80, email2 text80, phoneNo text30,
        jobTitle text30, commisionPercent decimal, privacyBlocked bool, blocked bool,
        lastModifiedDateTime* datetime
    """,
    "countriesRegions": """
        id* guid, code code10, displayName text50, addressFormat* enum, lastModifiedDateTime*
        datetime
    """,
    "companyInformation": """
        id* guid, displayName text100, addressLine1 text100, addressLine2 text50, city text30, state
        text30, country code10, postalCode code20, phoneNumber text30, faxNumber text30, email
        text80, website text250, taxRegistrationNumber text50, currencyCode* code10,
        currentFiscalYearStartDate* date, industry text30, lastModifiedDateTime* datetime
    """,
    "generalProductPostingGroups": """
        id* guid, code* code20, description* text100, lastModifiedDateTime* datetime
    """,
    "inventoryPostingGroups": """
        id* guid, code* code20, description* text100, lastModifiedDateTime* datetime
    """,
}
