"""Preflight of the records in Salesforce: our fields, the standard ones, and who may edit them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from ml_connector.errors import ConfigurationError
from ml_connector.exchange.check_line import CheckLine, Level, examined, fine
from ml_connector.exchange.salesforce_fields import FIELDS, FieldShape
from ml_connector.exchange.systems import Systems
from ml_connector.salesforce.describe import Describe, FieldDescribe
from ml_connector.salesforce.models import FIELDS as READ
from ml_connector.salesforce.models import (
    Account,
    Contact,
    Order,
    OrderItem,
    PricebookEntry,
    Product2,
    SObject,
)
from ml_connector.salesforce.soql import select

PERMISSION_SET = "Setup → Users → Permission Sets → ML Connector"
OBJECT_MANAGER = "Setup → Object Manager"
MAPPINGS = "connection file, [[policy.fields]]"

_PACKAGE = (
    "Deploy the package (`ml-connector package deploy`, or salesforce-package/ with the Salesforce "
    "CLI) and assign its permission set to the run-as user."
)


def record_lines(systems: Systems) -> list[CheckLine]:
    """Examine every object the connector reads or writes, and the fields the policy names."""
    lines: list[CheckLine] = []
    for model in _models(systems):
        name = model.__name__
        lines += examined(
            f"salesforce_{name.lower()}_fields",
            f"The fields of {name}",
            partial(_object, systems, model),
        )
    lines += examined(
        "salesforce_mapped_field", "The mapped fields", partial(mapped_fields, systems)
    )
    lines += examined(
        "salesforce_policy_field", "The policy's fields", partial(_policy_fields, systems)
    )
    return lines


def _models(systems: Systems) -> list[type[SObject]]:
    models: list[type[SObject]] = [Account, Product2, Order, OrderItem]
    if systems.policy.customers.contacts:
        models.insert(1, Contact)
    if systems.policy.catalog.prices != "off" or systems.policy.catalog.create_products:
        models.append(PricebookEntry)
    return models


def _object(systems: Systems, model: type[SObject]) -> Iterator[CheckLine]:
    name = model.__name__
    try:
        describe = systems.salesforce.describe(name)
    except ConfigurationError as error:
        if error.code != "unknown_object":
            raise
        orders = name in ("Order", "OrderItem")
        yield CheckLine(
            f"salesforce_{name.lower()}_missing",
            Level.BLOCKING,
            f"The object {name} does not exist for the run-as user.",
            "Enable Orders, and assign the permission set." if orders else _PACKAGE,
            "Setup → Feature Settings → Sales → Order Settings" if orders else PERMISSION_SET,
        )
        return
    troubles = [
        *_own_fields(name, describe, FIELDS.get(name, {})),
        *_hidden(systems, model, describe),
        *_may_write(systems, name, describe),
    ]
    yield from troubles
    if not troubles:
        yield fine(f"salesforce_{name.lower()}_fields", f"All fields of {name} are as needed.")


def _own_fields(
    name: str, describe: Describe, shapes: Mapping[str, FieldShape]
) -> Iterator[CheckLine]:
    code = f"salesforce_{name.lower()}_fields"
    missing = [field for field in shapes if not describe.has(field)]
    if missing:
        yield CheckLine(
            code,
            Level.BLOCKING,
            f"{name} lacks {', '.join(missing)} (not deployed, or hidden from the run-as user).",
            _PACKAGE,
            PERMISSION_SET,
        )
    there = {field: describe.fields[field] for field in shapes if describe.has(field)}
    locked = [field for field, each in there.items() if not each.updateable]
    if locked:
        yield CheckLine(
            code,
            Level.BLOCKING,
            f"{name}: {', '.join(locked)} cannot be edited by the run-as user.",
            "Assign the package's permission set to the run-as user.",
            f"{PERMISSION_SET} → Manage Assignments",
        )
    for field, each in there.items():
        yield from _shape(name, field, each, shapes[field])


def _shape(name: str, field: str, found: FieldDescribe, wanted: FieldShape) -> Iterator[CheckLine]:
    page = f"{OBJECT_MANAGER} → {name} → Fields & Relationships → {field}"
    code = f"salesforce_{name.lower()}_field_shape"
    if found.type and found.type not in wanted.types:
        yield CheckLine(
            code,
            Level.BLOCKING,
            f"{name}.{field} is of type {found.type} instead of {min(wanted.types)}.",
            "Delete or rename the field of that name, then deploy the package.",
            page,
        )
        return
    if wanted.length and 0 < found.length < wanted.length:
        yield CheckLine(
            code,
            Level.WARNING,
            f"{name}.{field} holds {found.length} characters; {wanted.length} are needed.",
            "Deploy the package again; it makes the field longer.",
            page,
        )
    if wanted.is_external_id:
        yield from _external_id(name, field, found, page)


def _external_id(name: str, field: str, found: FieldDescribe, page: str) -> Iterator[CheckLine]:
    code = f"salesforce_{name.lower()}_external_id"
    remedy = "Deploy the package again; it sets what the field must be."
    if found.external_id is False:
        yield CheckLine(
            code,
            Level.BLOCKING,
            f"{name}.{field} is no External Id; records cannot be found by it.",
            remedy,
            page,
        )
    elif found.unique is False:
        yield CheckLine(
            code,
            Level.WARNING,
            f"{name}.{field} is not unique: two records could carry one Business Central record.",
            remedy,
            page,
        )
    elif found.unique and found.case_sensitive:
        yield CheckLine(
            code,
            Level.WARNING,
            f"{name}.{field} tells capitals from small letters; ids of Business Central do not.",
            remedy,
            page,
        )


def _hidden(systems: Systems, model: type[SObject], describe: Describe) -> Iterator[CheckLine]:
    """Standard fields that every read names: one that describe does not list is read once."""
    name = model.__name__
    own = FIELDS.get(name, {})
    unseen = [field for field in READ[model] if field not in own and not describe.has(field)]
    if not unseen:
        return
    try:
        next(systems.salesforce.query(select(name, unseen, limit=1)), None)
    except ConfigurationError:
        yield CheckLine(
            f"salesforce_{name.lower()}_hidden",
            Level.BLOCKING,
            f"{name}: {', '.join(unseen)} are hidden from the run-as user.",
            "Let the run-as user read them: by the package's permission set, or by the field-level "
            "security of the profile.",
            f"{PERMISSION_SET} → Object Settings → {name}",
        )


def _may_write(systems: Systems, name: str, describe: Describe) -> Iterator[CheckLine]:
    catalog = systems.policy.catalog
    lacking = []
    if name in FIELDS and describe.updateable is False:
        lacking.append("edit")
    creates = (name == "Product2" and catalog.create_products) or (
        name == "PricebookEntry" and catalog.prices != "off"
    )
    if creates and describe.createable is False:
        lacking.append("create")
    if lacking:
        yield CheckLine(
            f"salesforce_{name.lower()}_access",
            Level.BLOCKING,
            f"The run-as user may not {' or '.join(lacking)} records of {name}.",
            "Assign the package's permission set to the run-as user.",
            f"{PERMISSION_SET} → Object Settings → {name}",
        )


def mapped_fields(systems: Systems) -> Iterator[CheckLine]:
    """Name the fields of [[policy.fields]] that the org lacks or that cannot take BC's value."""
    for mapping in systems.policy.fields:
        sobject, _, name = mapping.salesforce.partition(".")
        describe = systems.salesforce.describe(sobject)
        if not describe.has(name):
            trouble = "is unknown (not there, or hidden from the run-as user)"
        elif mapping.owner == "business_central" and not describe.fields[name].updateable:
            trouble = "cannot be edited, but is to take BC's value"
        else:
            continue
        yield CheckLine(
            "salesforce_mapped_field",
            Level.BLOCKING,
            f"{mapping.salesforce} of [[policy.fields]] {trouble}.",
            "Correct the field's name in the connection file, or let the run-as user see and edit "
            "it; then run `connect` again.",
            MAPPINGS,
        )


