"""Keep our subscriptions in BC as they should be: what is missing, what is ours no more.

BC forgets a subscription after three days, after one wrong answer of the receiver, or when that
was away for long; nobody tells. So what BC really has is compared with what we want, each time.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from ml_connector.business_central.subscriptions import (
    Subscription,
    create_subscription,
    delete_subscription,
    list_subscriptions,
    renew_subscription,
    supported_sets,
)
from ml_connector.errors import (
    AuthenticationError,
    ConcurrentEdit,
    ConfigurationError,
    ConnectorError,
    OutcomeUnknown,
    RecordNotFound,
    RecordRejected,
    StaleClaim,
    TransientError,
)
from ml_connector.exchange.feed_report import instant_text, note_try
from ml_connector.exchange.notified import FEED, GAP, NOTIFIED_SETS, whole_set
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.records import KnownSubscription

log = logging.getLogger("ml_connector")


class Action(StrEnum):
    """What a step does to a subscription."""

    CREATE = "create"
    RENEW = "renew"
    DELETE = "delete"


class Ending(StrEnum):
    """How a step ended."""

    CREATED = "created"
    RECREATED = "recreated"
    RENEWED = "renewed"
    DELETED = "deleted"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do; `gap_since` says since when notifications may be missing."""

    action: Action
    entity_set: str
    subscription: Subscription | None = None
    gap_since: datetime | None = None

    def __str__(self) -> str:
        return f"{self.action} {self.entity_set}"


