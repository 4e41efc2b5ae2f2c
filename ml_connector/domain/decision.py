"""What planning decides about one record: a union of small values, taken apart with `match`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ml_connector.domain.causes import CATALOGUE, Cause
from ml_connector.domain.identifiers import Kind, Owner

Body: TypeAlias = Mapping[str, Any]
"""What is sent to a vendor: field name → JSON value, in sending order; lines are lists of Body."""


@dataclass(frozen=True, slots=True)
class Need:
    """One record that has to exist first."""

    kind: Kind
    salesforce_id: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """One record that could be meant, for a person to choose from."""

    bc_id: str
    bc_number: str
    name: str


@dataclass(frozen=True, slots=True)
class Create:
    """Create the record in BC with *body*; `rule` says which rule decided."""

    body: Body
    rule: str


@dataclass(frozen=True, slots=True)
class Update:
    """Change `changes` of an existing BC record; `before` holds the same fields as they are now.

    `unchanged` is sent along as BC has it, where the ETag would go with no field otherwise.
    """

    bc_id: str
    bc_number: str
    etag: str
    changes: Body
    before: Body
    rule: str
    unchanged: Body = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an existing BC record; `before` holds what it is about, `rule` why."""

    bc_id: str
    bc_number: str
    etag: str
    before: Body
    rule: str


@dataclass(frozen=True, slots=True)
class Link:
    """Take an existing BC record as the partner; `changes` are what the first link may fill."""

    bc_id: str
    bc_number: str
    etag: str
    rule: str
    changes: Body = field(default_factory=dict)
    before: Body = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Linked and equal: nothing to write."""

    bc_id: str
    bc_number: str
    rule: str = "equal"


@dataclass(frozen=True, slots=True)
class Wait:
    """Not yet: released by itself when every need exists."""

    cause: Cause
    message: str
    needs: tuple[Need, ...] = ()


@dataclass(frozen=True, slots=True)
class Park:
    """A person has to act; message is a plain sentence that names the record and the value."""

    cause: Cause
    message: str
    candidates: tuple[Candidate, ...] = ()
    fields: tuple[str, ...] = ()

    @property
    def remedy(self) -> str:
        """What a person should do, one sentence."""
        return CATALOGUE[self.cause].remedy

    @property
    def owner(self) -> Owner:
        """Who can do it."""
        return CATALOGUE[self.cause].owner


@dataclass(frozen=True, slots=True)
class Exclude:
    """Left out by a rule of the policy."""

    cause: Cause
    message: str


Decision: TypeAlias = Create | Update | Delete | Link | Unchanged | Wait | Park | Exclude
