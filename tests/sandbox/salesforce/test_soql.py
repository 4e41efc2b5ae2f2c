"""Queries: what they find, how they are written out, what they refuse."""

from typing import Any

import pytest


@pytest.fixture
def people(org: Any) -> Any:
    """Three accounts, one of them bare, and two contacts."""
    acme = org.create("Account", Name="Acme", Type="Prospect", AnnualRevenue=10, Phone="1")
    org.create("Account", Name="bolt & Co", Type="Other", AnnualRevenue=30)
    org.create("Account", Name="Zebra's 100%_x")
    org.create("Contact", LastName="Ay", FirstName="Bo", AccountId=acme, MailingCity="Köln")
    org.create("Contact", LastName="Loner")
    return org


def _names(org: Any, condition: str) -> list[str]:
    found = org.query(f"SELECT Name FROM Account WHERE {condition} ORDER BY Name")  # noqa: S608
    return [record["Name"][0] for record in found["records"]]


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("Name = 'ACME'", "A"),
        ("Name != 'Acme'", "bZ"),
        ("NOT Name = 'Acme'", "bZ"),
        ("Type != 'Other'", "AZ"),
        ("Type = null", "Z"),
        ("Type != null", "Ab"),
        ("NOT Type = null", "Ab"),
        ("Type = ''", "Z"),
        ("Name LIKE 'a%'", "A"),
        ("Name LIKE '%o_t%'", "b"),
        (r"Name LIKE '%100\%\_x'", "Z"),
        (r"Name LIKE 'Zebra\'s%'", "Z"),
        ("(NOT Name LIKE 'a%')", "bZ"),
        ("Name IN ('acme', 'nobody')", "A"),
        ("Type NOT IN ('Other')", "AZ"),
        ("AnnualRevenue > 10", "b"),
        ("AnnualRevenue >= 10 AND Type IN ('Prospect')", "A"),
        ("AnnualRevenue < 20", "A"),
        ("Type = 'Other' OR (Phone = '1' AND Name = 'Acme')", "Ab"),
        ("CreatedDate = TODAY", "AbZ"),
        ("CreatedDate = LAST_N_DAYS:3", "AbZ"),
        ("CreatedDate < TODAY", ""),
        ("CreatedDate > 2020-01-31T00:00:00Z", "AbZ"),
        ("CreatedDate < 2020-01-31T00:00:00+01:00", ""),
        ("SystemModstamp >= 2020-01-31T00:00:00.000Z", "AbZ"),
        ("Id IN (SELECT AccountId FROM Contact)", "A"),
        ("Id NOT IN (SELECT AccountId FROM Contact WHERE LastName = 'Ay')", "bZ"),
        ("Owner.Username = 'integration@acme.example'", "AbZ"),
        ("IsDeleted = false", "AbZ"),
        ("IsDeleted = true", ""),
    ],
)
def test_conditions_mean_what_they_mean(people: Any, condition: str, found: str) -> None:
    """Text ignores case, nulls count for !=, and semi-joins look into other objects."""
    assert "".join(_names(people, condition)) == found


