"""The company's state: tables, series, ledgers, transactions and the log of changes."""

import base64
import contextlib
import os
import pickle
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from typing import Any

from ml_connector.sandbox.business_central.entities import (
    BLANK_GUID,
    ENTITIES,
    HEADERS,
    NEEDS_PARENT,
    encode_option,
)
from ml_connector.sandbox.business_central.faults import Refusal, business_rule
from ml_connector.sandbox.business_central.number_series import (
    MANUAL,
    NumberSeries,
    following,
    standard_series,
)
from ml_connector.sandbox.business_central.tables import Row, Table, make_tables
from ml_connector.sandbox.frame.application import Frame

_NAMESPACE = uuid.UUID("6f3a1d36-51c2-4a2f-9d0b-8c1c9c1f7a10")
CLERK = "clerk"
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Identity:
    """What names the tenant, its app, its environment and its company."""

    tenant_id: str = "3f1c7d9a-5b0e-4c58-9a55-2f6d1f0f7c11"
    client_id: str = "9d2a4d2e-8a3b-4f57-bb63-0c7a0f5a2e01"
    client_secret: str = "sandbox-secret"  # noqa: S105 - the sandbox's own
    environment: str = "Production"
    company_id: str = "824820a2-508c-ed11-aada-000d3a298ab3"
    company_name: str = "CRONUS US"
    local_currency: str = "USD"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who writes: a person or an app, and with which client."""

    who: str = CLERK
    client: str | None = None


class Company:
    """One company's data. Every change goes through `insert`, `update` and `delete`."""

    def __init__(self, frame: Frame, identity: Identity) -> None:
        self.frame = frame
        self.identity = identity
        self.tables: dict[str, Table] = make_tables()
        self.series: dict[str, NumberSeries] = standard_series()
        self.change_log: list[dict[str, Any]] = []
        self.actor = Actor()
        self.version = 1000
        self.entry_number = 0
        self.watchers: list[Callable[[dict[str, Any]], None]] = []
        self._undo: list[Callable[[], None]] | None = None
        self._pending: list[tuple[str, str, str, Row, Row]] = []
        self._moved: set[tuple[str, str]] = set()
        self._noticed = True

    # -- time, ids, money ---------------------------------------------------------------------

    @property
    def switches(self) -> dict[str, Any]:
        """The switches as they stand."""
        return self.frame.switches

    def stamp(self) -> str:
        """The present instant in wire form."""
        return wire_time(self.frame.clock.now())

    def today(self) -> str:
        """The company's work date in wire form."""
        return self.frame.clock.today().isoformat()

    @staticmethod
    def new_id() -> str:
        """A fresh record id."""
        text = os.urandom(16).hex()
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"

    def seeded_id(self, *parts: str) -> str:
        """The id a loaded record gets: the same in every run."""
        return str(uuid.uuid5(_NAMESPACE, "|".join((self.identity.company_id, *parts))))

    def round_amount(self, amount: Decimal, currency_code: str) -> Decimal:
        """An amount rounded as its currency rounds, half up."""
        step = Decimal("0.01")
        if currency_code:
            row = self.tables["currencies"].first("code", currency_code)
            if row is not None:
                step = Decimal(row["amountRoundingPrecision"])
        return (amount / step).quantize(Decimal(1), ROUND_HALF_UP) * step

    def rate(self, currency_code: str) -> Decimal:
        """How much local money one unit of the currency is."""
        if not currency_code:
            return Decimal(1)
        row = self.tables["currencies"].first("code", currency_code)
        return Decimal(1) if row is None else Decimal(row["_rate"])

    def local(self, amount: Decimal, currency_code: str) -> Decimal:
        """An amount in local money."""
        return self.round_amount(amount * self.rate(currency_code), "")

    # -- reading ------------------------------------------------------------------------------

    def table(self, name: str) -> Table:
        """A stored set."""
        return self.tables[name]

    def row(self, entity: str, row_id: str) -> Row | None:
        """A row of a stored set."""
        return self.tables[entity].rows.get(row_id)

    def by_code(self, entity: str, code: str) -> Row | None:
        """The row with this code."""
        return self.tables[entity].first("code", code)

    def etag(self, row: Row) -> str:
        """The entity tag of a row; a switch lets calculated values take part."""
        content = f"19;{row['_v']:020d};00;"
        if self.switches["etag_covers_calculated"] and "_remaining" in row:
            content += f"{row['_remaining']};"
        text = base64.b64encode(f"'{content}'".encode()).decode()
        return f'W/"{text}"'

    # -- writing ------------------------------------------------------------------------------

    def blank_row(self, entity: str) -> Row:
        """A row with every field at its blank value and a new id."""
        return {**_blank(entity), ENTITIES[entity].key: self.new_id()}

    def insert(self, entity: str, row: Row) -> Row:
        """Add a row with a stamp and a version."""
        self.version += 1
        row["_v"] = self.version
        if "lastModifiedDateTime" in row:
            row["lastModifiedDateTime"] = self.stamp()
        table = self.tables[entity]
        table.add(row)
        key = row[table.key]
        self._on_undo(lambda: table.remove(key))
        self._touch(entity, row, "created", row)
        return row

    def update(self, entity: str, row: Row, values: Row) -> None:
        """Change a row: new version, new stamp."""
        self.version += 1
        if any(row.get(name) != value for name, value in values.items()):
            self._moved.add((entity, row[self.tables[entity].key]))
        stamped = {**values, "_v": self.version}
        if "lastModifiedDateTime" in row:
            stamped["lastModifiedDateTime"] = self.stamp()
        self._set(entity, row, stamped)
        self._touch(entity, row, "updated", values)

    def update_silently(self, entity: str, row: Row, values: Row) -> None:
        """Change what is calculated on reading: neither version nor stamp moves."""
        self._set(entity, row, values)

    def delete(self, entity: str, row: Row) -> None:
        """Remove a row."""
        table = self.tables[entity]
        table.remove(row[table.key])
        self._on_undo(lambda: table.add(row))
        self._touch(entity, row, "deleted", {})

    def touch(self, entity: str, row: Row) -> None:
        """Move version and stamp of a row whose content did not change."""
        self.update(entity, row, {})

    def note_action(self, entity: str, row: Row, action: str) -> None:
        """Put a bound action into the write log."""
        table = self.tables[entity]
        self._pending.append((entity, row[table.key], action, row, {}))

    def _set(self, entity: str, row: Row, values: Row) -> None:
        table = self.tables[entity]
        before = {name: row[name] for name in values if name in row}
        table.change(row, values)
        self._on_undo(lambda: table.change(row, before))

    def take_number(self, series: str) -> str:
        """The next free number of a series; given back on a rollback unless gaps are allowed."""
        entry = self.series[series]
        before = entry.next_number
        table = self.tables.get(series)
        while table is not None and table.first("number", entry.next_number) is not None:
            entry.next_number = following(entry.next_number)
        number = entry.take()
        if not self.switches["gaps_allowed"]:
            self._on_undo(lambda: setattr(entry, "next_number", before))
        return number

    def manual_number(self, entity: str, number: str) -> str:
        """A number the caller chose, checked; blank takes one from the series."""
        if not number:
            return self.take_number(entity)
        if not self.switches[MANUAL[entity]]:
            raise business_rule(
                "Numbers cannot be entered by hand here: Manual Nos. is off in No. Series "
                f"{entity.upper()}."
            )
        self.check_unique(entity, "number", number)
        return number

    def check_unique(self, entity: str, field: str, value: str, own: str = "") -> None:
        """Refuse a key that another row of the set has."""
        other = self.tables[entity].first(field, value)
        if other is not None and other["id"] != own:
            title = ENTITIES[entity].type_name
            raise Refusal(
                int(self.switches["duplicate_key_status"]),
                "Internal_EntityWithSameKeyExists",
                f"There is already a {title}. Identification: {field}='{value}'.",
            )

    # -- transactions -------------------------------------------------------------------------

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; an inner one joins the outer but undoes its own part on a failure."""
        outer = self._undo
        mark, noted = (len(outer) if outer is not None else 0), len(self._pending)
        if outer is None:
            self._undo = []
        try:
            yield
        except BaseException:
            self._roll_back(mark, noted)
            if outer is None:
                self._finish()
            raise
        if outer is None:
            self._finish()

    @contextlib.contextmanager
    def unnoticed(self) -> Iterator[None]:
        """A transaction of which neither the write log nor the change log hears."""
        with self.transaction():
            self._noticed = False
            try:
                yield
            finally:
                self._noticed = True
                self._pending.clear()
                self._moved.clear()

    def commit_point(self) -> None:
        """Make everything so far permanent, as posting code does on its way."""
        if self._undo is not None:
            self._undo.clear()
            self._publish()

    def _roll_back(self, mark: int, noted: int) -> None:
        undo = self._undo or []
        while len(undo) > mark:
            undo.pop()()
        del self._pending[noted:]

    def _finish(self) -> None:
        self._undo = None
        self._publish()

    def _on_undo(self, step: Callable[[], Any]) -> None:
        if self._undo is not None:
            self._undo.append(step)

    def _touch(self, entity: str, row: Row, kind: str, values: Row) -> None:
        if entity.startswith("_"):
            return
        public = {name: value for name, value in values.items() if not name.startswith("_")}
        row_id = row[self.tables[entity].key]
        if kind == "updated":
            for noted in reversed(self._pending):
                if noted[0] == entity and noted[1] == row_id and noted[2] in _MERGED:
                    noted[4].update(public)
                    return
        self._pending.append((entity, row_id, kind, row, public))
        if self._undo is None:
            self._publish()

    def _publish(self) -> None:
        """Hand the finished transaction to the write log and the change log."""
        pending, self._pending = self._pending, []
        moved, self._moved = self._moved, set()
        if not self._noticed:
            return
        changes: dict[tuple[str, str], str] = {}
        for entity, row_id, kind, row, values in pending:
            number = row.get("number") or row.get("code") or row.get("documentNo")
            self.frame.writes.add(
                system="business_central",
                who=self.actor.who,
                client=self.actor.client,
                operation=_OPERATIONS.get(kind, kind),
                entity=entity,
                record_id=row_id,
                number=str(number) if number else None,
                fields=values,
            )
            if kind not in _OPERATIONS:
                continue
            if entity in HEADERS:
                header = self.row(HEADERS[entity], row["documentId"])
                if header is not None:
                    changes.setdefault((HEADERS[entity], header["id"]), "updated")
                    if kind != "updated" or (entity, row_id) in moved:
                        moved.add((HEADERS[entity], header["id"]))
                continue
            if entity in NEEDS_PARENT:
                continue
            key = (entity, row_id)
            if kind == "deleted" and changes.get(key) == "created":
                del changes[key]
            elif kind != "updated" or key not in changes:
                changes[key] = kind
        moment = self.frame.clock.now()
        for (entity, row_id), kind in changes.items():
            entry = {
                "sequence": len(self.change_log) + 1,
                "entity_set": entity,
                "id": row_id,
                "kind": kind,
                "null": kind == "updated" and (entity, row_id) not in moved,
                "at": moment,
                "who": self.actor.who,
            }
            self.change_log.append(entry)
            for watcher in self.watchers:
                watcher(entry)

    # -- whole state --------------------------------------------------------------------------

    def dump(self) -> bytes:
        """The whole state, pickled."""
        return pickle.dumps(
            {
                "tables": self.tables,
                "series": self.series,
                "change_log": self.change_log,
                "version": self.version,
                "entry_number": self.entry_number,
            },
            protocol=pickle.HIGHEST_PROTOCOL,
        )

    def restore(self, blob: bytes) -> None:
        """Set the state as a dump had it."""
        content = pickle.loads(blob)  # noqa: S301 - pickled by this process
        self.tables = content["tables"]
        self.series = content["series"]
        self.change_log = content["change_log"]
        self.version = content["version"]
        self.entry_number = content["entry_number"]
        self._undo, self._pending, self._moved = None, [], set()


_MERGED = ("created", "updated")
_OPERATIONS = {"created": "create", "updated": "update", "deleted": "delete"}


@cache
def _blank(entity: str) -> Row:
    """Every field of a set at its blank value."""
    return {name: field.blank for name, field in ENTITIES[entity].fields.items()}


def wire_time(moment: datetime) -> str:
    """An instant as the service writes it."""
    return (
        moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
    )


def wire_date(text: str) -> date:
    """A date of the wire."""
    return date.fromisoformat(text)


def option(text: str) -> str:
    """An enum caption as it is stored."""
    return encode_option(text)


def is_blank(guid: str) -> bool:
    """Whether an id says nothing."""
    return guid in ("", BLANK_GUID)
