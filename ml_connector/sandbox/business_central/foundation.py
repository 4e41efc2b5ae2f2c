"""What a fresh company holds before anything is loaded: set-up tables and the chart of accounts."""

from decimal import Decimal

import pycountry

from ml_connector.sandbox.business_central.code_tables import HIDDEN
from ml_connector.sandbox.business_central.company import Company, option
from ml_connector.sandbox.business_central.tables import Row

RECEIVABLES, SALES, TAX, BANK = "10400", "40100", "20300", "10100"
_CENT = Decimal("0.01")

_TABLES: dict[str, tuple[Row, ...]] = {
    "currencies": tuple(
        {
            "code": code,
            "displayName": name,
            "symbol": symbol,
            "amountDecimalPlaces": places,
            "amountRoundingPrecision": precision,
            "_rate": Decimal(rate),
        }
        for code, name, symbol, places, precision, rate in (
            ("EUR", "Euro", "€", "2:2", _CENT, "1.08"),
            ("GBP", "Pound Sterling", "£", "2:2", _CENT, "1.27"),
            ("CAD", "Canadian Dollar", "$", "2:2", _CENT, "0.73"),
            ("JPY", "Japanese Yen", "¥", "0:0", Decimal(1), "0.0067"),
            ("USD", "US Dollar", "$", "2:2", _CENT, "1"),
        )
    ),
    "unitsOfMeasure": tuple(
        {"code": code, "displayName": name, "internationalStandardCode": standard}
        for code, name, standard in (
            ("PCS", "Piece", "EA"),
            ("BOX", "Box", "BX"),
            ("SET", "Set", "SET"),
            ("HOUR", "Hour", "HUR"),
        )
    ),
    "paymentTerms": tuple(
        {"code": code, "displayName": name, "dueDateCalculation": formula}
        for code, name, formula in (
            ("COD", "Cash on delivery", "0D"),
            ("14 DAYS", "Net 14 days", "14D"),
            ("30 DAYS", "Net 30 days", "30D"),
            ("1M(8D)", "1 Month/2% 8 days", "1M"),
            ("CM", "Current Month", "CM"),
        )
    ),
    "paymentMethods": (
        {"code": "BANK", "displayName": "Bank Transfer"},
        {"code": "CASH", "displayName": "Cash"},
    ),
    "shipmentMethods": (
        {"code": "EXW", "displayName": "Ex Works"},
        {"code": "CIF", "displayName": "Cost Insurance and Freight"},
    ),
    "taxAreas": tuple(
        {
            "code": code,
            "displayName": name,
            "taxType": option(kind),
            "_percent": Decimal(percent),
            "_sales_tax": kind == "Sales Tax",
        }
        for code, name, kind, percent in (
            ("ATLANTA, GA", "Atlanta, GA", "Sales Tax", "6"),
            ("GB-VAT", "United Kingdom", "VAT", "20"),
            ("DE-VAT", "Germany", "VAT", "19"),
            ("CA-GST", "Canada GST", "VAT", "5"),
            ("EXPORT", "Export", "VAT", "0"),
        )
    ),
    "taxGroups": (
        {"code": "TAXABLE", "displayName": "Taxable", "taxType": option("Sales Tax")},
        {
            "code": "NONTAXABLE",
            "displayName": "Not taxable",
            "taxType": option("Sales Tax"),
            "_taxable": False,
        },
    ),
    "generalProductPostingGroups": (
        {"code": "RETAIL", "description": "Retail"},
        {"code": "SERVICES", "description": "Services"},
    ),
    "inventoryPostingGroups": ({"code": "RESALE", "description": "Resale items"},),
    "locations": ({"code": "MAIN", "displayName": "Main Warehouse", "country": "US"},),
    "salespeoplePurchasers": (
        {"code": "JO", "displayName": "Jim Olive", "email": "jo@cronus.example"},
        {"code": "LT", "displayName": "Lina Townsend", "email": "lt@cronus.example"},
    ),
    "dimensions": (
        {"code": "DEPARTMENT", "displayName": "Department"},
        {"code": "AREA", "displayName": "Area"},
    ),
    "customerPaymentJournals": ({"code": "GENERAL", "displayName": "General"},),
}

_ACCOUNTS = (
    (BANK, "Checking account", "Assets", False),
    (RECEIVABLES, "Accounts Receivable", "Assets", False),
    (TAX, "Sales Tax Payable", "Liabilities", False),
    (SALES, "Income, Product Sales", "Income", True),
    ("40300", "Income, Freight", "Income", True),
    ("60100", "Freight Expense", "Expense", True),
)


def lay_foundation(company: Company) -> None:
    """Fill the set-up tables of an empty company."""
    identity = company.identity
    now = company.stamp()
    _add(
        company,
        "companies",
        {
            "id": identity.company_id,
            "name": identity.company_name[:30],
            "displayName": identity.company_name,
            "systemVersion": "26.0.0.0",
            "timestamp": 1,
            "systemCreatedAt": now,
            "systemModifiedAt": now,
        },
    )
    _add(
        company,
        "companyInformation",
        {
            "id": company.seeded_id("companyInformation"),
            "displayName": identity.company_name,
            "country": "US",
            "currencyCode": identity.local_currency,
        },
    )
    for entity, rows in _TABLES.items():
        for row in rows:
            if entity == "currencies" and row["code"] == identity.local_currency:
                continue
            _add(company, entity, {"id": company.seeded_id(entity, row["code"]), **row})
    for country in pycountry.countries:
        code = country.alpha_2
        _add(
            company,
            "countriesRegions",
            {
                "id": company.seeded_id("countriesRegions", code),
                "code": code,
                "displayName": getattr(country, "common_name", country.name)[:50],
            },
        )
    for dimension, codes in (("DEPARTMENT", ("SALES", "ADM")), ("AREA", ("NORTH", "SOUTH"))):
        parent = company.by_code("dimensions", dimension)
        for code in codes:
            _add(
                company,
                "dimensionValues",
                {
                    "id": company.seeded_id("dimensionValues", dimension, code),
                    "code": code,
                    "displayName": code.title(),
                    "dimensionId": parent["id"] if parent else "",
                },
            )
    for number, name, category, direct in _ACCOUNTS:
        _add(
            company,
            "accounts",
            {
                "id": company.seeded_id("accounts", number),
                "number": number,
                "displayName": name,
                "category": option(category),
                "accountType": "Posting",
                "directPosting": direct,
            },
        )


def _add(company: Company, entity: str, values: Row) -> None:
    """Add a row without a trace in the logs."""
    row = company.blank_row(entity) | HIDDEN.get(entity, {}) | values
    company.version += 1
    row["_v"] = company.version
    if "lastModifiedDateTime" in row:
        row["lastModifiedDateTime"] = company.stamp()
    company.table(entity).add(row, bulk=True)
