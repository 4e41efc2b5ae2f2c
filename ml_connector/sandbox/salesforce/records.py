"""Creating, changing, deleting and restoring records by the platform's rules."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ml_connector.sandbox.salesforce import record_rules, soql
from ml_connector.sandbox.salesforce.access import Person
from ml_connector.sandbox.salesforce.faults import ManyMatches, SalesforceFault, not_found
from ml_connector.sandbox.salesforce.ids import normal_id
from ml_connector.sandbox.salesforce.org import SalesforceOrg
from ml_connector.sandbox.salesforce.schema import Field, SObject
from ml_connector.sandbox.salesforce.transactions import Transaction, Write
from ml_connector.sandbox.salesforce.values import Row, Value, accept, show

Given = dict[str, Value | None]


def create(
    org: SalesforceOrg, transaction: Transaction, sobject: SObject, body: Mapping[str, Any]
) -> str:
    """Creates a record and returns its id."""
    access = transaction.person.access
    if not access.may_create(sobject):
        raise SalesforceFault(
            "INSUFFICIENT_ACCESS_OR_READONLY", f"No right to create {sobject.name}"
        )
    given = read_body(org, transaction, sobject, body, creating=True)
    row = {name: value for name, value in given.items() if value is not None}
    _fill_defaults(org, transaction, sobject, row)
    _require(sobject, row)
    found = org.new_id(sobject)
    row["Id"] = found
    record_rules.before_save(org, transaction, sobject, None, row, given)
    _check_references(org, sobject, row, given)
    _check_unique(org, sobject, row, None)
    _stamp(transaction, row, None)
    _check_validation_rules(org, sobject, row)
    transaction.put(sobject.name, org.table(sobject.name), found, row)
    transaction.writes.append(Write("create", sobject.name, found, _shown(given)))
    record_rules.after_save(org, transaction, sobject, None, row)
    return found


def update(
    org: SalesforceOrg,
    transaction: Transaction,
    sobject: SObject,
    record_id: str,
    body: Mapping[str, Any],
) -> None:
    """Changes the named fields of a record."""
    access = transaction.person.access
    old = existing(org, sobject, record_id)
    if not access.may_edit(sobject):
        raise SalesforceFault("INSUFFICIENT_ACCESS_OR_READONLY", f"No right to edit {sobject.name}")
    given = read_body(org, transaction, sobject, body, creating=False)
    org.check_lock(record_id)
    row = dict(old)
    for name, value in given.items():
        if value is None:
            row.pop(name, None)
        else:
            row[name] = value
    _require_kept(sobject, given)
    record_rules.before_save(org, transaction, sobject, old, row, given)
    _check_references(org, sobject, row, given)
    _check_unique(org, sobject, row, old)
    _check_validation_rules(org, sobject, row)
    if row != old or org.switch("idle_update_changes_stamp"):
        _stamp(transaction, row, old)
        transaction.put(sobject.name, org.table(sobject.name), record_id, row)
    transaction.writes.append(Write("update", sobject.name, record_id, _shown(given)))
    record_rules.after_save(org, transaction, sobject, old, row)


def touch(
    org: SalesforceOrg, transaction: Transaction, sobject: str, record_id: str, changes: Given
) -> None:
    """A change that the platform makes itself: roll-ups, re-parenting."""
    table = org.table(sobject)
    old = table.rows[record_id]
    row = dict(old)
    for name, value in changes.items():
        if value is None:
            row.pop(name, None)
        else:
            row[name] = value
    if row != old:
        _stamp(transaction, row, old)
        transaction.put(sobject, table, record_id, row)


def upsert(
    org: SalesforceOrg,
    transaction: Transaction,
    sobject: SObject,
    column: Field,
    value: Any,
    body: Mapping[str, Any],
    *,
    update_only: bool = False,
) -> tuple[str, bool]:
    """Creates or changes the record with this external id; returns its id and whether created."""
    matches = matching(org, sobject, column, value)
    if len(matches) > 1:
        raise ManyMatches(sobject.name, column.name, matches)
    if matches:
        update(org, transaction, sobject, matches[0], body)
        return matches[0], False
    if update_only:
        raise not_found(f"No {sobject.name} has this {column.name}")
    if column.name == "Id":
        raise not_found(f"No {sobject.name} has this id")
    return create(org, transaction, sobject, {**body, column.name: value}), True


def delete(org: SalesforceOrg, transaction: Transaction, sobject: SObject, record_id: str) -> None:
    """Moves a record and what depends on it to the recycle bin."""
    existing(org, sobject, record_id)
    if not transaction.person.access.may_delete(sobject):
        raise SalesforceFault(
            "INSUFFICIENT_ACCESS_OR_READONLY", f"No right to delete {sobject.name}"
        )
    org.check_lock(record_id)
    bury(org, transaction, sobject, record_id)
    transaction.writes.append(Write("delete", sobject.name, record_id, {}))


def bury(
    org: SalesforceOrg,
    transaction: Transaction,
    sobject: SObject,
    record_id: str,
    *,
    root: str | None = None,
    master: str | None = None,
) -> None:
    """Deletes a record with its dependants, after the rules agreed."""
    table = org.table(sobject.name)
    row = table.rows[record_id]
    if root is None and master is None:
        record_rules.before_delete(org, transaction, sobject, row)
    for child in sobject.children:
        if child.sobject not in org.schema.objects:
            continue
        dependants = org.table(child.sobject).live(child.field, record_id)
        for dependant in list(dependants):
            if child.cascade:
                bury(org, transaction, org.schema[child.sobject], dependant, root=root or record_id)
            else:
                touch(org, transaction, child.sobject, dependant, {child.field: None})
    gone: Row = {**row, "IsDeleted": True}
    if master is not None:
        gone["MasterRecordId"] = master
    _stamp(transaction, gone, row)
    transaction.put(sobject.name, table, record_id, gone)
    org.cascades[record_id] = root or record_id
    if root is None:
        record_rules.after_delete(org, transaction, sobject, row)


def undelete(org: SalesforceOrg, transaction: Transaction, record_id: str) -> None:
    """Takes a record, and what went with it, out of the recycle bin."""
    sobject = org.schema.by_prefix(record_id)
    row = org.table(sobject.name).rows.get(record_id) if sobject else None
    if sobject is None or row is None or not row.get("IsDeleted") or not org.in_bin(row):
        raise SalesforceFault("UNDELETE_FAILED", f"{record_id} is not in the recycle bin")
    together = [found for found, root in org.cascades.items() if root == record_id]
    for found in [record_id, *(other for other in together if other != record_id)]:
        kind = org.schema.by_prefix(found)
        if kind is None:
            continue
        table = org.table(kind.name)
        old = table.rows[found]
        back: Row = {**old, "IsDeleted": False}
        back.pop("MasterRecordId", None)
        _check_unique(org, kind, back, None)
        _stamp(transaction, back, old)
        transaction.put(kind.name, table, found, back)
        del org.cascades[found]
    transaction.writes.append(Write("undelete", sobject.name, record_id, {}))
    record_rules.after_delete(org, transaction, sobject, row)


def existing(org: SalesforceOrg, sobject: SObject, record_id: str) -> Row:
    """The live row of an id; the refusals for none and for a deleted one."""
    row = org.table(sobject.name).rows.get(record_id)
    if row is None or (row.get("IsDeleted") and not org.in_bin(row)):
        raise not_found(f"No {sobject.name} {record_id}")
    if row.get("IsDeleted"):
        raise SalesforceFault("ENTITY_IS_DELETED", f"{record_id} was deleted")
    return row


def id_in_address(sobject: SObject, text: str) -> str:
    """The id in an address; anything that cannot be an id of the object is a 404."""
    found = normal_id(text)
    if found is None or not found.startswith(sobject.prefix):
        raise not_found(f"{text} is no id of {sobject.name}")
    return found


def external_column(person: Person, sobject: SObject, name: str) -> Field:
    """The field by which records can be addressed; a 404 when it is none or hidden."""
    column = sobject.find(name)
    usable = column is not None and (column.external_id or column.name == "Id")
    if column is None or not usable or not person.access.readable(sobject, column):
        raise not_found(f"{name} is no external id field of {sobject.name}")
    return column


def matching(org: SalesforceOrg, sobject: SObject, column: Field, value: Any) -> list[str]:
    """Ids of the live records with this external id."""
    if column.name == "Id":
        found = normal_id(str(value))
        return [found] if found and org.row(sobject.name, found) else []
    wanted = accept(column, value)
    if wanted is None:
        raise SalesforceFault("MISSING_ARGUMENT", f"{column.name} is empty", (column.name,))
    table = org.table(sobject.name)
    matches = table.live(column.name, wanted)
    if column.case_sensitive:
        matches = [found for found in matches if table.rows[found][column.name] == wanted]
    return matches


def read_body(
    org: SalesforceOrg,
    transaction: Transaction,
    sobject: SObject,
    body: Mapping[str, Any],
    *,
    creating: bool,
) -> Given:
    """The fields of a request body as the org keeps them."""
    access = transaction.person.access
    given: Given = {}
    refused: list[str] = []
    for key, value in body.items():
        if key == "attributes":
            continue
        column = sobject.find(key)
        if column is not None and isinstance(value, dict):
            column = None if sobject.relation(key) is None else column
        if column is None:
            relation = sobject.relation(key)
            if relation is not None and access.readable(sobject, relation):
                given[relation.name] = _by_external_id(org, transaction, relation, value)
                column = relation
            else:
                raise SalesforceFault("INVALID_FIELD", f"{sobject.name} has no field {key}", (key,))
        elif not access.readable(sobject, column):
            raise SalesforceFault("INVALID_FIELD", f"{sobject.name} has no field {key}", (key,))
        elif column.name == "Id":
            raise SalesforceFault("INVALID_FIELD", "The id belongs into the address", ("Id",))
        else:
            writable = column.createable if creating else column.updateable
            if writable and access.editable(sobject, column):
                given[column.name] = accept(column, value)
        writable = column.createable if creating else column.updateable
        if not writable or not access.editable(sobject, column):
            refused.append(column.name)
    if refused:
        raise SalesforceFault(
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            f"No right to write {', '.join(refused)} of {sobject.name}",
            tuple(refused),
        )
    return given


def _by_external_id(
    org: SalesforceOrg, transaction: Transaction, relation: Field, value: Any
) -> str | None:
    """The id of the parent that a nested object names by an external id."""
    if value is None:
        return None
    keys = (
        {key: item for key, item in value.items() if key != "attributes"}
        if isinstance(value, dict)
        else {}
    )
    if len(keys) != 1:
        raise SalesforceFault(
            "INVALID_FIELD",
            f"{relation.relationship} is named by one external id",
            (relation.name,),
        )
    name, wanted = next(iter(keys.items()))
    for target in relation.reference_to:
        parent = org.schema.find(target)
        column = parent.find(name) if parent else None
        if parent is None or column is None:
            continue
        if not transaction.person.access.readable(parent, column):
            continue
        if not (column.external_id or column.id_lookup):
            break
        matches = matching(org, parent, column, wanted)
        if len(matches) > 1:
            raise SalesforceFault(
                "DUPLICATE_EXTERNAL_ID", f"{name} names several {parent.name}", (relation.name,)
            )
        if matches:
            return matches[0]
        raise SalesforceFault(
            "INVALID_FIELD", f"No {parent.name} has {name} {wanted}", (relation.name,)
        )
    raise SalesforceFault(
        "INVALID_FIELD", f"{name} is no external id of {relation.relationship}", (relation.name,)
    )


def _fill_defaults(
    org: SalesforceOrg, transaction: Transaction, sobject: SObject, row: Row
) -> None:
    for column in sobject.fields.values():
        if column.name in row:
            continue
        if column.name == "CurrencyIsoCode":
            row["CurrencyIsoCode"] = org.currency
        elif column.name == "OwnerId":
            row["OwnerId"] = transaction.person.user_id
        elif column.defaulted and column.default is not None:
            row[column.name] = column.default


def _require(sobject: SObject, row: Row) -> None:
    missing = [
        column.name
        for column in sobject.fields.values()
        if column.required and column.name not in row
    ]
    if missing:
        raise SalesforceFault(
            "REQUIRED_FIELD_MISSING",
            f"{sobject.name} needs {', '.join(missing)}",
            tuple(missing),
        )


def _require_kept(sobject: SObject, given: Given) -> None:
    missing = [
        name for name, value in given.items() if value is None and not sobject.fields[name].nillable
    ]
    if missing:
        raise SalesforceFault(
            "REQUIRED_FIELD_MISSING",
            f"{sobject.name} needs {', '.join(missing)}",
            tuple(missing),
        )


def _check_references(org: SalesforceOrg, sobject: SObject, row: Row, given: Given) -> None:
    for name in given:
        column = sobject.fields[name]
        target_id = row.get(name)
        if column.kind != "reference" or not isinstance(target_id, str):
            continue
        target = org.schema.by_prefix(target_id)
        if target is None or target.name not in column.reference_to:
            raise SalesforceFault(
                "MALFORMED_ID", f"{name} is given an id of another type: {target_id}", (name,)
            )
        if org.row(target.name, target_id) is None:
            raise SalesforceFault(
                "INVALID_CROSS_REFERENCE_KEY", f"{name} names no record: {target_id}", (name,)
            )


def _check_unique(org: SalesforceOrg, sobject: SObject, row: Row, old: Row | None) -> None:
    table = org.table(sobject.name)
    for column in sobject.fields.values():
        value = row.get(column.name) if column.unique else None
        if value is None or (old is not None and old.get(column.name) == value):
            continue
        for found in table.live(column.name, value):
            same = not column.case_sensitive or table.rows[found][column.name] == value
            if found != row["Id"] and same:
                raise SalesforceFault(
                    "DUPLICATE_VALUE",
                    f"{column.name} has this value already on record {found}",
                    (column.name,),
                )


def _check_validation_rules(org: SalesforceOrg, sobject: SObject, row: Row) -> None:
    for rule in org.validation_rules:
        if rule["sobject"] == sobject.name and soql.holds(org, sobject, rule["condition"], row):
            raise SalesforceFault(
                "FIELD_CUSTOM_VALIDATION_EXCEPTION", rule["message"], tuple(rule["fields"])
            )


def _stamp(transaction: Transaction, row: Row, old: Row | None) -> None:
    moment: datetime = transaction.at
    if old is None:
        row.setdefault("IsDeleted", False)
        row["CreatedDate"] = moment
        row["CreatedById"] = transaction.person.user_id
    row["LastModifiedDate"] = row["SystemModstamp"] = moment
    row["LastModifiedById"] = transaction.person.user_id


def _shown(given: Given) -> dict[str, Any]:
    return {name: show(value) for name, value in given.items()}
