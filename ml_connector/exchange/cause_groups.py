"""What stands in a connection, grouped by its cause: one line per thing a person has to cure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ml_connector.domain.causes import Cause
from ml_connector.domain.identifiers import Kind, State
from ml_connector.exchange.addresses import Addresses
from ml_connector.exchange.feed_report import instant_text
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.records import Record

NAMED = 20
"""Records a group names; `replay --cause` runs all of them."""

_SENTENCES: Mapping[str, str] = {
    Cause.BLOCKED_CUSTOMER: "customer {} is blocked",
    Cause.BLOCKED_ITEM: "item {} is blocked",
    Cause.MISSING_ITEM: "product {} has no item",
    Cause.MISSING_CUSTOMER: "account {} is no customer yet",
    Cause.NUMBER_TAKEN: "customer number {} is taken",
    Cause.SHARED_CUSTOMER: "customer {} is shared",
}


@dataclass(slots=True)
class CauseGroup:
    """Records that one cure releases; `links` lead to the first of them."""

    cause: str
    subject: str
    remedy: str
    owner: str
    since: datetime
    last_seen_at: datetime
    attempts: int = 0
    links: dict[str, str] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    numbers: list[str] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        """What is the matter and how much waits for it: `customer C-100 is blocked: 14 orders`."""
        fact = _SENTENCES.get(self.cause, "")
        told = fact.format(self.subject) if fact and self.subject else self.cause.replace("_", " ")
        counts = ", ".join(
            f"{number} {kind}{'' if number == 1 else _plural(kind)}"
            for kind, number in self.kinds.items()
        )
        return f"{told}: {counts}"

    def to_json(self) -> dict[str, Any]:
        """Return the group as `status --json` lists it."""
        return {
            "cause": self.cause,
            "subject": self.subject,
            "sentence": self.sentence,
            "remedy": self.remedy,
            "owner": self.owner,
            "since": instant_text(self.since),
            "last_seen_at": instant_text(self.last_seen_at),
            "attempts": self.attempts,
            "links": self.links,
            "count": sum(self.kinds.values()),
            "by_kind": dict(self.kinds),
            "numbers": self.numbers,
        }


def _plural(kind: str) -> str:
    return "es" if kind.endswith("s") else "s"


def cause_groups(systems: Systems) -> list[CauseGroup]:
    """Return what waits or is parked by cause and subject, the largest group first."""
    groups: dict[tuple[str, str], CauseGroup] = {}
    addresses = Addresses(systems.settings)
    for page in systems.ledger.iterate(states=(State.WAITING, State.PARKED)):
        names = _numbers_of_needs(systems, page)
        for record in page:
            subject = _subject(record, names)
            group = groups.setdefault(
                (record.cause, subject),
                CauseGroup(
                    record.cause,
                    subject,
                    record.remedy,
                    record.owner,
                    record.since,
                    record.last_seen_at,
                    links=addresses.report(record)["links"],
                ),
            )
            group.since = min(group.since, record.since)
            group.last_seen_at = max(group.last_seen_at, record.last_seen_at)
            group.attempts = max(group.attempts, record.attempts)
            group.kinds[str(record.kind)] += 1
            if len(group.numbers) < NAMED:
                group.numbers.append(record.salesforce_number or record.bc_number or record.key)
    return sorted(groups.values(), key=lambda each: (-sum(each.kinds.values()), each.since))


def _subject(record: Record, names: Mapping[tuple[str, str], str]) -> str:
    """Return what the cause is about: the blocked customer, the missing item."""
    if record.waits_for:
        need = record.waits_for[0]
        return names.get(
            (str(need["kind"]), str(need["salesforce_id"])), str(need["salesforce_id"])
        )
    if record.cause in _SENTENCES and record.candidates:
        return str(record.candidates[0].get("bc_number") or "")
    return ""


def _numbers_of_needs(systems: Systems, page: list[Record]) -> dict[tuple[str, str], str]:
    wanted: dict[str, set[str]] = {}
    for record in page:
        for need in record.waits_for[:1]:
            wanted.setdefault(str(need["kind"]), set()).add(str(need["salesforce_id"]))
    return {
        (kind, key): record.salesforce_number or key
        for kind, keys in wanted.items()
        for key, record in systems.ledger.records(Kind(kind), sorted(keys)).items()
    }