def _policy_fields(systems: Systems) -> Iterator[CheckLine]:
    """Name what the policy reads besides: the tax id, the requested date, SOQL conditions."""
    policy = systems.policy
    named = (
        ("Account", policy.customers.tax_id_field, "tax_id_field of [policy.customers]", ""),
        (
            "Order",
            "" if policy.orders.requested_date == "none" else policy.orders.requested_date,
            "requested_date of [policy.orders]",
            "date",
        ),
    )
    for sobject, field, setting, kind in named:
        if not field:
            continue
        found = systems.salesforce.describe(sobject).fields.get(field)
        if found is not None and (not kind or not found.type or found.type == kind):
            continue
        trouble = "is unknown or hidden" if found is None else f"is a {found.type}, no {kind}"
        yield CheckLine(
            "salesforce_policy_field",
            Level.BLOCKING,
            f"{sobject}.{field}, named by {setting}, {trouble}.",
            "Correct the field's name in the connection file, or let the run-as user see it; then "
            "run `connect` again.",
            f"connection file, {setting.partition(' of ')[2]}",
        )
    for sobject, condition, area in (
        ("Account", policy.customers.condition, "customers"),
        ("Order", policy.orders.condition, "orders"),
    ):
        if condition:
            yield from _condition(systems, sobject, condition, f"[policy.{area}]")


def _condition(systems: Systems, sobject: str, condition: str, section: str) -> Iterator[CheckLine]:
    code = "salesforce_policy_condition"
    try:
        soql = select(sobject, ["Id"], where=f"({condition})", limit=1)
        next(systems.salesforce.query(soql), None)
    except ConfigurationError as error:
        yield CheckLine(
            code,
            Level.BLOCKING,
            f"Salesforce does not take the condition qualify of {section}: {error.message}",
            "Correct the SOQL condition in the connection file, then run `connect` again.",
            f"connection file, {section}",
        )
    else:
        yield fine(code, f"Salesforce takes the condition qualify of {section}.")
