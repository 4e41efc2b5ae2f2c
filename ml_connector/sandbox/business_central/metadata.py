"""The service's description of itself: EDMX and captions."""

from functools import cache
from typing import Any
from xml.sax.saxutils import quoteattr

from ml_connector.sandbox.business_central.company import Company
from ml_connector.sandbox.business_central.entities import ENTITIES, Entity, encode_option

_TYPES = {
    "guid": "Edm.Guid",
    "code": "Edm.String",
    "text": "Edm.String",
    "formula": "Edm.String",
    "enum": "Edm.String",
    "decimal": "Edm.Decimal",
    "int": "Edm.Int32",
    "bool": "Edm.Boolean",
    "date": "Edm.Date",
    "datetime": "Edm.DateTimeOffset",
}


@cache
def metadata_document() -> str:
    """The EDMX of the service."""
    types = "".join(_entity_type(entity) for entity in ENTITIES.values())
    sets = "".join(
        f'<EntitySet Name={quoteattr(entity.name)} EntityType="Microsoft.NAV.{entity.type_name}"/>'
        for entity in ENTITIES.values()
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx">'
        "<edmx:DataServices>"
        '<Schema Namespace="Microsoft.NAV" xmlns="http://docs.oasis-open.org/odata/ns/edm">'
        f"{types}"
        f'<EntityContainer Name="NAV">{sets}</EntityContainer>'
        "</Schema></edmx:DataServices></edmx:Edmx>"
    )


def _entity_type(entity: Entity) -> str:
    parts = [f'<EntityType Name="{entity.type_name}"><Key><PropertyRef Name="{entity.key}"/></Key>']
    for field in entity.fields.values():
        length = f' MaxLength="{field.length}"' if field.length else ""
        scale = ' Scale="Variable"' if field.type == "decimal" else ""
        parts.append(f'<Property Name="{field.name}" Type="{_TYPES[field.type]}"{length}{scale}/>')
    for name, navigation in entity.navigation.items():
        target = ENTITIES.get(navigation.target)
        if target is None:
            continue
        kind = f"Microsoft.NAV.{target.type_name}"
        shown = kind if navigation.single else f"Collection({kind})"
        parts.append(f'<NavigationProperty Name="{name}" Type="{shown}" ContainsTarget="true"/>')
    parts.append("</EntityType>")
    return "".join(parts)


def entity_definitions(base: str, company: Company) -> dict[str, Any]:
    """Names and captions of entities, properties and enum members."""
    value = []
    for entity in ENTITIES.values():
        properties = []
        for field in entity.fields.values():
            entry: dict[str, Any] = {"name": field.name, "captions": _captions(field.name)}
            if field.options:
                entry["enumMembers"] = [
                    {"name": encode_option(option), "captions": _captions(option)}
                    for option in field.options
                ]
            properties.append(entry)
        value.append(
            {
                "entityName": entity.type_name,
                "entitySetName": entity.name,
                "entityCaptions": _captions(entity.type_name),
                "properties": properties,
            }
        )
    company_id = company.identity.company_id
    return {
        "@odata.context": f"{base}/$metadata#entityDefinitions",
        "companyId": company_id,
        "value": value,
    }


def _captions(text: str) -> list[dict[str, Any]]:
    return [{"languageCode": 1033, "caption": text}]
