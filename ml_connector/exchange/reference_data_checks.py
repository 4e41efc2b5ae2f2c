"""Preflight of codes both systems must share: currencies, units of measure, countries."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from ml_connector.domain.address import country_code
from ml_connector.domain.identifiers import folded
from ml_connector.errors import ConfigurationError, ConnectorError
from ml_connector.exchange.check_line import CheckLine, Level, examined, fine
from ml_connector.exchange.company_setup_checks import named
from ml_connector.exchange.order_filter import qualifying_order_condition
from ml_connector.exchange.systems import Systems


def reference_data_lines(systems: Systems) -> list[CheckLine]:
    """Compare what Salesforce uses with what Business Central knows."""
    looks = (
        ("currencies", "The currencies of Orders", _currencies),
        ("units", "The products' units of measure", _units),
        ("countries", "The Accounts' countries", _countries),
    )
    lines: list[CheckLine] = []
    for code, subject, look in looks:
        lines += examined(
            code,
            subject,
            partial(look, systems),
        )
    return lines


def _used(systems: Systems, sobject: str, field: str, where: str = "") -> list[str]:
    """Return the values of *field* that records of *sobject* have, blank ones left out."""
    condition = f" WHERE {where}" if where else ""
    rows = systems.salesforce.query_rows(
        f"SELECT {field} FROM {sobject}{condition} GROUP BY {field}"  # noqa: S608  # our own names
    )
    return sorted({str(row[field]) for row in rows if row.get(field)})


def _currencies(systems: Systems) -> Iterator[CheckLine]:
    page = "BC page: Currencies"
    known = {systems.local_currency.upper(), *systems.currencies()}
    if not systems.is_multi_currency():
        used = (
            [systems.settings.salesforce.currency] if systems.settings.salesforce.currency else []
        )
        level = Level.BLOCKING
    else:
        try:
            where = qualifying_order_condition(systems)
            used, level = _used(systems, "Order", "CurrencyIsoCode", where), Level.WARNING
        except ConnectorError:
            used, level = _offered(systems, "Order", "CurrencyIsoCode"), Level.NOTICE
    missing = [each for each in used if each.upper() not in known]
    if missing:
        yield CheckLine(
            "currencies",
            level,
            f"Salesforce uses {named(missing)}, which Business Central does not know: those orders "
            "will be parked.",
            "Add the currency with an exchange rate.",
            page,
        )
        return
    yield fine("currencies", f"Business Central knows the currencies in use: {named(used)}.")


def _offered(systems: Systems, sobject: str, field: str) -> list[str]:
    """Return what a picklist offers, where the values in use cannot be asked for."""
    found = systems.salesforce.describe(sobject).fields.get(field)
    return [each.value for each in found.picklist_values if each.active] if found else []


def _units(systems: Systems) -> Iterator[CheckLine]:
    if not systems.salesforce.describe("Product2").has("QuantityUnitOfMeasure"):
        yield fine("units", "Products have no unit of measure; items are sold by their base unit.")
        return
    used = _used(systems, "Product2", "QuantityUnitOfMeasure", "IsActive = true")
    missing = [each for each in used if folded(each) not in systems.units()]
    if missing:
        yield CheckLine(
            "units",
            Level.WARNING,
            f"Products are sold by {named(missing)}, which is no unit of measure in Business "
            "Central: orders with them will be parked.",
            "Add the unit to BC and to its items, or correct the product in Salesforce.",
            "BC pages: Units of Measure; Item Units of Measure",
        )
        return
    yield fine("units", "Business Central knows the products' units of measure.")


def _countries(systems: Systems) -> Iterator[CheckLine]:
    """Accounts with a country nobody knows park one by one: a notice, no fault of the set-up."""
    try:
        used = _used(systems, "Account", "BillingCountryCode")
    except ConfigurationError:
        used = _used(systems, "Account", "BillingCountry")
    known = systems.countries()
    missing = [each for each in used if country_code([each], known) is None]
    if missing:
        yield CheckLine(
            "countries",
            Level.NOTICE,
            f"Accounts are in {named(missing)}, which is no country of Business Central: they will "
            "be parked.",
            "Add the country in BC, or correct the Accounts.",
            "BC page: Countries/Regions",
        )
        return
    yield fine("countries", "Business Central knows the Accounts' countries.")
