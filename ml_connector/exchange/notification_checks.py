"""Preflight of Business Central's notifications: whether our subscriptions stand."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from datetime import timedelta

from ml_connector.business_central.subscriptions import (
    Subscription,
    list_subscriptions,
    supported_sets,
)
from ml_connector.exchange.check_line import CheckLine, Level
from ml_connector.exchange.notified import NOTIFIED_SETS
from ml_connector.exchange.systems import Systems

CODE = "business_central_notifications"
LEAST_LIFE = timedelta(days=1)
"""Renewed hourly a subscription has nearly three days; one that has less is not renewed."""


def notification_lines(systems: Systems) -> Iterator[CheckLine]:
    """Compare the subscriptions BC has with those we want; no line without a receiver's address."""
    if not systems.settings.business_central.notification_url:
        return
    wanted = set(NOTIFIED_SETS) & supported_sets(systems.business_central)
    ours = _ours(systems)
    missing = sorted(wanted - set(ours))
    if missing:
        yield CheckLine(
            CODE,
            Level.WARNING,
            f"Business Central does not tell of {', '.join(missing)}; they are only polled.",
            "Start `ml-connector receive`, then run `ml-connector renew`.",
        )
        return
    now = systems.clock.now()
    ends = [each.expires_at for each in ours.values() if each.expires_at is not None]
    if any(end - now < LEAST_LIFE for end in ends):
        yield CheckLine(
            CODE,
            Level.WARNING,
            "Subscriptions of Business Central end within a day.",
            "Run `ml-connector renew`, and switch on the schedule of renew-subscriptions.",
        )
        return
    yield CheckLine(CODE, Level.OK, f"Business Central tells of {', '.join(sorted(wanted))}.")


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
