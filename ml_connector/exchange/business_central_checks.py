"""Preflight of Business Central: the app's registration, environment, company, what it may read."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from ml_connector.errors import AuthenticationError, ConfigurationError, ConnectorError
from ml_connector.exchange.check_line import CheckLine, Level, examined, fine
from ml_connector.exchange.company_setup_checks import setup_lines
from ml_connector.exchange.systems import Systems

API_ROLE = "API.ReadWrite.All"
ENTRA = "Microsoft Entra admin center → App registrations → API permissions"
APPLICATIONS = "BC page: Microsoft Entra Applications"
FILE = "connection file, [business_central]"

NEEDED = (
    ("customers", "customers"),
    ("items", "items"),
    ("orders", "salesOrders"),
    ("invoices", "salesInvoices"),
    ("credit_memos", "salesCreditMemos"),
    ("shipments", "salesShipments"),
    ("currencies", "currencies"),
    ("units", "unitsOfMeasure"),
)
"""Code and entity set of what no sync can do without."""


def company_found(systems: Systems) -> Iterator[CheckLine]:
    """Sign in and find the company; what is refused here is refused everywhere."""
    systems.business_central.auth.token()
    try:
        company = systems.business_central.company()
    except AuthenticationError as error:
        yield _not_let_in(systems, error)
        return
    except ConfigurationError as error:
        if error.code != "wrong_environment":
            raise
        yield _no_environment(systems, error)
        return
    name = company.display_name or company.name
    yield fine("business_central_company", f"Signed in to Business Central company {name}.")
    more = sorted((systems.business_central.auth.roles() or frozenset()) - {API_ROLE})
    if more:
        yield CheckLine(
            "business_central_app_permissions",
            Level.NOTICE,
            f"The app also holds {', '.join(more)}; the connector needs {API_ROLE} only.",
            "Take the other application permissions from the app registration.",
            ENTRA,
        )


def business_central_lines(systems: Systems) -> list[CheckLine]:
    """Examine the company after the sign-in."""
    lines: list[CheckLine] = []
    for code, entity_set in _wanted(systems):
        lines += examined(
            f"business_central_{code}",
            f"Whether {entity_set} can be read",
            partial(_readable, systems, code, entity_set),
        )
    return lines + setup_lines(systems)


def _not_let_in(systems: Systems, error: AuthenticationError) -> CheckLine:
    """The token is good and BC lets it in nowhere: say which of the two registrations lacks."""
    roles = systems.business_central.auth.roles()
    if roles is not None and API_ROLE not in roles:
        return CheckLine(
            "business_central_app_permissions",
            Level.BLOCKING,
            f"The app has no application permission {API_ROLE}, or no admin consented to it.",
            f"Add Dynamics 365 Business Central, application permission {API_ROLE}, and grant "
            "admin consent.",
            ENTRA,
            refused_by="business_central",
        )
    return CheckLine(
        f"business_central_{error.code}",
        Level.BLOCKING,
        "The sign-in works, but Business Central does not let the app in: "
        f"{systems.settings.business_central.client_id} is not registered there, or not enabled.",
        "Register the client id there, set State to Enabled and assign the permission sets.",
        APPLICATIONS,
        refused_by="business_central",
    )


def _no_environment(systems: Systems, error: ConfigurationError) -> CheckLine:
    try:
        there = sorted(filter(None, systems.business_central.environments()))
    except ConnectorError:
        there = []
    known = f"The tenant has: {', '.join(there)}. " if there else ""
    return CheckLine(
        f"business_central_{error.code}",
        Level.BLOCKING,
        error.message,
        f"{known}{error.remedy}",
        FILE,
    )


def _wanted(systems: Systems) -> list[tuple[str, str]]:
    wanted = list(NEEDED)
    if systems.policy.customers.contacts:
        wanted.insert(1, ("contacts", "contacts"))
    if systems.policy.status.accounts:
        wanted.append(("balances", "customerFinancialDetails"))
    wanted.append(("ledger_entries", "generalLedgerEntries"))
    return wanted


def _readable(systems: Systems, code: str, entity_set: str) -> Iterator[CheckLine]:
    """Read one row; a refusal blocks, and a set that this BC does not offer is a notice."""
    try:
        next(systems.business_central.pages(entity_set, select=("id",), page_size=1), None)
    except ConfigurationError as error:
        if error.code == "unknown_entity_set":
            raise
        yield CheckLine(
            f"business_central_{code}",
            Level.BLOCKING,
            f"{entity_set} cannot be read: {error.message}",
            "Assign the permission sets of the go-live guide to the app, for this company.",
            f"{APPLICATIONS} → User Permission Sets",
        )
        return
    yield fine(f"business_central_{code}", f"{entity_set} can be read.")
