"""Ids and numbers of records that a rehearsal pretends to create, and how to take them out again.

They are made from the content, so that two rehearsals of the same thing give the same ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid5

NAMESPACE = UUID("6f3a7c52-9a57-4b0e-8d1f-2f4c7f0c5d11")
NEW = "(new)"
"""What a plan shows in place of an id or number that the vendor will give."""

_NUMBER_PREFIX = "PLAN-"
_NUMBERS = re.compile(_NUMBER_PREFIX + "[0-9A-F]{12}")


class Placeholders:
    """The ids and numbers given out by one rehearsal."""

    def __init__(self) -> None:
        self._ids: set[str] = set()

    def id_for(self, entity_set: str, natural_key: str) -> str:
        """Return a BC id for a record that does not exist; another one when it was given out."""
        turn = 0
        while (made := str(uuid5(NAMESPACE, f"{entity_set} {natural_key} {turn}"))) in self._ids:
            turn += 1
        self._ids.add(made)
        return made

    @staticmethod
    def number_for(record_id: str) -> str:
        """Return a number for a record that BC will number itself."""
        return _NUMBER_PREFIX + record_id.replace("-", "")[-12:].upper()

    def __contains__(self, record_id: object) -> bool:
        return record_id in self._ids

    def without(self, value: Any) -> Any:
        """Return a JSON value with every placeholder in it as "(new)"."""
        match value:
            case str():
                return NEW if value in self._ids else _NUMBERS.sub(NEW, value)
            case Mapping():
                return {name: self.without(each) for name, each in value.items()}
            case list() | tuple():
                return [self.without(each) for each in value]
            case _:
                return value
