"""The describe model: objects, fields and the relationships between them."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal

TEXT_KINDS = frozenset(
    {"string", "textarea", "phone", "url", "email", "picklist", "multipicklist", "combobox"}
)
NUMBER_KINDS = frozenset({"double", "currency", "percent"})


@dataclass(frozen=True, slots=True)
class Field:
    """One column of an object, with what describe says about it."""

    name: str
    kind: str
    label: str = ""
    length: int = 0
    precision: int = 0
    scale: int = 0
    nillable: bool = True
    createable: bool = True
    updateable: bool = True
    default: str | bool | int | Decimal | None = None
    defaulted: bool = False
    unique: bool = False
    case_sensitive: bool = False
    external_id: bool = False
    id_lookup: bool = False
    reference_to: tuple[str, ...] = ()
    relationship: str | None = None
    picklist: tuple[str, ...] = ()
    restricted: bool = False
    auto_number: bool = False
    calculated: bool = False
    compound: str | None = None
    custom: bool = False
    indexed: bool = False

    @property
    def required(self) -> bool:
        """Whether a record cannot be created without a value."""
        return self.createable and not self.nillable and not self.defaulted

    @property
    def filterable(self) -> bool:
        """Whether a query may compare this field."""
        return self.kind != "address" and not (self.kind == "textarea" and self.length > 255)

    @property
    def sortable(self) -> bool:
        """Whether a query may order by this field."""
        return self.filterable and self.kind != "multipicklist"


@dataclass(frozen=True, slots=True)
class Child:
    """A relationship seen from the parent: who points here, and under which name."""

    sobject: str
    field: str
    relationship: str
    cascade: bool = False


@dataclass(slots=True)
class SObject:
    """One object type with its fields, keyed by name, in describe order."""

    name: str
    label: str
    plural: str
    prefix: str
    fields: dict[str, Field]
    createable: bool = True
    updateable: bool = True
    deletable: bool = True
    replicateable: bool = True
    children: list[Child] = field(default_factory=list)
    _folded: dict[str, Field] = field(default_factory=dict)
    _relations: dict[str, Field] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for column in self.fields.values():
            self._note(column)

    def _note(self, column: Field) -> None:
        self._folded[column.name.lower()] = column
        if column.relationship:
            self._relations[column.relationship.lower()] = column

    def add(self, column: Field) -> None:
        """Adds a field at the end."""
        self.fields[column.name] = column
        self._note(column)

    def find(self, name: str) -> Field | None:
        """The field of this name, whatever its case."""
        return self._folded.get(name.lower())

    def relation(self, name: str) -> Field | None:
        """The reference field behind a relationship name, whatever its case."""
        return self._relations.get(name.lower())

    def child(self, name: str) -> Child | None:
        """The child relationship of this name, whatever its case."""
        wanted = name.lower()
        return next((c for c in self.children if c.relationship.lower() == wanted), None)


class Schema:
    """All object types of the org."""

    def __init__(self, objects: Iterable[SObject]) -> None:
        self.objects = {sobject.name: sobject for sobject in objects}
        self._folded = {name.lower(): sobject for name, sobject in self.objects.items()}
        self._prefixes = {sobject.prefix: sobject for sobject in self.objects.values()}

    def find(self, name: str) -> SObject | None:
        """The object type of this name, whatever its case."""
        return self._folded.get(name.lower())

    def by_prefix(self, record_id: str) -> SObject | None:
        """The object type that a record id belongs to."""
        return self._prefixes.get(record_id[:3])

    def __getitem__(self, name: str) -> SObject:
        return self.objects[name]


def read_only(column: Field) -> Field:
    """The same field, writable by nobody."""
    return replace(column, createable=False, updateable=False)