@dataclass(frozen=True, slots=True)
class Done:
    """How a step ended, and for how long the subscription lives."""

    entity_set: str
    ending: Ending
    expires_at: datetime | None = None
    gap_since: datetime | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What there is to do, and what needs no subscription."""

    steps: tuple[Step, ...] = ()
    polled: tuple[str, ...] = ()
    """Sets that are only polled: BC offers no subscription, or no receiver is configured."""
    others: int = 0
    """Subscriptions of somebody else in the environment; they are never touched."""


@dataclass(slots=True)
class Report:
    """What one keeping of the subscriptions did."""

    plan: Plan
    done: list[Done] = field(default_factory=list)
    lost: list[TransientError] = field(default_factory=list)
    """What kept steps from an answer."""

    def lose(self, step: Step, error: TransientError) -> None:
        """Note that *step* has no answer, so that the others are taken: none must lapse with it."""
        self.lost.append(error)
        self.done.append(refused(step, error))

    def raise_lost(self) -> None:
        """Raise the first fault that kept a step from an answer."""
        if self.lost:
            raise self.lost[0]

    def sets(self, ending: Ending) -> list[str]:
        """Return the sets of the steps that ended so."""
        return [each.entity_set for each in self.done if each.ending is ending]

    @property
    def has_gaps(self) -> bool:
        """Whether something may have gone untold and has to be read again."""
        return any(each.gap_since and each.ending is not Ending.REFUSED for each in self.done)

    @property
    def is_complete(self) -> bool:
        """Whether every wanted subscription stands."""
        return not self.sets(Ending.REFUSED)


def plan_subscriptions(systems: Systems) -> Plan:
    """Compare what BC has with what we want; writes nothing in BC.

    Effect: the ledger remembers when notifications were first wanted.

    Raises: ConfigurationError (`no_client_state`) when the connection has no secret to subscribe
    with.
    """
    central = systems.settings.business_central
    url = central.notification_url
    if url and not systems.settings.notification_client_state.get_secret_value():
        raise ConfigurationError(
            "The connection has no secret for its subscriptions.",
            code="no_client_state",
            remedy="Run `ml-connector connect` with the connection file again.",
        )
    offered = supported_sets(systems.business_central) if url else frozenset()
    wanted = tuple(each for each in NOTIFIED_SETS if each in offered)
    if wanted:
        note_try(systems, FEED)
    existing = list_subscriptions(systems.business_central)
    return decide(
        existing,
        systems.ledger.subscriptions(),
        _Ours(
            url=url,
            company_id=systems.business_central.company().id.lower(),
            client_state=systems.settings.notification_client_state.get_secret_value(),
            wanted=wanted,
        ),
    )


@dataclass(frozen=True, slots=True)
class _Ours:
    """How our subscriptions look."""

    url: str
    company_id: str
    client_state: str = field(repr=False)
    wanted: tuple[str, ...] = ()

    def carries_our_proof(self, subscription: Subscription) -> bool:
        """Tell whether only we can have made it."""
        given = subscription.client_state.get_secret_value().encode()
        return bool(self.client_state) and hmac.compare_digest(given, self.client_state.encode())

    def is_ours(self, subscription: Subscription) -> bool:
        """Tell whether it carries our proof, or shows none and leads to our receiver."""
        shows = bool(subscription.client_state.get_secret_value())
        leads_to_us = bool(self.url) and subscription.notification_url == self.url
        return self.carries_our_proof(subscription) or (leads_to_us and not shows)


def decide(
    existing: Sequence[Subscription], known: Sequence[KnownSubscription], ours: _Ours
) -> Plan:
    """Return the steps that make *existing* what we want; pure.

    Ours is what carries our proof or what we remember to have made, in our company. One per wanted
    set at our address stays, the rest of ours goes. What we remember and BC does not have leaves a
    gap since it was last seen.
    """
    remembered = {each.subscription_id: each for each in known}
    mine = [
        each
        for each in existing
        if each.resource is not None
        and each.resource.company_id == ours.company_id
        and (ours.is_ours(each) or each.id in remembered)
    ]
    steps: list[Step] = []
    kept: set[str] = set()
    for entity_set in ours.wanted:
        fitting = sorted(
            (
                each
                for each in mine
                if each.resource is not None
                and each.resource.entity_set == entity_set
                and each.notification_url == ours.url
            ),
            key=lambda each: (each.expires_at is not None, each.expires_at, each.id),
        )
        seen = [each.verified_at for each in known if each.entity_set == entity_set]
        last_seen = max(seen, default=None)
        if fitting:
            stays = fitting[-1]
            kept.add(stays.id)
            proven = not stays.client_state.get_secret_value() or ours.carries_our_proof(stays)
            # one that is not remembered was made by a run that died before it could note the gap
            gap = None if proven and stays.id in remembered else last_seen
            steps.append(Step(Action.RENEW, entity_set, stays, gap))
        else:
            steps.append(Step(Action.CREATE, entity_set, None, last_seen))
    orphans = [each for each in mine if each.id not in kept]
    removals = [
        Step(Action.DELETE, each.resource.entity_set if each.resource else "", each)
        for each in orphans
    ]
    return Plan(
        steps=(*steps, *removals),
        polled=tuple(each for each in NOTIFIED_SETS if each not in ours.wanted),
        others=len(existing) - len(mine),
    )


def take_step(systems: Systems, step: Step) -> Done:
    """Do one step and store how it ended.

    Effect: one write in BC, with a handshake unless it deletes; repeating it is harmless. What BC
    refuses comes back as `refused`, so that the other sets are kept all the same: the receiver was
    not there for the handshake, or the app may not read this set.

    Raises: TransientError, to be tried again; AuthenticationError.
    """
    try:
        match step.action:
            case Action.DELETE:
                return _delete(systems, step)
            case Action.RENEW:
                return _renew(systems, step)
            case Action.CREATE:
                return _create(systems, step)
    except (AuthenticationError, TransientError, StaleClaim):
        raise
    except ConnectorError as error:
        log.warning(
            "no subscription to %s: Business Central refused it (%s); is the receiver reachable at"
            " the notification_url, and may the app read this set?",
            step.entity_set,
            error.code,
        )
        return refused(step, error)


def refused(step: Step, error: ConnectorError) -> Done:
    """Return that *step* came to nothing, and why."""
    return Done(step.entity_set, Ending.REFUSED, message=error.message)


def _delete(systems: Systems, step: Step) -> Done:
    assert step.subscription is not None  # noqa: S101 - a deletion names one
    try:
        delete_subscription(systems.business_central, step.subscription)
    except RecordNotFound:
        log.info("the subscription to %s was gone already", step.entity_set)
    with systems.ledger.transaction() as tx:
        tx.forget_subscriptions([step.subscription.id])
    return Done(step.entity_set, Ending.DELETED)


def _renew(systems: Systems, step: Step) -> Done:
    assert step.subscription is not None  # noqa: S101 - a renewal names one
    state = systems.settings.notification_client_state
    try:
        renewed = renew_subscription(
            systems.business_central, step.subscription, step.entity_set, state
        )
    except (RecordNotFound, ConcurrentEdit):
        log.warning("the subscription to %s vanished; making a new one", step.entity_set)
        last_seen = [
            each.verified_at
            for each in systems.ledger.subscriptions()
            if each.entity_set == step.entity_set
        ]
        gap = max(last_seen, default=step.gap_since)
        return _create(systems, Step(Action.CREATE, step.entity_set, None, gap))
    _store(systems, step.entity_set, renewed, step.gap_since)
    return Done(step.entity_set, Ending.RENEWED, renewed.expires_at, step.gap_since)


def _create(systems: Systems, step: Step) -> Done:
    url = systems.settings.business_central.notification_url
    state = systems.settings.notification_client_state
    try:
        made = create_subscription(systems.business_central, step.entity_set, url, state)
    except (OutcomeUnknown, RecordRejected):
        found = _found(systems, step.entity_set)
        if found is None:
            raise
        made = found
    _store(systems, step.entity_set, made, step.gap_since)
    ending = Ending.CREATED if step.gap_since is None else Ending.RECREATED
    return Done(step.entity_set, ending, made.expires_at, step.gap_since)


def _found(systems: Systems, entity_set: str) -> Subscription | None:
    """Return the subscription that a create without a readable answer may have made."""
    ours = _Ours(
        url=systems.settings.business_central.notification_url,
        company_id=systems.business_central.company().id.lower(),
        client_state=systems.settings.notification_client_state.get_secret_value(),
    )
    for each in list_subscriptions(systems.business_central):
        if (
            each.resource is not None
            and (each.resource.company_id, each.resource.entity_set)
            == (ours.company_id, entity_set)
            and each.notification_url == ours.url
            and ours.is_ours(each)
        ):
            return each
    return None


def _store(
    systems: Systems, entity_set: str, subscription: Subscription, gap_since: datetime | None
) -> None:
    """Store what stands now, forget what stood there before, and have the gap read again."""
    now = systems.clock.now()
    before = [
        each.subscription_id
        for each in systems.ledger.subscriptions()
        if each.entity_set == entity_set and each.subscription_id != subscription.id
    ]
    with systems.ledger.transaction() as tx:
        tx.forget_subscriptions(before)
        tx.save_subscription(
            KnownSubscription(
                subscription_id=subscription.id,
                entity_set=entity_set,
                notification_url=subscription.notification_url,
                created_at=now,
                verified_at=now,
                expires_at=subscription.expires_at,
            )
        )
        if gap_since is not None:
            log.warning("notifications of %s may be missing since %s", entity_set, gap_since)
            tx.add_changes([whole_set(entity_set, now, GAP)])


def confirm_feed(systems: Systems, done: Iterable[Done]) -> None:
    """Say that the feed is whole up to now when every subscription stands."""
    endings = [each.ending for each in done]
    standing = [each for each in endings if each is not Ending.DELETED]
    if standing and Ending.REFUSED not in standing:
        with systems.ledger.transaction() as tx:
            tx.move_checkpoint(FEED, "", systems.clock.now())


def keep_subscriptions(systems: Systems) -> Report:
    """Plan and take every step, one after another; the flow does the same with a task each.

    Raises: TransientError of the first step without an answer, after all others were taken.
    """
    report = Report(plan_subscriptions(systems))
    for step in report.plan.steps:
        try:
            report.done.append(take_step(systems, step))
        except TransientError as error:
            report.lose(step, error)
    confirm_feed(systems, report.done)
    report.raise_lost()
    return report


def report_json(report: Report) -> dict[str, Any]:
    """Return the report as `renew --json` prints it."""
    return {
        **{str(ending): report.sets(ending) for ending in Ending},
        "gaps": [
            {"entity_set": each.entity_set, "since": instant_text(each.gap_since)}
            for each in report.done
            if each.gap_since is not None and each.ending is not Ending.REFUSED
        ],
        "polled": list(report.plan.polled),
        "others": report.plan.others,
        "expires_at": instant_text(
            min((each.expires_at for each in report.done if each.expires_at), default=None)
        ),
    }
