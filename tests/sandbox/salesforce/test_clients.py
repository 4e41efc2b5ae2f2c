"""Clients that others wrote work unchanged."""

import ssl
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import requests
from aio_sf.api.auth import ClientCredentialsAuth
from aio_sf.api.client import SalesforceClient
from simple_salesforce import Salesforce, SalesforceMalformedRequest, format_soql


def _simple(org: Any) -> Salesforce:
    session = requests.Session()
    session.trust_env = False
    session.verify = str(org.ca_file)
    return Salesforce(instance_url=org.url, session_id=org.token, session=session, version="65.0")


def test_simple_salesforce(org: Any, draft: str) -> None:
    """Records, upserts, queries, describe, feeds, bulk and limits."""
    sf = _simple(org)
    made = sf.Account.create({"Name": "O'Hara"})
    assert sf.Account.get(made["id"])["Name"] == "O'Hara"
    assert sf.Account.upsert("BC_Customer_Id__c/a-1", {"Name": "Up"}) == 201
    assert sf.Account.upsert("BC_Customer_Id__c/a-1", {"Phone": "1"}) == 200
    assert sf.Account.get_by_custom_id("BC_Customer_Id__c", "a-1")["Phone"] == "1"
    assert sf.Account.update(made["id"], {"Phone": "2"}) == 204
    found = sf.query(format_soql("SELECT Id FROM Account WHERE Name = {}", "O'Hara"))
    assert found["records"][0]["Id"] == made["id"]
    org.switch(query_page_size=1)
    assert len(list(sf.query_all_iter("SELECT Id FROM Account"))) == 3
    assert sf.api_usage["api-usage"].used > 0
    assert sf.is_sandbox() is False
    assert any(s["name"] == "Order" for s in sf.describe()["sobjects"])
    assert sf.Order.describe()["name"] == "Order"
    with pytest.raises(SalesforceMalformedRequest) as refusal:
        sf.Account.create({})
    assert refusal.value.content[0]["errorCode"] == "REQUIRED_FIELD_MISSING"
    now = datetime.now(UTC)
    updated = sf.Account.updated(now - timedelta(hours=1), now + timedelta(minutes=2))
    assert made["id"] in updated["ids"]
    assert sf.Account.delete(made["id"]) == 204
    deleted = sf.Account.deleted(now - timedelta(hours=1), now + timedelta(minutes=2))
    assert deleted["deletedRecords"][0]["id"] == made["id"]
    assert sf.query("SELECT Id FROM Account", include_deleted=True)["totalSize"] == 3
    assert sf.limits()["DailyApiRequests"]["Max"] > 0
    (pages,) = list(sf.bulk2.Order.query("SELECT Id FROM Order"))
    assert draft in pages
    rows = [{"BC_Customer_Id__c": f"b-{n}", "Name": f"Bulk, {n}"} for n in range(3)]
    (job,) = sf.bulk2.Account.upsert(records=rows, external_id_field="BC_Customer_Id__c", wait=1)
    assert (job["numberRecordsProcessed"], job["numberRecordsFailed"]) == (3, 0)
    assert sf.bulk2.Account.get_successful_records(job["job_id"]).count("Bulk, ") == 3
    body = [{"method": "GET", "url": "v65.0/limits"}]
    batch = sf.restful("composite/batch", method="POST", json={"batchRequests": body})
    assert batch["hasErrors"] is False


async def test_aio_sf(org: Any, draft: str) -> None:
    """Its own sign-in with introspection, queries, collections, describe and bulk."""
    sf = SalesforceClient(
        ClientCredentialsAuth(org.url, "sandbox-client", "sandbox-secret"), version="v65.0"
    )
    trust = ssl.create_default_context(cafile=str(org.ca_file))
    sf._http_client = httpx.AsyncClient(verify=trust, trust_env=False)
    async with sf:
        result = await sf.query.soql("SELECT Id, TotalAmount FROM Order")
        records = [record async for record in result]
        assert [record["Id"] for record in records] == [draft]
        described = await sf.describe.sobject("Order")
        assert described["name"] == "Order"
        rows = [{"Name": "a"}, {"Name": "b"}]
        await sf.collections.insert(rows, "Account")
    assert org.query("SELECT COUNT() FROM Account")["totalSize"] == 3
