"""The state of a Salesforce org and the one place where its changes become visible."""

import pickle
from collections import deque
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from ml_connector.sandbox.frame.application import Frame
from ml_connector.sandbox.salesforce.access import Access, Person
from ml_connector.sandbox.salesforce.faults import SalesforceFault
from ml_connector.sandbox.salesforce.ids import record_id, record_number
from ml_connector.sandbox.salesforce.objects import CURRENCIES, USER_PERMISSIONS, standard_schema
from ml_connector.sandbox.salesforce.package import Package, read_package
from ml_connector.sandbox.salesforce.schema import Schema, SObject
from ml_connector.sandbox.salesforce.switches import SWITCHES
from ml_connector.sandbox.salesforce.table import Table
from ml_connector.sandbox.salesforce.transactions import Origin, Transaction
from ml_connector.sandbox.salesforce.values import Row, show

KEPT_TRANSACTIONS = 100_000
BIN_DAYS = timedelta(days=15)
_NUMBERS = {"Order": "OrderNumber", "Account": "AccountNumber", "Product2": "ProductCode"}
_RATES = {"USD": "1", "EUR": "0.92", "GBP": "0.79", "CAD": "1.36", "JPY": "150", "CHF": "0.88"}
_STATE = (
    "tables",
    "counters",
    "people",
    "order_statuses",
    "change_log",
    "sequence",
    "row_locks",
    "validation_rules",
    "cascades",
    "currency",
    "event_store",
    "package",
    "services",
)


