"""What the org tells about its objects and fields."""

from typing import Any

from ml_connector.sandbox.salesforce.access import Access
from ml_connector.sandbox.salesforce.org import SalesforceOrg
from ml_connector.sandbox.salesforce.schema import NUMBER_KINDS, Field, SObject

_SOAP = {"int": "int", "boolean": "boolean", "date": "date", "datetime": "dateTime", "id": "ID"}
_WORDS = {"CreatedById": "Created By ID", "SystemModstamp": "System Modstamp"}


def label_of(column: Field) -> str:
    """A field's label: its own, or its name in words."""
    if column.label:
        return column.label
    if column.name in _WORDS:
        return _WORDS[column.name]
    text = "".join(f" {letter}" if letter.isupper() else letter for letter in column.name)
    return text.strip()


def summary(sobject: SObject, access: Access, version: str) -> dict[str, Any]:
    """An object as the global list shows it."""
    base = f"/services/data/v{version}/sobjects/{sobject.name}"
    return {
        "activateable": False,
        "createable": access.may_create(sobject),
        "custom": False,
        "customSetting": False,
        "deletable": access.may_delete(sobject),
        "deprecatedAndHidden": False,
        "feedEnabled": False,
        "hasSubtypes": False,
        "isSubtype": False,
        "keyPrefix": sobject.prefix,
        "label": sobject.label,
        "labelPlural": sobject.plural,
        "layoutable": True,
        "mergeable": sobject.name in ("Account", "Contact"),
        "mruEnabled": False,
        "name": sobject.name,
        "queryable": True,
        "replicateable": sobject.replicateable,
        "retrieveable": True,
        "searchable": sobject.createable,
        "triggerable": sobject.createable,
        "undeletable": sobject.deletable,
        "updateable": access.may_edit(sobject),
        "urls": {
            "sobject": base,
            "describe": f"{base}/describe",
            "rowTemplate": f"{base}/{{ID}}",
        },
    }


def full(org: SalesforceOrg, sobject: SObject, access: Access, version: str) -> dict[str, Any]:
    """An object with the fields and relationships that the user sees."""
    fields = [
        _field(sobject, column, access)
        for column in sobject.fields.values()
        if access.readable(sobject, column)
    ]
    children = [
        {
            "cascadeDelete": child.cascade,
            "childSObject": child.sobject,
            "deprecatedAndHidden": False,
            "field": child.field,
            "junctionIdListNames": [],
            "junctionReferenceTo": [],
            "relationshipName": child.relationship,
            "restrictedDelete": False,
        }
        for child in sobject.children
        if child.sobject in org.schema.objects
    ]
    return {
        **summary(sobject, access, version),
        "childRelationships": children,
        "fields": fields,
        "recordTypeInfos": [],
        "supportedScopes": [],
    }


def _field(sobject: SObject, column: Field, access: Access) -> dict[str, Any]:
    editable = access.editable(sobject, column)
    number = column.kind in NUMBER_KINDS
    return {
        "aggregatable": column.filterable,
        "autoNumber": column.auto_number,
        "byteLength": column.length * 3,
        "calculated": column.calculated,
        "calculatedFormula": None,
        "cascadeDelete": False,
        "caseSensitive": column.case_sensitive,
        "compoundFieldName": column.compound,
        "controllerName": None,
        "createable": column.createable and editable,
        "custom": column.custom,
        "defaultValue": column.default if isinstance(column.default, bool) else None,
        "defaultValueFormula": None,
        "defaultedOnCreate": column.defaulted,
        "dependentPicklist": False,
        "deprecatedAndHidden": False,
        "digits": column.precision if column.kind == "int" else 0,
        "externalId": column.external_id,
        "extraTypeInfo": None,
        "filterable": column.filterable,
        "groupable": column.filterable and not number,
        "htmlFormatted": False,
        "idLookup": column.id_lookup or column.external_id,
        "inlineHelpText": None,
        "label": label_of(column),
        "length": column.length,
        "name": column.name,
        "nameField": column.name == ("OrderNumber" if sobject.name == "Order" else "Name"),
        "nillable": column.nillable,
        "permissionable": column.nillable,
        "picklistValues": [
            {
                "active": True,
                "defaultValue": value == column.default,
                "label": value,
                "validFor": None,
                "value": value,
            }
            for value in column.picklist
        ],
        "precision": column.precision if number else 0,
        "referenceTo": list(column.reference_to),
        "relationshipName": column.relationship,
        "restrictedPicklist": column.restricted,
        "scale": column.scale,
        "soapType": f"xsd:{_SOAP[column.kind]}"
        if column.kind in _SOAP and column.kind != "id"
        else "tns:ID"
        if column.kind in ("id", "reference")
        else "xsd:double"
        if number
        else "xsd:string",
        "sortable": column.sortable,
        "type": column.kind,
        "unique": column.unique,
        "updateable": column.updateable and editable,
        "writeRequiresMasterRead": False,
    }
