"""What a salesperson and an administrator do, and what it leaves."""

from typing import Any


def test_a_merge_keeps_the_winner_and_its_new_records(org: Any, draft: str, shop: Any) -> None:
    """The loser is deleted with its master named; orders and contacts move over."""
    winner = org.create("Account", Name="Winner", BC_Customer_Id__c="w")
    contact = org.create("Contact", LastName="x", AccountId=shop.account)
    org.act("merge_accounts", winner=winner, losers=[shop.account], fields={"Phone": "1"})
    assert org.read("Order", draft)["AccountId"] == winner
    assert org.read("Contact", contact)["AccountId"] == winner
    assert org.read("Account", winner)["Phone"] == "1"
    soql = f"SELECT MasterRecordId, IsDeleted FROM Account WHERE Id = '{shop.account}'"  # noqa: S608
    (loser,) = org.query(soql, "queryAll")["records"]
    assert (loser["MasterRecordId"], loser["IsDeleted"]) == (winner, True)


def test_merged_contacts_leave_one_that_their_orders_name(org: Any, draft: str, shop: Any) -> None:
    """The losing contact is deleted with its master named; orders name the winner."""
    winner, loser = (
        org.create("Contact", LastName=name, AccountId=shop.account) for name in ("a", "b")
    )
    org.act("edit", sobject="Order", record=draft, fields={"BillToContactId": loser})
    org.act("merge_contacts", winner=winner, losers=[loser])
    soql = f"SELECT MasterRecordId, IsDeleted FROM Contact WHERE Id = '{loser}'"  # noqa: S608
    (gone,) = org.query(soql, "queryAll")["records"]

    assert (gone["MasterRecordId"], gone["IsDeleted"]) == (winner, True)
    assert org.read("Order", draft)["BillToContactId"] == winner


def test_a_deleted_account_takes_its_records_and_brings_them_back(
    org: Any, draft: str, shop: Any
) -> None:
    """Contacts and draft orders with their lines go and return together."""
    contact = org.create("Contact", LastName="x", AccountId=shop.account)
    org.act("delete", sobject="Account", record=shop.account)
    for sobject in ("Contact", "Order", "OrderItem"):
        assert org.query(f"SELECT COUNT() FROM {sobject}")["totalSize"] == 0  # noqa: S608
    org.act("undelete", record=shop.account)
    assert org.read("Contact", contact)["AccountId"] == shop.account
    assert org.read("Order", draft)["TotalAmount"] == 10


def test_an_emptied_bin_leaves_nothing(org: Any) -> None:
    """Records removed for good are in no feed and not in queryAll."""
    record_id = org.create("Account", Name="x")
    org.call("DELETE", f"/sobjects/Account/{record_id}")
    org.act("empty_recycle_bin")
    assert org.query("SELECT Id FROM Account", "queryAll")["totalSize"] == 0
    assert org.refusal("GET", f"/sobjects/Account/{record_id}") == (404, "NOT_FOUND")


def test_a_rep_writes_under_their_own_name(org: Any, shop: Any) -> None:
    """Acts are another user's writes than the integration's."""
    last = org.admin.get("/writes").json()["last"]
    order = org.act(
        "create_order",
        account=shop.account,
        lines=[{"product": "B-1", "quantity": 2}],
        activate=True,
    )
    assert (order["StatusCode"], order["TotalAmount"]) == ("Activated", 5)
    entries = org.admin.get("/writes", params={"since": last}).json()["writes"]
    assert {entry["who"] for entry in entries} == {"rep@acme.example"}
    assert order["CreatedById"] == org.read("Order", order["Id"])["CreatedById"]


def test_a_snapshot_brings_everything_back(org: Any) -> None:
    """Records, sessions and counters are as they were."""
    record_id = org.create("Account", Name="x")
    org.admin.post("/snapshot", json={"name": "mine"}).raise_for_status()
    org.call("DELETE", f"/sobjects/Account/{record_id}")
    org.admin.post("/restore", json={"name": "mine"}).raise_for_status()
    assert org.read("Account", record_id)["Name"] == "x"


def test_products_in_use_stay(org: Any, draft: str, shop: Any) -> None:
    """What an order refers to cannot be deleted; a new name shows on its prices."""
    for path in (f"/sobjects/Product2/{shop.product}", f"/sobjects/PricebookEntry/{shop.entry}"):
        assert org.refusal("DELETE", path) == (400, "DELETE_FAILED")
    org.call("PATCH", f"/sobjects/Product2/{shop.product}", {"Name": "Big bolt"})
    assert org.read("PricebookEntry", shop.entry)["Name"] == "Big bolt"
    assert draft


def test_a_canceled_order_is_gone(org: Any, draft: str) -> None:
    """An activated order goes back to draft and into the bin with its lines."""
    org.act("activate_order", order=draft)
    org.act("cancel_order", order=draft)
    assert org.refusal("GET", f"/sobjects/Order/{draft}") == (404, "ENTITY_IS_DELETED")
    assert org.query("SELECT COUNT() FROM OrderItem")["totalSize"] == 0


def test_loaded_records_are_there_and_nothing_tells_of_them(org: Any) -> None:
    """A bulk load takes valid rows in as they are; an unknown field is refused."""
    last = org.admin.get("/writes").json()["last"]
    rows = [
        {"Name": f"Loaded {number}", "BC_Customer_Number__c": f"N{number}"} for number in (1, 2)
    ]

    answer = org.admin.post("/load", json={"entity": "Account", "rows": rows})

    assert answer.json() == {"loaded": 2}
    soql = "SELECT Name, BC_Customer_Number__c FROM Account WHERE Name LIKE 'Loaded%'"
    assert {row["BC_Customer_Number__c"] for row in org.query(soql)["records"]} == {"N1", "N2"}
    assert org.admin.get("/writes").json()["last"] == last
    refused = org.admin.post("/load", json={"entity": "Account", "rows": [{"Nonsense": 1}]})
    assert refused.status_code == 400
