"""Preflight: real, read-only calls to both systems, one line per finding with its remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ml_connector.configuration.settings import ConnectionSettings
from ml_connector.errors import ConfigurationError, ConnectorError
from ml_connector.exchange.check_line import CheckLine, Level
from ml_connector.exchange.feed_checks import feed_lines
from ml_connector.exchange.notification_checks import notification_lines
from ml_connector.exchange.systems import Systems

__all__ = ["CheckLine", "Level", "check_lines", "ping_lines"]

FIELDS: Mapping[str, tuple[str, ...]] = {
    "Account": (
        "BC_Customer_Id__c", "BC_Customer_Number__c", "BC_Balance__c", "BC_Overdue__c",
        "BC_Credit_Limit__c", "BC_Blocked__c", "BC_Sync_Status__c", "BC_Sync_Message__c",
        "BC_As_Of__c",
    ),
    "Contact": ("BC_Contact_Id__c",),
    "Product2": ("BC_Item_Id__c", "BC_Item_Number__c"),
    "Order": (
        "BC_Order_Id__c", "BC_Order_Number__c", "BC_Order_Status__c", "BC_Shipped_Percent__c",
        "BC_Invoiced_Percent__c", "BC_Invoice_Numbers__c", "BC_Invoiced_Amount__c",
        "BC_Paid_Amount__c", "BC_Open_Amount__c", "BC_Due_Date__c", "BC_Payment_Status__c",
        "BC_Sync_Status__c", "BC_Sync_Message__c", "BC_As_Of__c",
    ),
}  # fmt: skip
"""The connector's fields per Salesforce object."""

_PACKAGE = "Deploy salesforce-package/ to the org and assign its permission set to the run-as user."


def check_lines(settings: ConnectionSettings) -> list[CheckLine]:
    """Examine both systems and the ledger; writes nothing in either system.

    A system that refuses the sign-in ends its own list with a blocking line.
    """
    lines: list[CheckLine] = []
    try:
        systems = Systems.open(settings)
    except ConfigurationError as error:
        return [_failure("ledger", error)]
    with systems:
        lines.append(CheckLine("ledger", Level.OK, "The ledger is reachable and up to date."))
        lines += _collect("salesforce", _salesforce, systems)
        lines += _collect("salesforce_events", feed_lines, systems)
        lines += _collect("business_central", _business_central, systems)
        lines += _collect("business_central_notifications", notification_lines, systems)
    return lines


def ping_lines(systems: Systems) -> list[CheckLine]:
    """Sign in to both systems and read the company: the cheap form for the start of every run."""
    lines = _collect("salesforce", _signed_in, systems)
    return lines + _collect("business_central", _company, systems)


def _signed_in(systems: Systems) -> Iterator[CheckLine]:
    organization = systems.salesforce.organization_id
    yield CheckLine(
        "salesforce_sign_in", Level.OK, f"Signed in to Salesforce organization {organization}."
    )


def _company(systems: Systems) -> Iterator[CheckLine]:
    company = systems.business_central.company()
    name = company.display_name or company.name
    yield CheckLine(
        "business_central_company", Level.OK, f"Signed in to Business Central company {name}."
    )


def _collect(
    system: str, examine: Callable[[Systems], Iterator[CheckLine]], systems: Systems
) -> list[CheckLine]:
    lines: list[CheckLine] = []
    try:
        lines.extend(examine(systems))
    except ConnectorError as error:
        lines.append(_failure(system, error))
    return lines


def _failure(code: str, error: ConnectorError) -> CheckLine:
    return CheckLine(f"{code}_{error.code}", Level.BLOCKING, error.message, error.remedy)


def _salesforce(systems: Systems) -> Iterator[CheckLine]:
    yield from _signed_in(systems)
    yield _api_version(systems)
    for sobject, fields in FIELDS.items():
        yield from _fields(systems, sobject, fields)
    yield from _mapped_fields(systems)
    yield _currency(systems)
    yield from _daily_calls(systems.salesforce.limits())


def _api_version(systems: Systems) -> CheckLine:
    wanted = systems.settings.salesforce.api_version
    served = [str(each["version"]) for each in systems.salesforce.versions()]
    if wanted in served:
        return CheckLine(
            "salesforce_api_version", Level.OK, f"The org serves API version {wanted}."
        )
    return CheckLine(
        "salesforce_api_version",
        Level.BLOCKING,
        f"The org does not serve API version {wanted}; it serves {', '.join(served[-3:])}.",
        "Set api_version under [salesforce] to one the org serves.",
    )


