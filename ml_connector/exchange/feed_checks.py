"""Preflight of the change feeds: the objects' number, and whether each topic can be subscribed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ml_connector.configuration.feeds_policy import MOST_ENTITIES
from ml_connector.exchange.check_line import CheckLine, Level, fine
from ml_connector.exchange.systems import Systems
from ml_connector.salesforce.event_stream import EventStream, Reaction, StreamFault, topic_of

USED = frozenset({"Account", "Contact", "Opportunity", "Order", "OrderItem", "Product2"})
"""Objects whose changes mean something to the connector."""

OTHERS = (
    "OrderItem", "Pricebook2", "PricebookEntry", "Contract", "Asset", "Quote", "Campaign", "Case",
    "Lead", "User", "Task", "Event",
)  # fmt: skip
"""Standard objects that others select; asked for only when one of ours is not selected."""

NOT_SELECTED = "topic.not.found"
PAGE = "Setup → Integrations → Change Data Capture"
FILE = "connection file, [policy.feeds]"


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
            FILE,
        )
        return
    idle = sorted(set(entities) - USED)
    if idle:
        yield CheckLine(
            "salesforce_event_objects",
            Level.WARNING,
            f"Nothing is done with change events of {', '.join(idle)}.",
            f"Choose entities under [policy.feeds] among {', '.join(sorted(USED))}.",
            FILE,
        )
    with EventStream(systems.settings.salesforce, systems.salesforce.auth) as stream:
        yield from _topics(stream, entities)


def _topics(stream: EventStream, entities: Sequence[str]) -> Iterator[CheckLine]:
    faults: dict[str, StreamFault] = {}
    for entity in entities:
        try:
            stream.topic_schema(topic_of(entity))
        except StreamFault as fault:
            if fault.reaction is not Reaction.STOP:
                yield _unreachable(fault)
                return
            faults[entity] = fault
    if not faults:
        yield fine(
            "salesforce_events",
            f"Change events of {', '.join(entities)} can be subscribed: {len(entities)} of the "
            f"{MOST_ENTITIES} objects an org selects without an add-on.",
        )
        return
    yield from (_refused(entity, found) for entity, found in faults.items())
    if any(found.code == NOT_SELECTED for found in faults.values()):
        yield from _slots(stream, [each for each in entities if each not in faults])


def _slots(stream: EventStream, selected: Sequence[str]) -> Iterator[CheckLine]:
    """Say which other objects hold the places, as far as their topics tell."""
    others = [each for each in OTHERS if each not in selected and _is_selected(stream, each)]
    taken = len(selected) + len(others)
    if taken < MOST_ENTITIES:
        return
    yield CheckLine(
        "salesforce_event_slots",
        Level.WARNING,
        f"No place is free for another object: {', '.join([*selected, *others])} are selected, "
        f"and an org selects {MOST_ENTITIES} without an add-on.",
        f"Take one of {', '.join(others) or 'them'} out, buy the add-on, or leave the object out "
        "of entities under [policy.feeds]; it is polled then.",
        PAGE,
    )


def _is_selected(stream: EventStream, entity: str) -> bool:
    try:
        stream.topic_schema(topic_of(entity))
    except StreamFault:
        return False
    return True


def _refused(entity: str, fault: StreamFault) -> CheckLine:
    return CheckLine(
        f"salesforce_events_{entity.lower()}",
        Level.WARNING,
        f"Change events of {entity} cannot be subscribed ({fault.code}); they are polled only.",
        fault.remedy,
        PAGE,
    )


def _unreachable(fault: StreamFault) -> CheckLine:
    return CheckLine(
        "salesforce_events_unreachable",
        Level.WARNING,
        f"Salesforce's event service does not answer ({fault.code}); changes are polled only.",
        "Let this computer reach pubsub_endpoint of [salesforce] over HTTP/2, port 7443.",
        "connection file, [salesforce]",
    )
