"""Preflight of the Salesforce org: app and sign-in, addresses, API version, currency."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from urllib.parse import urlsplit

from ml_connector.errors import ConfigurationError
from ml_connector.exchange.check_line import CheckLine, Level, examined, fine
from ml_connector.exchange.salesforce_order_checks import order_lines
from ml_connector.exchange.salesforce_record_checks import record_lines
from ml_connector.exchange.systems import Systems

APP = "Setup → Apps → External Client Apps → External Client App Manager"
MY_DOMAIN = "Setup → Company Settings → My Domain"
FILE = "connection file, [salesforce]"

ENOUGH = frozenset({"api", "full"})
"""Scopes of which one is needed."""


def signed_in(systems: Systems) -> Iterator[CheckLine]:
    """Sign in; what is refused here is refused everywhere."""
    session = systems.salesforce.auth.session()
    organization = systems.salesforce.organization_id
    yield fine("salesforce_sign_in", f"Signed in to Salesforce organization {organization}.")
    yield from _scopes(session.scope)
    yield from _addresses(systems.settings.salesforce.my_domain_url, session.instance_url)


def salesforce_lines(systems: Systems) -> list[CheckLine]:
    """Examine the org after the sign-in."""
    version = examined(
        "salesforce_api_version", "The org's API versions", partial(_api_version, systems)
    )
    if any(line.level is Level.BLOCKING for line in version):
        return version
    return [
        *version,
        *record_lines(systems),
        *examined("salesforce_currency", "The org's currencies", partial(currency_lines, systems)),
        *order_lines(systems),
    ]


def _scopes(scope: str) -> Iterator[CheckLine]:
    """What the session may be used for; nothing when the answer did not say."""
    scopes = set(scope.split())
    if not scopes:
        return
    if not scopes & ENOUGH:
        yield CheckLine(
            "salesforce_scopes",
            Level.WARNING,
            f"The app's session is for {', '.join(sorted(scopes))}, not for the API.",
            "Give the app the OAuth scope Manage user data via APIs (api).",
            APP,
        )
        return
    more = sorted(scopes - {"api"})
    if more:
        yield CheckLine(
            "salesforce_scopes",
            Level.NOTICE,
            f"The app also has {', '.join(more)}; the connector needs the scope api only.",
            "Take the other OAuth scopes from the app.",
            APP,
        )
        return
    yield fine("salesforce_scopes", "The app has the scope api and no other.")


def _addresses(my_domain: str, instance: str) -> Iterator[CheckLine]:
    ours, theirs = urlsplit(my_domain).netloc.lower(), urlsplit(instance).netloc.lower()
    if ours == theirs:
        yield fine("salesforce_my_domain", f"The org's own address is {ours}.")
        return
    yield CheckLine(
        "salesforce_my_domain",
        Level.NOTICE,
        f"The sign-in at {ours} leads to {theirs}; calls go there.",
        f"Set my_domain_url to https://{theirs} if that is the org's My Domain now.",
        MY_DOMAIN,
    )


def _api_version(systems: Systems) -> Iterator[CheckLine]:
    wanted = systems.settings.salesforce.api_version
    served = [str(each.get("version", "")) for each in systems.salesforce.versions()]
    if wanted in served:
        yield fine("salesforce_api_version", f"The org serves API version {wanted}.")
        return
    yield CheckLine(
        "salesforce_api_version",
        Level.BLOCKING,
        f"The org does not serve API version {wanted}; it serves {', '.join(served[-3:])}.",
        "Set api_version under [salesforce] to one the org serves, then run `connect` again.",
        FILE,
    )


def currency_lines(systems: Systems) -> Iterator[CheckLine]:
    """Tell whether the currency of every amount is known."""
    if systems.is_multi_currency():
        yield fine("salesforce_currency", "The org is multi-currency.")
        return
    try:
        currency = systems.org_currency()
    except ConfigurationError as error:
        yield CheckLine("salesforce_currency", Level.BLOCKING, error.message, error.remedy, FILE)
    else:
        yield fine("salesforce_currency", f"All amounts of the org are {currency}.")
