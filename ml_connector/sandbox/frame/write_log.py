"""Who wrote what, when and with which client: the witness that examinations count by."""

from collections import deque
from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from typing import Any

from ml_connector.sandbox.frame.clock import SandboxClock

KEPT = 1_000_000


class WriteLog:
    """One entry per record written, in order, with a sequence number that never repeats."""

    def __init__(self, clock: SandboxClock) -> None:
        self._clock = clock
        self._sequence = 0
        self._entries: deque[tuple[Any, ...]] = deque(maxlen=KEPT)

    def add(
        self,
        *,
        system: str,
        who: str,
        client: str | None,
        operation: str,
        entity: str,
        record_id: str | None,
        number: str | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> int:
        """Note one write and return its sequence number."""
        self._sequence += 1
        self._entries.append(
            (
                self._sequence,
                self._clock.now(),
                system,
                who,
                client,
                operation,
                entity,
                record_id,
                number,
                dict(fields) if fields is not None else {},
            )
        )
        return self._sequence

    @property
    def last(self) -> int:
        """The sequence number of the newest entry, 0 when there is none."""
        return self._sequence

    def entries(self, since: int = 0) -> list[dict[str, Any]]:
        """The entries after a sequence number, oldest first."""
        missing = self._sequence - len(self._entries)
        return [_as_dict(entry) for entry in islice(self._entries, max(0, since - missing), None)]

    def dump(self) -> tuple[int, tuple[tuple[Any, ...], ...]]:
        """The log's content, for a snapshot."""
        return self._sequence, tuple(self._entries)

    def restore(self, content: tuple[int, tuple[tuple[Any, ...], ...]]) -> None:
        """Set the log as a snapshot had it."""
        self._sequence = content[0]
        self._entries = deque(content[1], maxlen=KEPT)


def _as_dict(entry: tuple[Any, ...]) -> dict[str, Any]:
    sequence, at, system, who, client, operation, entity, record_id, number, fields = entry
    moment: datetime = at
    return {
        "sequence": sequence,
        "at": moment,
        "system": system,
        "who": who,
        "client": client,
        "operation": operation,
        "entity": entity,
        "record_id": record_id,
        "number": number,
        "fields": fields,
    }