def _fields(systems: Systems, sobject: str, names: tuple[str, ...]) -> Iterator[CheckLine]:
    try:
        describe = systems.salesforce.describe(sobject)
    except ConfigurationError as error:
        if error.code != "unknown_object":
            raise
        yield CheckLine(
            f"salesforce_{sobject.lower()}_missing",
            Level.BLOCKING,
            f"The object {sobject} does not exist for the run-as user.",
            "Enable Orders in Setup, Order Settings." if sobject == "Order" else _PACKAGE,
        )
        return
    missing = [name for name in names if not describe.has(name)]
    locked = [name for name in names if describe.has(name) and not describe.fields[name].updateable]
    code = f"salesforce_{sobject.lower()}_fields"
    if missing:
        yield CheckLine(
            code,
            Level.BLOCKING,
            f"{sobject} lacks {', '.join(missing)} (not deployed, or hidden from the run-as user).",
            _PACKAGE,
        )
    if locked:
        yield CheckLine(
            code, Level.BLOCKING, f"{sobject}: {', '.join(locked)} cannot be edited.", _PACKAGE
        )
    if not missing and not locked:
        yield CheckLine(code, Level.OK, f"All fields of {sobject} are there and can be edited.")


def _mapped_fields(systems: Systems) -> Iterator[CheckLine]:
    """Name the fields of [[policy.fields]] that the org lacks or that cannot take BC's value."""
    for mapping in systems.policy.fields:
        sobject, _, name = mapping.salesforce.partition(".")
        describe = systems.salesforce.describe(sobject)
        if not describe.has(name):
            trouble = "is unknown (not there, or hidden from the run-as user)"
        elif mapping.owner == "business_central" and not describe.fields[name].updateable:
            trouble = "cannot be edited, but is to take BC's value"
        else:
            continue
        yield CheckLine(
            "salesforce_mapped_field",
            Level.BLOCKING,
            f"{mapping.salesforce} of [[policy.fields]] {trouble}.",
            "Correct the field's name in the connection file, or let the run-as user see and edit "
            "it; then run `connect` again.",
        )


def _currency(systems: Systems) -> CheckLine:
    if systems.is_multi_currency():
        return CheckLine("salesforce_currency", Level.OK, "The org is multi-currency.")
    currency = systems.settings.salesforce.currency
    if currency:
        return CheckLine("salesforce_currency", Level.OK, f"All amounts of the org are {currency}.")
    return CheckLine(
        "salesforce_currency",
        Level.BLOCKING,
        "The org has one currency and the connection file does not say which.",
        'Set currency = "USD" (or what it is) under [salesforce] and run connect again.',
    )


def _daily_calls(limits: Mapping[str, Any]) -> Iterator[CheckLine]:
    calls = limits.get("DailyApiRequests")
    if not isinstance(calls, Mapping) or not calls.get("Max"):
        return
    left, most = int(calls["Remaining"]), int(calls["Max"])
    short = left * 10 < most
    yield CheckLine(
        "salesforce_daily_calls",
        Level.WARNING if short else Level.OK,
        f"{left} of {most} API calls are left in the rolling day.",
        "Find out which integration uses them up, or buy more calls." if short else "",
    )


def _business_central(systems: Systems) -> Iterator[CheckLine]:
    yield from _company(systems)
    for code, entity_set in (
        ("customers", "customers"),
        ("items", "items"),
        ("orders", "salesOrders"),
        ("invoices", "salesInvoices"),
        ("credit_memos", "salesCreditMemos"),
        ("shipments", "salesShipments"),
        ("ledger_entries", "generalLedgerEntries"),
    ):
        yield _readable(systems, code, entity_set)
    if systems.local_currency.upper() in systems.currencies():
        yield CheckLine(
            "business_central_local_currency",
            Level.WARNING,
            f"{systems.local_currency} is listed as a foreign currency of the company.",
            "Set local_currency under [business_central] to the company's own currency.",
        )


def _readable(systems: Systems, code: str, entity_set: str) -> CheckLine:
    try:
        next(systems.business_central.pages(entity_set, select=("id",), page_size=1), None)
    except ConfigurationError:
        raise
    except ConnectorError as error:
        return CheckLine(
            f"business_central_{code}",
            Level.BLOCKING,
            f"{entity_set} cannot be read: {error.message}",
            "Give the app's user in BC the permission sets named in the go-live guide.",
        )
    return CheckLine(f"business_central_{code}", Level.OK, f"{entity_set} can be read.")
