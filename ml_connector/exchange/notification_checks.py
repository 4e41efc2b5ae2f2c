"""Preflight of Business Central's notifications: whether our subscriptions stand."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from datetime import timedelta

from ml_connector.business_central.handshake import handshake_trouble
from ml_connector.business_central.subscriptions import (
    Subscription,
    list_subscriptions,
    supported_sets,
)
from ml_connector.errors import ConnectorError
from ml_connector.exchange.check_line import CheckLine, Level, fine
from ml_connector.exchange.notified import NOTIFIED_SETS
from ml_connector.exchange.systems import Systems

CODE = "business_central_notifications"
LEAST_LIFE = timedelta(days=1)
"""Renewed hourly a subscription has nearly three days; one that has less is not renewed."""
RECEIVER = "this installation: ml-connector receive, and the proxy in front of it"
SCHEDULES = "Prefect UI: Deployments → renew-subscriptions"


def notification_lines(systems: Systems) -> Iterator[CheckLine]:
    """Examine receiver and subscriptions; no line without a receiver's address."""
    if not systems.settings.business_central.notification_url:
        return
    yield from _receiver(systems)
    yield from _subscriptions(systems)


def _receiver(systems: Systems) -> Iterator[CheckLine]:
    """Ask our own address for the handshake, as Business Central would."""
    settings = systems.settings.business_central
    code = "business_central_receiver"
    trouble = handshake_trouble(settings.notification_url, settings.ca_pem)
    if not trouble:
        yield fine(code, f"The receiver answers at {settings.notification_url}.")
        return
    yield CheckLine(
        code,
        Level.WARNING,
        f"The receiver at {settings.notification_url} does not answer from here: {trouble}. "
        "Changes in Business Central are polled only.",
        "Start `ml-connector receive`, and let its address lead to it over https from outside.",
        RECEIVER,
    )


def _subscriptions(systems: Systems) -> Iterator[CheckLine]:
    """Compare the subscriptions BC has with those we want."""
    wanted = set(NOTIFIED_SETS)
    try:
        wanted &= supported_sets(systems.business_central)
    except ConnectorError as error:
        yield CheckLine(
            f"{CODE}_sets_not_examined",
            Level.NOTICE,
            f"What Business Central can tell of could not be examined: {error.message}",
            error.remedy,
        )
        wanted = {each.resource.entity_set for each in _ours(systems).values() if each.resource}
    unheard = sorted(set(NOTIFIED_SETS) - wanted)
    ours = _ours(systems)
    missing = sorted(wanted - set(ours))
    now = systems.clock.now()
    ends = [each.expires_at for each in ours.values() if each.expires_at is not None]
    if missing or not ours:
        yield CheckLine(
            CODE,
            Level.WARNING,
            f"Business Central does not tell of {', '.join(missing or NOTIFIED_SETS)}; they are "
            "only polled.",
            "Start `ml-connector receive`, then run `ml-connector renew`.",
            SCHEDULES,
        )
    elif any(end - now < LEAST_LIFE for end in ends):
        yield CheckLine(
            CODE,
            Level.WARNING,
            "Subscriptions of Business Central end within a day.",
            "Run `ml-connector renew`, and switch on the schedule of renew-subscriptions.",
            SCHEDULES,
        )
    else:
        rest = f"; {', '.join(unheard)} cannot be subscribed and are polled" if unheard else ""
        yield fine(CODE, f"Business Central tells of {', '.join(sorted(wanted))}{rest}.")


def _ours(systems: Systems) -> dict[str, Subscription]:
    url = systems.settings.business_central.notification_url
    company_id = systems.business_central.company().id.lower()
    known = {each.subscription_id for each in systems.ledger.subscriptions()}
    state = systems.settings.notification_client_state.get_secret_value().encode()
    return {
        each.resource.entity_set: each
        for each in list_subscriptions(systems.business_central)
        if each.resource is not None
        and each.resource.company_id == company_id
        and each.notification_url == url
        and (
            each.id in known
            or hmac.compare_digest(each.client_state.get_secret_value().encode(), state)
        )
    }
