"""Who may see and change what: profile, permission set and field-level security."""

from dataclasses import dataclass, field

from ml_connector.sandbox.salesforce.package import Package
from ml_connector.sandbox.salesforce.schema import Field, SObject

_UNIVERSAL = frozenset({"Id", "Name", "OwnerId", "CurrencyIsoCode"})
_ALWAYS_SEEN = frozenset({
    "Order.AccountId", "Order.StatusCode", "OrderItem.UnitPrice", "OrderItem.Product2Id",
    "Contact.FirstName", "Contact.Salutation",
})  # fmt: skip
"""Required though describe calls them nillable, or a part of what is: they have no security."""
_PRICED_BY_BOOK = "PricebookEntry"


@dataclass(slots=True)
class Access:
    """The sum of what one user's profile and permission sets grant.

    ``profile`` is ``admin`` (everything), ``standard`` (records and standard fields of standard
    objects) or ``minimum`` (nothing that a permission set does not name).
    """

    profile: str
    package: Package | None = None
    withdrawn: set[str] = field(default_factory=set)
    granted: set[str] = field(default_factory=set)

    def _may(self, sobject: SObject, verb: str) -> bool:
        if self.profile in ("admin", "standard"):
            return True
        if not sobject.createable and verb == "read":
            return True
        if self.package is None:
            return False
        name = "Pricebook2" if sobject.name == _PRICED_BY_BOOK else sobject.name
        permission = self.package.objects.get(name)
        return permission is not None and bool(getattr(permission, verb))

    def may_read(self, sobject: SObject) -> bool:
        """Whether the object exists for this user."""
        return self._may(sobject, "read")

    def may_create(self, sobject: SObject) -> bool:
        """Whether this user may create records of the object."""
        return sobject.createable and self._may(sobject, "create")

    def may_edit(self, sobject: SObject) -> bool:
        """Whether this user may change records of the object."""
        return sobject.updateable and self._may(sobject, "edit")

    def may_delete(self, sobject: SObject) -> bool:
        """Whether this user may delete records of the object."""
        return sobject.deletable and self._may(sobject, "delete")

    def may_view_all(self, sobject: SObject) -> bool:
        """Whether this user sees every record of the object, as change events ask for."""
        if self.profile == "admin":
            return True
        permission = self.package.objects.get(sobject.name) if self.package else None
        return permission is not None and permission.view_all

    def readable(self, sobject: SObject, column: Field) -> bool:
        """Whether this user sees the field."""
        return self._level(sobject, column, write=False)

    def editable(self, sobject: SObject, column: Field) -> bool:
        """Whether field-level security lets this user write the field."""
        return self._level(sobject, column, write=True)

    def _level(self, sobject: SObject, column: Field, *, write: bool) -> bool:
        name = f"{sobject.name}.{column.name}"
        if name in self.withdrawn:
            return False
        if self.profile == "admin" or (self.profile == "standard" and not column.custom):
            return True
        if not column.custom and (column.name in _UNIVERSAL or not column.nillable):
            return True
        if name in _ALWAYS_SEEN or not sobject.createable:
            return True
        if self.package is None:
            return False
        listed = self.package.editable if write else self.package.readable
        compound = f"{sobject.name}.{column.compound}" if column.compound else name
        return name in listed or compound in listed

    def has(self, permission: str) -> bool:
        """Whether the user holds a named user permission."""
        if permission in self.withdrawn:
            return False
        if self.profile == "admin" or permission in self.granted:
            return True
        if self.profile == "standard" and permission in ("ApiEnabled", "ActivateOrder"):
            return True
        return self.package is not None and permission in self.package.user_permissions


@dataclass(slots=True)
class Person:
    """A user of the org."""

    user_id: str
    username: str
    name: str
    access: Access
    active: bool = True
    frozen: bool = False
