"""Names in a query, resolved to fields of the org as one user sees them."""

from collections.abc import Callable
from dataclasses import dataclass

from ml_connector.sandbox.salesforce.access import Person
from ml_connector.sandbox.salesforce.faults import SalesforceFault
from ml_connector.sandbox.salesforce.org import SalesforceOrg
from ml_connector.sandbox.salesforce.schema import Child, Field, SObject
from ml_connector.sandbox.salesforce.soql_syntax import Path
from ml_connector.sandbox.salesforce.table import Table
from ml_connector.sandbox.salesforce.values import Row, Value

DEEPEST_PATH = 5
Getter = Callable[[Row], Value | None]


@dataclass(frozen=True, slots=True)
class Resolved:
    """A field with the relationships that lead to it."""

    steps: tuple[tuple[Field, SObject], ...]
    column: Field
    getter: Getter

    @property
    def own(self) -> bool:
        """Whether the field is the queried object's own."""
        return not self.steps


def unknown(name: str, sobject: SObject) -> SalesforceFault:
    """The refusal of a field that does not exist for this user."""
    return SalesforceFault("INVALID_FIELD", f"{sobject.name} has no column {name}")


@dataclass(frozen=True, slots=True)
class Names:
    """Resolves names for one user."""

    org: SalesforceOrg
    person: Person

    def sobject(self, name: str) -> SObject:
        """The queried object."""
        found = self.org.schema.find(name)
        if found is None or not self.person.access.may_read(found):
            raise SalesforceFault("INVALID_TYPE", f"There is no object {name}")
        return found

    def child(self, parent: SObject, name: str) -> tuple[Child, SObject]:
        """A child relationship and the object it leads to."""
        found = parent.child(name)
        target = self.org.schema.find(found.sobject) if found else None
        if found is None or target is None or not self.person.access.may_read(target):
            raise SalesforceFault("INVALID_TYPE", f"{parent.name} has no relationship {name}")
        return found, target

    def field(self, sobject: SObject, path: Path, alias: str | None) -> Resolved:
        """The field that a path means."""
        names = path.names
        if len(names) > 1 and names[0].lower() in ((alias or "").lower(), sobject.name.lower()):
            own = sobject.relation(names[0])
            if own is None or names[0].lower() == (alias or "").lower():
                names = names[1:]
        if len(names) - 1 > DEEPEST_PATH:
            raise SalesforceFault("INVALID_FIELD", f"{path} goes more than five levels up")
        steps: list[tuple[Field, SObject]] = []
        tables: list[tuple[str, Table]] = []
        here = sobject
        for name in names[:-1]:
            relation = here.relation(name)
            if relation is None or not self.person.access.readable(here, relation):
                raise SalesforceFault(
                    "INVALID_FIELD", f"{here.name} has no relationship {name} in {path}"
                )
            here = self.sobject(relation.reference_to[0])
            steps.append((relation, here))
            tables.append((relation.name, self.org.table(here.name)))
        column = here.find(names[-1])
        if column is None or not self.person.access.readable(here, column):
            raise unknown(names[-1], here)
        return Resolved(tuple(steps), column, _getter(tables, column.name))


def _getter(tables: list[tuple[str, Table]], name: str) -> Getter:
    if not tables:
        return lambda row: row.get(name)

    def climb(row: Row) -> Value | None:
        for reference, table in tables:
            parent = table.rows.get(row.get(reference))  # type: ignore[arg-type]
            if parent is None:
                return None
            row = parent
        return row.get(name)

    return climb
