"""What the ledger says about an erased person or company in other records, and taking it out.

Orders name their customer, an Account that may be a customer twice names the other one, and a
vendor's message can name anybody. Names are looked for as whole words in any case. Other customers
and contacts keep their own content: a namesake is somebody else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ml_connector.domain.fitting import cut_at_word
from ml_connector.domain.identifiers import Kind
from ml_connector.exchange.customers import KEPT
from ml_connector.exchange.expressed import TARGETS, express
from ml_connector.exchange.merges import survivor_of
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.intents import EVERY_STATE
from ml_connector.ledger.records import Record
from ml_connector.ledger.transaction import Transaction
from ml_connector.wire_json import decode, encode

ERASED = "(erased on request)"
"""What a record says in place of a message that named somebody who was erased."""

PEOPLE = (Kind.CUSTOMER, Kind.CONTACT)

_NAMED = frozenset({"displayName", "email"})
_QUOTED = re.compile(r'(?:Account|Contact) "([^"]+?)…?"')
_SYNC_MESSAGE = "BC_Sync_Message__c"
_TOLD = ("message", _SYNC_MESSAGE, "other")
"""The parts of a customer's or contact's audit entry that can be about somebody else."""


@dataclass(frozen=True, slots=True)
class Mentions:
    """Where the ledger mentions those who are erased: found without a lock, taken out with one."""

    says: _Names
    accounts: frozenset[str]
    records: Sequence[tuple[Kind, str]]
    entries: Sequence[int]
    intents: Sequence[int]


class _Names:
    """The names to look for."""

    def __init__(self, names: Iterable[str]) -> None:
        cut = {cut_at_word(name, 60) for name in names} | set(names)
        told = {name for name in cut if len(name) > 1 and any(map(str.isalpha, name))}
        listed = "|".join(re.escape(encode(name).decode()[1:-1]) for name in sorted(told))
        self._pattern = re.compile(
            rf"(?:(?<!\w)|(?<=\\[nrt]))(?:{listed})(?!\w)" if listed else r"(?!)", re.IGNORECASE
        )

    def in_json(self, text: str) -> bool:
        """Tell whether a JSON text has one of the names."""
        return bool(self._pattern.search(text))

    def __call__(self, value: Any) -> bool:
        return self.in_json(encode(value).decode())


def merged_into(systems: Systems, found: Sequence[Record]) -> list[Record]:
    """Return the records that were merged into one of *found*: they are about the same person."""
    keys = {(record.kind, record.key) for record in found}
    return [
        record
        for kind in PEOPLE
        if any(each.kind is kind for each in found)
        for page in systems.ledger.iterate(kind=kind)
        for record in page
        if (kind, survivor_of(record)) in keys and (kind, record.key) not in keys
    ]


def find_mentions(systems: Systems, erased: Sequence[Record]) -> Mentions:
    """Return where others mention the customers and contacts among *erased*.

    Effect: none. Cost: reads the ledger's records, intents and audit entries once. Called before
    the erasure, which takes the names away.
    """
    people = [record for record in erased if record.kind in PEOPLE]
    if not people:
        return Mentions(_Names(()), frozenset(), (), (), ())
    says = _Names(_names(systems, people))
    accounts = frozenset(record.key for record in people if record.kind is Kind.CUSTOMER)
    gone = {(record.kind, record.key) for record in erased}
    records, orders = [], set()
    for page in systems.ledger.iterate():
        for record in page:
            if (record.kind, record.key) in gone:
                continue
            if _is_of(record, accounts):
                orders.add(record.key)
            if _blank(record, says, accounts):
                records.append((record.kind, record.key))

    def told(kind: str, key: str, *texts: str) -> bool:
        if kind == Kind.ORDER and key in orders:
            return True
        return any(map(says.in_json, texts))

    entries = [
        entry.sequence
        for entry in systems.ledger.audit_contents()
        if told(entry.kind, entry.key, entry.before, entry.after)
        and (entry.kind not in PEOPLE or says(_about_others(entry.before, entry.after)))
    ]
    intents = [
        intent.id
        for intent in systems.ledger.closed_intents()
        if told(intent.kind, intent.key, encode(intent.message).decode())
        or (intent.kind not in PEOPLE and says.in_json(intent.payload))
    ]
    return Mentions(says, accounts, records, entries, intents)


def take_out(tx: Transaction, systems: Systems, mentions: Mentions) -> list[Record]:
    """Take the mentions out of the ledger; returns the records that lost something.

    Effect: in the caller's transaction. States and causes stay; Salesforce is to show the new
    message with the next run.
    """
    blanked = []
    for kind, key in mentions.records:
        record = systems.ledger.record(kind, key)
        if record is not None and _blank(record, mentions.says, mentions.accounts):
            blanked.append(record)
    tx.save_all(blanked)
    tx.erase_contents(mentions.entries, mentions.intents, systems.run)
    return blanked


def _names(systems: Systems, people: Sequence[Record]) -> set[str]:
    """Return by what names the ledger knows *people*, in both systems, now and before."""
    names: set[str] = set()
    ids = {record.bc_id.lower() for record in people} - {""}
    for record in people:
        if record.salesforce_number.lower() != record.bc_number.lower():
            names.add(record.salesforce_number)
        written = systems.ledger.intents(record.kind, [record.key], states=EVERY_STATE)
        known: list[Any] = [record.sent, record.facts]
        known += [intent.payload for intent in written.get(record.key, ())]
        messages = [record.message]
        for entry in systems.ledger.audit_entries(record.kind, record.key):
            known += [entry.before, entry.after]
            messages.append(str((entry.after or {}).get("message", "")))
        names.update(_named(known))
        names.update(name for message in messages for name in _QUOTED.findall(message))
    for page in systems.ledger.iterate():
        for candidate in (each for record in page for each in record.candidates):
            if str(candidate.get("bc_id", "")).lower() in ids:
                names.add(str(candidate.get("name", "")))
    return names - {""}


def _named(value: Any) -> Iterator[str]:
    match value:
        case Mapping():
            for name, each in value.items():
                if name in _NAMED and isinstance(each, str):
                    yield each
                else:
                    yield from _named(each)
        case list() | tuple():
            for each in value:
                yield from _named(each)


def _is_of(record: Record, accounts: frozenset[str]) -> bool:
    return record.kind is Kind.ORDER and record.facts.get("account_id") in accounts


def _about_others(*contents: str) -> list[Any]:
    """Return what an audit entry of a customer or contact can say about somebody else."""
    return [decode(content.encode()).get(name) for content in contents for name in _TOLD]


def _blank(record: Record, says: _Names, accounts: frozenset[str]) -> bool:
    """Take the names out of *record*, in memory; returns whether there was anything to take out."""
    is_of = _is_of(record, accounts)
    before = encode([record.message, record.candidates, record.facts, record.shown, record.wanted])
    if record.message and (is_of or says(record.message)):
        record.message = ERASED
    record.candidates = [
        {**each, "name": ""} if each.get("name") and (is_of or says(each)) else each
        for each in record.candidates
    ]
    kept = {name: value for name, value in record.facts.items() if name == KEPT}
    record.facts = {**_without(record.facts, says), **kept}
    for name in {*record.wanted, *(record.shown or {})}:
        ours = name == _SYNC_MESSAGE or record.kind not in PEOPLE
        if ours and says([record.wanted.get(name), (record.shown or {}).get(name)]):
            record.wanted.pop(name, None)
            (record.shown or {}).pop(name, None)
    after = encode([record.message, record.candidates, record.facts, record.shown, record.wanted])
    if after == before:
        return False
    if record.kind in TARGETS:
        express(record)
    return True


def _without(value: Any, says: _Names) -> Any:
    """Return a JSON value without the texts that have one of the names."""
    match value:
        case Mapping():
            kept = {name: each for name, each in value.items() if not _is_said(each, says)}
            return {name: _without(each, says) for name, each in kept.items()}
        case list() | tuple():
            return [_without(each, says) for each in value if not _is_said(each, says)]
    return value


def _is_said(value: Any, says: _Names) -> bool:
    return isinstance(value, str) and says(value)