@pytest.mark.parametrize(
    ("soql", "code"),
    [
        ("SELECT Id FRM Account", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account WHERE Name = 'x", "MALFORMED_QUERY"),
        (
            "SELECT Id FROM Account WHERE Name = 'a' AND Phone = '1' OR Type = 'x'",
            "MALFORMED_QUERY",
        ),
        ("SELECT * FROM Account", "MALFORMED_QUERY"),
        ("SELECT FIELDS(ALL) FROM Account", "MALFORMED_QUERY"),
        ("SELECT FIELDS(ALL) FROM Account LIMIT 201", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account WHERE CreatedDate = SOMEDAY", "MALFORMED_QUERY"),
        ("SELECT Type, COUNT(Id) FROM Account", "MALFORMED_QUERY"),
        ("SELECT Nope FROM Account", "INVALID_FIELD"),
        ("SELECT Nope.Name FROM Account", "INVALID_FIELD"),
        ("SELECT Id, Id FROM Account", "INVALID_FIELD"),
        ("SELECT Id FROM Account WHERE Nope = 1", "INVALID_FIELD"),
        ("SELECT Id FROM Account WHERE AnnualRevenue = '1'", "INVALID_FIELD"),
        ("SELECT Id FROM Account WHERE Name = 1", "INVALID_FIELD"),
        ("SELECT Id FROM Account WHERE CreatedDate > 2020-01-31", "INVALID_FIELD"),
        ("SELECT Id FROM Account WHERE CreatedDate > '2020-01-31T00:00:00Z'", "INVALID_FIELD"),
        ("SELECT Id FROM Account WHERE Description = 'x'", "INVALID_FIELD"),
        ("SELECT Id FROM Account ORDER BY Description", "INVALID_FIELD"),
        ("SELECT Id FROM Account WHERE BillingAddress = 'x'", "INVALID_FIELD"),
        ("SELECT Id FROM Nope", "INVALID_TYPE"),
        ("SELECT Id, (SELECT Id FROM Nopes) FROM Account", "INVALID_TYPE"),
        ("SELECT Id FROM Account WHERE Id = 'x'", "INVALID_QUERY_FILTER_OPERATOR"),
        ("SELECT Id FROM Account WHERE AnnualRevenue LIKE '1'", "INVALID_QUERY_FILTER_OPERATOR"),
        ("SELECT Id FROM Account OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE"),
        ("", "MALFORMED_QUERY"),
    ],
)
def test_what_is_wrong_is_refused(org: Any, soql: str, code: str) -> None:
    """Each mistake has the vendor's code."""
    assert org.refusal("GET", "/query", params={"q": soql}) == (400, code)


def test_a_raw_plus_in_the_address_is_a_space(org: Any) -> None:
    """An instant whose plus was not encoded is no instant."""
    path = "/query?q=SELECT+Id+FROM+Account+WHERE+CreatedDate>2020-01-31T00:00:00+00:00"
    assert org.refusal("GET", path) == (400, "MALFORMED_QUERY")


def test_parents_are_nested_and_null_when_absent(people: Any) -> None:
    """A path to a parent makes an object, or null."""
    found = people.query("SELECT LastName, Account.Name, Account.Owner.Username FROM Contact")
    by_name = {record["LastName"]: record for record in found["records"]}
    account = by_name["Ay"]["Account"]
    assert account["attributes"]["type"] == "Account"
    assert (account["Name"], account["Owner"]["Username"]) == ("Acme", "integration@acme.example")
    assert by_name["Loner"]["Account"] is None
    assert set(by_name["Ay"]) == {"attributes", "LastName", "Account"}


def test_children_are_a_result_of_their_own(people: Any) -> None:
    """Filter, order and limit work inside; no child is null."""
    soql = (
        "SELECT Name, (SELECT Name FROM Contacts WHERE MailingCity = 'köln' "
        "ORDER BY LastName DESC LIMIT 1) FROM Account ORDER BY Name"
    )
    records = people.query(soql)["records"]
    children = records[0]["Contacts"]
    assert (children["totalSize"], children["done"]) == (1, True)
    assert children["records"][0]["Name"] == "Bo Ay"
    assert records[1]["Contacts"] is None


def test_order_puts_nulls_first_unless_told(people: Any) -> None:
    """Ascending and descending, with nulls at either end."""

    def order(words: str) -> str:
        found = people.query(f"SELECT Name FROM Account ORDER BY AnnualRevenue {words}")  # noqa: S608
        return "".join(record["Name"][0] for record in found["records"])

    assert order("") == "ZAb"
    assert order("NULLS LAST") == "AbZ"
    assert order("DESC NULLS LAST, Name") == "bAZ"
    assert order("DESC NULLS FIRST") == "ZbA"


def test_counts_groups_and_sums(people: Any) -> None:
    """COUNT() answers in totalSize; aggregates are records of their own type."""
    assert people.query("SELECT COUNT() FROM Account WHERE Type != null") == {
        "totalSize": 2,
        "done": True,
        "records": [],
    }
    (record,) = people.query("SELECT COUNT(Id), SUM(AnnualRevenue) total FROM Account")["records"]
    assert (record["attributes"]["type"], record["expr0"], record["total"]) == (
        "AggregateResult",
        3,
        40,
    )
    soql = "SELECT Type, COUNT(Id) n FROM Account GROUP BY Type HAVING COUNT(Id) > 0 ORDER BY Type"
    found = people.query(soql)["records"]
    assert [(r["Type"], r["n"]) for r in found] == [(None, 1), ("Other", 1), ("Prospect", 1)]


def test_pages_follow_their_locator(org: Any) -> None:
    """The next address leads through all records once; a stale one is refused."""
    for start in range(0, 600, 200):
        records = [
            {"attributes": {"type": "Account"}, "Name": f"{start + n:04d}"} for n in range(200)
        ]
        assert org.call("POST", "/composite/sobjects", {"records": records}).status_code == 200
    headers = {"sforce-query-options": "batchSize=250"}
    params = {"q": "SELECT Name FROM Account ORDER BY Name"}
    page = org.call("GET", "/query", params=params, headers=headers).json()
    names, addresses = [record["Name"] for record in page["records"]], []
    while not page["done"]:
        addresses.append(page["nextRecordsUrl"])
        page = org.call("GET", page["nextRecordsUrl"]).json()
        assert page["totalSize"] == 600
        names += [record["Name"] for record in page["records"]]
    assert names == [f"{n:04d}" for n in range(600)]
    assert len(addresses) == 2 and "nextRecordsUrl" not in page
    org.move_clock(16 * 60)
    assert org.refusal("GET", addresses[0]) == (400, "INVALID_QUERY_LOCATOR")


def test_only_the_newest_ten_queries_stay_open(org: Any) -> None:
    """An eleventh closes the oldest."""
    org.switch(query_page_size=1)
    for name in "ab":
        org.create("Account", Name=name)
    addresses = [org.query("SELECT Id FROM Account")["nextRecordsUrl"] for _ in range(11)]
    assert org.refusal("GET", addresses[0]) == (400, "INVALID_QUERY_LOCATOR")
    assert org.call("GET", addresses[1]).status_code == 200


def test_limit_and_offset_cut_the_list(people: Any) -> None:
    """OFFSET skips, LIMIT ends."""
    found = people.query("SELECT Name FROM Account ORDER BY Name LIMIT 1 OFFSET 1")
    assert [record["Name"] for record in found["records"]] == ["bolt & Co"]


def test_query_all_sees_the_recycle_bin(org: Any) -> None:
    """Deleted records show for fifteen days, with their flag."""
    record_id = org.create("Account", Name="x")
    org.call("DELETE", f"/sobjects/Account/{record_id}")
    soql = "SELECT Id, IsDeleted FROM Account WHERE IsDeleted = true"
    assert org.query(soql)["totalSize"] == 0
    assert org.query(soql, "queryAll")["records"][0]["IsDeleted"] is True
    org.move_clock(16 * 86400)
    org.sign_in()
    assert org.query(soql, "queryAll")["totalSize"] == 0


def test_field_groups_name_what_the_user_sees(org: Any) -> None:
    """ALL has both kinds, CUSTOM the package's alone."""
    org.create("Account", Name="x")
    (custom,) = org.query("SELECT FIELDS(CUSTOM) FROM Account LIMIT 1")["records"]
    assert all(name.endswith("__c") for name in custom if name != "attributes")
    (everything,) = org.query("SELECT FIELDS(ALL) FROM Account LIMIT 1")["records"]
    assert {"Id", "Name", "BC_Customer_Id__c"} <= set(everything)


def test_a_compound_address_is_an_object_or_null(people: Any) -> None:
    """Any filled part makes the object."""
    found = people.query("SELECT MailingAddress FROM Contact ORDER BY LastName")["records"]
    assert found[0]["MailingAddress"]["city"] == "Köln"
    assert found[1]["MailingAddress"] is None


def test_an_object_called_order_can_be_queried(org: Any, draft: str) -> None:
    """The name of the object and the keyword live side by side."""
    soql = (
        "SELECT Id, Order.OrderNumber, Order.Account.Name FROM OrderItem ORDER BY Order.OrderNumber"
    )
    (item,) = org.query(soql)["records"]
    assert item["Order"]["Account"]["Name"] == "Acme"
    assert org.ids("SELECT o.Id FROM Order o WHERE o.Status = 'Draft' ORDER BY o.Id") == [draft]
