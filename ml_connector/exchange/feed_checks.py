"""Preflight of the change feeds: the objects' number, and whether each topic can be subscribed."""

from __future__ import annotations

from collections.abc import Iterator

from ml_connector.configuration.feeds_policy import MOST_ENTITIES
from ml_connector.exchange.check_line import CheckLine, Level
from ml_connector.exchange.systems import Systems
from ml_connector.salesforce.event_stream import EventStream, Reaction, StreamFault, topic_of

USED = frozenset({"Account", "Contact", "Opportunity", "Order", "OrderItem", "Product2"})
"""Objects whose changes mean something to the connector."""

LOW_SHARE = 10
"""Deliveries left in the rolling day, as one in so many, that call for a warning."""


def feed_lines(systems: Systems) -> Iterator[CheckLine]:
    """Ask Salesforce's event service for every topic; an object too many is refused before."""
    entities = systems.policy.feeds.entities
    if len(entities) > MOST_ENTITIES:
        yield CheckLine(
            "salesforce_event_objects",
            Level.BLOCKING,
            f"{len(entities)} objects are to be subscribed; an org selects at most "
            f"{MOST_ENTITIES} for Change Data Capture without an add-on.",
            f"Leave {len(entities) - MOST_ENTITIES} out of entities under [policy.feeds]; order "
            "lines need none, since they are read with their order.",
        )
        return
    idle = sorted(set(entities) - USED)
    if idle:
        yield CheckLine(
            "salesforce_event_objects",
            Level.WARNING,
            f"Nothing is done with change events of {', '.join(idle)}.",
            f"Choose entities under [policy.feeds] among {', '.join(sorted(USED))}.",
        )
    refused = False
    with EventStream(systems.settings.salesforce, systems.salesforce.auth) as stream:
        for entity in entities:
            try:
                stream.topic_schema(topic_of(entity))
            except StreamFault as fault:
                refused = True
                yield _refused(entity, fault)
                if fault.reaction is not Reaction.STOP:
                    return
    if not refused:
        yield CheckLine(
            "salesforce_events",
            Level.OK,
            f"Change events of {', '.join(entities)} can be subscribed.",
        )
    yield from _deliveries(systems)


def _refused(entity: str, fault: StreamFault) -> CheckLine:
    if fault.reaction is Reaction.STOP:
        return CheckLine(
            f"salesforce_events_{entity.lower()}",
            Level.WARNING,
            f"Change events of {entity} cannot be subscribed ({fault.code}); they are polled only.",
            fault.remedy,
        )
    return CheckLine(
        "salesforce_events_unreachable",
        Level.WARNING,
        f"Salesforce's event service does not answer ({fault.code}); changes are polled only.",
        "Let this computer reach pubsub_endpoint of [salesforce] over HTTP/2, port 7443.",
    )


def _deliveries(systems: Systems) -> Iterator[CheckLine]:
    allowance = systems.salesforce.limits().get("DailyDeliveredPlatformEvents") or {}
    most, left = int(allowance.get("Max") or 0), int(allowance.get("Remaining") or 0)
    if most and left * LOW_SHARE < most:
        yield CheckLine(
            "salesforce_event_deliveries",
            Level.WARNING,
            f"{left} of {most} event deliveries are left in the rolling day.",
            "Find out which subscriber uses them up; changes are polled when none are left.",
        )
