"""Which changes are the connector's own: told by who made them and by what they changed."""

from __future__ import annotations

from collections.abc import Mapping

from ml_connector.configuration.settings import Policies
from ml_connector.salesforce.change_event import ChangeEvent

CLIENT = "ml-connector"
"""What the connector calls itself in every call; change events repeat it."""

_PREFIX = "BC_"
_STAMPS = frozenset({"LastModifiedDate", "LastModifiedById"})


class OwnWrites:
    """Recognises events of the connector's own write-backs."""

    def __init__(self, user_id: str, policies: Policies) -> None:
        self._user_id = user_id
        self._mapped = mapped_fields(policies)

    def made(self, event: ChangeEvent) -> bool:
        """Tell whether *event* is an update by us that touched nothing but what we write.

        Anything a trigger or a person added to it makes it a change like any other.
        """
        if event.change_type != "UPDATE" or event.client != CLIENT:
            return False
        if event.user_id[:15] != self._user_id[:15] or not event.changed_fields:
            return False
        mapped = self._mapped.get(event.entity, frozenset())
        names = {name.partition(".")[0] for name in event.changed_fields} - _STAMPS
        return all(name.startswith(_PREFIX) or name in mapped for name in names)


def mapped_fields(policies: Policies) -> Mapping[str, frozenset[str]]:
    """Return, per object, the fields besides BC_ ones that the connector writes by policy."""
    found: dict[str, set[str]] = {}
    for mapping in policies.fields:
        if mapping.owner == "business_central":
            sobject, _, name = mapping.salesforce.partition(".")
            found.setdefault(sobject, set()).add(name)
    if policies.catalog.deactivate:
        found.setdefault("Product2", set()).add("IsActive")
    return {sobject: frozenset(names) for sobject, names in found.items()}
