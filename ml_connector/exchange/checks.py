"""Preflight: real, read-only calls to both systems, one line per finding with its remedy.

A look that a vendor refuses or does not know is a notice; only what is known to be wrong warns or
blocks. Where the sign-in itself fails, the list of that system ends there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from ml_connector.configuration.settings import ConnectionSettings
from ml_connector.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectorError,
    TransientError,
)
from ml_connector.exchange.budget_checks import budget_lines
from ml_connector.exchange.business_central_checks import business_central_lines, company_found
from ml_connector.exchange.check_line import CheckLine, Level, examined, fine
from ml_connector.exchange.clock_checks import clock_lines
from ml_connector.exchange.duplicate_checks import duplicate_lines
from ml_connector.exchange.feed_checks import feed_lines
from ml_connector.exchange.notification_checks import notification_lines
from ml_connector.exchange.reference_data_checks import reference_data_lines
from ml_connector.exchange.salesforce_checks import (
    currency_lines,
    salesforce_lines,
    signed_in,
)
from ml_connector.exchange.systems import Systems

__all__ = ["CheckLine", "Level", "check_lines", "ping_lines"]

_PAGES = {
    "salesforce": "Setup → Apps → External Client Apps → External Client App Manager",
    "business_central": "Microsoft Entra admin center → App registrations",
    "ledger": "connection file, [ledger]",
}
"""Where a sign-in that fails is cured, unless the error says that the address is wrong."""

_ADDRESS = frozenset(
    {"unknown_host", "connection_refused", "wrong_host", "unsupported_domain", "tls_not_trusted",
     "wrong_tenant", "wrong_authority", "wrong_environment", "wrong_company", "redirected"}
)  # fmt: skip


def check_lines(settings: ConnectionSettings) -> list[CheckLine]:
    """Examine both systems and the ledger; writes nothing in either system."""
    try:
        systems = Systems.open(settings)
    except ConfigurationError as error:
        return [_failure("ledger", error)]
    with systems:
        lines = [fine("ledger", "The ledger is reachable and up to date.")]
        salesforce, central = _gate("salesforce", signed_in, systems), _central_gate(systems)
        sales, finance = _is_open(salesforce), _is_open(central)
        lines += salesforce
        if sales:
            lines += salesforce_lines(systems)
            lines += examined("salesforce_events", "Change events", partial(feed_lines, systems))
            lines += examined("budgets", "Salesforce's limits", partial(budget_lines, systems))
        lines += central
        if finance:
            lines += business_central_lines(systems)
            lines += examined(
                "business_central_notifications",
                "The notifications",
                partial(notification_lines, systems),
            )
        if sales and finance:
            lines += reference_data_lines(systems)
            lines += duplicate_lines(systems)
        lines += clock_lines(systems)
    return lines


def ping_lines(systems: Systems) -> list[CheckLine]:
    """Sign in to both systems: the cheap form for the start of every run.

    It ends a run that could only go wrong: no Orders, no word about their currency, no company.
    Raises: TransientError when a system is not available now, so that the caller can try again.
    """
    return _gate("salesforce", _ready, systems, passing_too=False) + _gate(
        "business_central", company_found, systems, passing_too=False
    )


def _ready(systems: Systems) -> Iterator[CheckLine]:
    yield from signed_in(systems)
    yield from (line for line in currency_lines(systems) if line.level is Level.BLOCKING)


def _central_gate(systems: Systems) -> list[CheckLine]:
    return _gate("business_central", company_found, systems)


def _is_open(lines: list[CheckLine]) -> bool:
    return all(line.level is not Level.BLOCKING for line in lines)


def _gate(
    system: str,
    examine: Callable[[Systems], Iterator[CheckLine]],
    systems: Systems,
    *,
    passing_too: bool = True,
) -> list[CheckLine]:
    """Return what *examine* finds; *passing_too* makes a fault that may pass a line as well."""
    lines: list[CheckLine] = []
    try:
        lines.extend(examine(systems))
    except ConnectorError as error:
        if isinstance(error, TransientError) and not passing_too:
            raise
        lines.append(_failure(system, error))
    return lines


def _failure(system: str, error: ConnectorError) -> CheckLine:
    page = f"connection file, [{system}]" if error.code in _ADDRESS else _PAGES[system]
    refused_by = system if isinstance(error, AuthenticationError) else ""
    return CheckLine(
        f"{system}_{error.code}", Level.BLOCKING, error.message, error.remedy, page, refused_by
    )