class SalesforceOrg:
    """Records, people and rules of one org."""

    def __init__(
        self, frame: Frame, identity: dict[str, Any], package_directory: Path | None
    ) -> None:
        self.frame = frame
        for name, value in SWITCHES.items():
            frame.switches.setdefault(name, value)
        self.organization_id: str = identity["organization_id"]
        self.client_id: str = identity["client_id"]
        self.client_secret: str = identity["client_secret"]
        self.user_id: str = identity["user_id"]
        self.rep_user_id: str = identity["rep_user_id"]
        self.currency: str = identity.get("currency", CURRENCIES[0])
        self.package_directory = package_directory
        self.package: Package = read_package(package_directory)
        self.people = {
            self.user_id: Person(
                self.user_id,
                identity["username"],
                "Integration User",
                Access("standard", self.package if package_directory else None),
            ),
            self.rep_user_id: Person(
                self.rep_user_id, "rep@acme.example", "Robin Rep", Access("admin")
            ),
        }
        self.tables: dict[str, Table] = {}
        self.counters: dict[str, int] = {}
        self.order_statuses: dict[str, str] = {"Draft": "Draft", "Activated": "Activated"}
        self.change_log: deque[dict[str, Any]] = deque(maxlen=KEPT_TRANSACTIONS)
        self.sequence = 0
        self.subscribers: list[Callable[[dict[str, Any]], None]] = []
        self.row_locks: dict[str, int] = {}
        self.validation_rules: list[dict[str, Any]] = []
        self.cascades: dict[str, str] = {}
        self.event_store: Any = None
        self.services: dict[str, Any] = {}
        self._shape: tuple[Any, ...] = ()
        self.schema = Schema([])
        self.refresh()
        self._lay_ground()

    # --- shape -----------------------------------------------------------------------------

    def switch(self, name: str) -> Any:
        """The present position of a switch."""
        return self.frame.switches[name]

    def refresh(self, *, rebuild: bool = False) -> None:
        """Follows switches and deployed metadata with the describe model."""
        shape = (
            bool(self.switch("multi_currency")),
            bool(self.switch("orders_enabled")),
            tuple(self.order_statuses),
            id(self.package),
        )
        self.integration_user.access.profile = self.switch("integration_profile")
        if shape == self._shape and not rebuild:
            return
        self._shape = shape
        self.schema = standard_schema(
            multi_currency=shape[0], orders_enabled=shape[1], order_statuses=shape[2]
        )
        for name, columns in self.package.fields.items():
            sobject = self.schema.find(name)
            for column in columns if sobject else ():
                self.schema[name].add(column)
        for sobject in self.schema.objects.values():
            if sobject.name in self.tables:
                self.tables[sobject.name].use(sobject)
            else:
                self.tables[sobject.name] = Table(sobject)

    def deploy(self, directory: Path | None) -> None:
        """Deploys a package in place of the present one; None takes all custom fields away."""
        self.install(read_package(directory))
        self.place_permission_set(assigned=directory is not None)

    def install(self, package: Package) -> None:
        """Puts a package in place of the present one for everybody who has its permission set."""
        before, self.package = self.package, package
        for person in self.people.values():
            if person.access.package is before:
                person.access.package = package
        self.refresh()

    def assign_package(self, user_id: str) -> None:
        """Gives a user what the package's permission set grants."""
        self.people[user_id].access.package = self.package

    def place_permission_set(self, *, assigned: bool) -> None:
        """Shows the permission set as a record, assigned to the run-as user or not."""
        found = record_id("0PS", 1)
        self._place("PermissionSet", found, self.now(), Name="ML_Connector", Label="ML Connector")
        if assigned:
            self.assign_package(self.user_id)
            self._place(
                "PermissionSetAssignment",
                record_id("0Pa", 1),
                self.now(),
                AssigneeId=self.user_id,
                PermissionSetId=found,
            )

    @property
    def integration_user(self) -> Person:
        """The run-as user of the client-credentials flow."""
        return self.people[self.user_id]

    @property
    def rep(self) -> Person:
        """A salesperson who may do everything."""
        return self.people[self.rep_user_id]

    def readable(self, user_id: str, sobject: str, field: str) -> bool:
        """Whether a user sees a field."""
        found = self.schema.find(sobject)
        column = found.find(field) if found else None
        if found is None or column is None:
            return False
        access = self.people[user_id].access
        return access.may_read(found) and access.readable(found, column)

    def view_all(self, user_id: str, sobject: str) -> bool:
        """Whether a user sees every record of an object."""
        found = self.schema.find(sobject)
        return found is not None and self.people[user_id].access.may_view_all(found)

    def show_permissions(self, person: Person) -> None:
        """Let UserPermissionAccess hold the one row that this user sees: the own permissions."""
        found = record_id("0PA", 1)
        row: Row = {"Id": found, "LastCacheUpdate": self.now()}
        row |= {f"Permissions{name}": person.access.has(name) for name in USER_PERMISSIONS}
        self.tables["UserPermissionAccess"].rows = {found: row}

    # --- records ---------------------------------------------------------------------------

    def now(self) -> datetime:
        """The org's present instant, to the second as the org keeps it."""
        return self.frame.clock.now().replace(microsecond=0)

    def table(self, sobject: str) -> Table:
        """The rows of an object."""
        return self.tables[sobject]

    def row(self, sobject: str, record_id: str) -> Row | None:
        """A record that is not deleted, or None."""
        row = self.tables[sobject].rows.get(record_id)
        return None if row is None or row.get("IsDeleted") else row

    def new_id(self, sobject: SObject) -> str:
        """The next free record id of an object."""
        number = self.counters.get(sobject.name, 0)
        rows = self.tables[sobject.name].rows
        while True:
            number += 1
            found = record_id(sobject.prefix, number)
            if found not in rows:
                self.counters[sobject.name] = number
                return found

    def next_number(self, sobject: str, digits: int) -> str:
        """The next auto number of an object, with leading zeros."""
        key = f"{sobject} number"
        number = self.counters.get(key, 100 if sobject == "Order" else 0) + 1
        self.counters[key] = number
        return f"{number:0{digits}d}"

    def in_bin(self, row: Row) -> bool:
        """Whether a deleted row can still be seen by queryAll."""
        stamp = row["SystemModstamp"]
        return isinstance(stamp, datetime) and self.now() - stamp <= BIN_DAYS

    def check_lock(self, record_id: str) -> None:
        """Refuses a write while another transaction is said to hold the row."""
        left = self.row_locks.get(record_id, 0)
        if left:
            if left == 1:
                del self.row_locks[record_id]
            else:
                self.row_locks[record_id] = left - 1
            raise SalesforceFault(
                "UNABLE_TO_LOCK_ROW",
                f"another transaction holds 1 record: {record_id}",
                status=int(self.switch("locked_row_status")),
            )

    # --- transactions ----------------------------------------------------------------------

    def begin(self, person: Person, origin: Origin) -> Transaction:
        """Starts a transaction."""
        return Transaction(person, origin, self.now())

    def commit(self, transaction: Transaction) -> None:
        """Makes a transaction final: the write log, the change log and subscribers learn of it."""
        for write in transaction.writes:
            row = self.tables[write.sobject].rows.get(write.record_id) or {}
            number = row.get(_NUMBERS.get(write.sobject, ""))
            self.frame.writes.add(
                system="salesforce",
                who=transaction.person.username,
                client=transaction.origin.client,
                operation=write.operation,
                entity=write.sobject,
                record_id=write.record_id,
                number=str(number) if number is not None else None,
                fields=write.fields,
            )
        entries = transaction.entries()
        if not entries:
            return
        self.sequence += 1
        logged = {
            "sequence": self.sequence,
            "transaction_key": transaction.key,
            "at": transaction.at,
            "user_id": transaction.person.user_id,
            "client": transaction.origin.client,
            "api": transaction.origin.api,
            "origin": transaction.origin.change_origin,
            "entries": entries,
        }
        self.change_log.append(logged)
        for subscriber in self.subscribers:
            subscriber(logged)

    # --- base data, snapshots --------------------------------------------------------------

    def _lay_ground(self) -> None:
        moment = self.now()
        self._place("Organization", self.organization_id, moment, **self._organization())
        for person in self.people.values():
            first, _, last = person.name.partition(" ")
            self._place(
                "User",
                person.user_id,
                moment,
                Username=person.username,
                Email=person.username,
                FirstName=first,
                LastName=last,
                Name=person.name,
                IsActive=True,
                Alias=first[:8].lower(),
                TimeZoneSidKey="GMT",
                LocaleSidKey="en_US",
                UserType="Standard",
            )
        if self.package_directory is not None:
            self.place_permission_set(assigned=True)
        for label, category in self.order_statuses.items():
            self.place_order_status(label, category)
        for number, code in enumerate(CURRENCIES, 1):
            if "CurrencyType" in self.tables:
                self._place(
                    "CurrencyType",
                    record_id("01L", number),
                    moment,
                    IsoCode=code,
                    ConversionRate=Decimal(_RATES[code]),
                    DecimalPlaces=0 if code == "JPY" else 2,
                    IsActive=True,
                    IsCorporate=code == self.currency,
                )

    def _organization(self) -> dict[str, Any]:
        return {
            "Name": "Acme",
            "Country": "US",
            "IsSandbox": False,
            "OrganizationType": "Enterprise Edition",
            "InstanceName": "SBX1",
            "TimeZoneSidKey": "GMT",
            "DefaultLocaleSidKey": "en_US",
            "LanguageLocaleKey": "en_US",
        }

    def place_order_status(self, label: str, category: str) -> None:
        """Adds a status that orders can have, with its category."""
        self.order_statuses[label] = category
        if "OrderStatus" in self.tables:
            number = list(self.order_statuses).index(label) + 1
            self._place(
                "OrderStatus",
                record_id("01J", number),
                self.now(),
                MasterLabel=label,
                ApiName=label,
                SortOrder=number,
                IsDefault=number == 1,
                StatusCode=category,
            )

    def _place(self, sobject: str, found: str, moment: datetime, **values: Any) -> None:
        row: Row = {"Id": found, **values}
        for name in ("CreatedDate", "LastModifiedDate", "SystemModstamp"):
            row[name] = moment
        row["CreatedById"] = row["LastModifiedById"] = self.rep_user_id
        self.tables[sobject].put(found, row)

    def ensure_standard_price_book(self) -> str:
        """The id of the standard price book, which every org has."""
        for found, row in self.tables["Pricebook2"].rows.items():
            if row.get("IsStandard"):
                return found
        found = self.new_id(self.schema["Pricebook2"])
        self._place(
            "Pricebook2",
            found,
            self.now(),
            Name="Standard Price Book",
            IsStandard=True,
            IsActive=True,
            IsDeleted=False,
            IsArchived=False,
        )
        return found

    def note_id(self, sobject: str, found: str) -> None:
        """Keeps the id counter beyond an id that was given from outside."""
        number = record_number(found)
        if number > self.counters.get(sobject, 0):
            self.counters[sobject] = number

    def records(self, entity: str, where: dict[str, str]) -> list[dict[str, Any]]:
        """Stored rows of an object whose fields have these values, deleted ones included."""
        sobject = self.schema.find(entity)
        if sobject is None:
            raise ValueError(f"no object {entity}")
        rows: Iterable[Row] = self.tables[sobject.name].rows.values()
        names = {}
        for key, wanted in where.items():
            column = sobject.find(key)
            if column is None:
                raise ValueError(f"{entity} has no field {key}")
            names[column.name] = wanted
        return [
            {name: show(value) for name, value in row.items()}
            for row in rows
            if all(_matches(row.get(name), wanted) for name, wanted in names.items())
        ]

    def state(self) -> dict[str, Any]:
        """How many live records each object has, and how long the logs are."""
        return {
            "records": {
                name: sum(1 for row in table.rows.values() if not row.get("IsDeleted"))
                for name, table in self.tables.items()
            },
            "transactions": self.sequence,
        }

    def snapshot(self) -> bytes:
        """The whole state."""
        return pickle.dumps({name: getattr(self, name) for name in _STATE})

    def restore(self, blob: bytes) -> None:
        """Sets the state as a snapshot had it."""
        for name, value in pickle.loads(blob).items():  # noqa: S301 - our own snapshot
            setattr(self, name, value)
        self._shape = ()
        self.refresh()


def _matches(value: Any, wanted: str) -> bool:
    if value is None:
        return wanted in ("", "null")
    if isinstance(value, bool):
        return wanted == str(value).lower()
    if isinstance(value, date | Decimal):
        return wanted == str(show(value))
    return str(value) == wanted
