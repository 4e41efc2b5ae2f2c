"""What people of the org do: a salesperson's and an administrator's acts."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from ml_connector.sandbox.frame.admin import AdminError
from ml_connector.sandbox.salesforce import records, soql
from ml_connector.sandbox.salesforce.faults import SalesforceFault
from ml_connector.sandbox.salesforce.ids import normal_id
from ml_connector.sandbox.salesforce.limits import Limits
from ml_connector.sandbox.salesforce.loading import load
from ml_connector.sandbox.salesforce.org import SalesforceOrg
from ml_connector.sandbox.salesforce.package import PackageError
from ml_connector.sandbox.salesforce.schema import SObject
from ml_connector.sandbox.salesforce.transactions import Origin, Transaction
from ml_connector.sandbox.salesforce.values import show

Result = TypeVar("Result")
_UI = Origin("soap", "65.0", "SfdcInternalAPI/")
_KEYS = {
    "Order": "OrderNumber",
    "Account": "AccountNumber",
    "Product2": "ProductCode",
    "OrderItem": "OrderItemNumber",
    "Contact": "Email",
}


class OrgSystem:
    """The org as the admin surface sees it."""

    def __init__(self, org: SalesforceOrg) -> None:
        self.org = org
        self.companions: dict[str, Callable[..., Any]] = {}
        self._acts: dict[str, Callable[..., Any]] = {
            name.removeprefix("do_"): getattr(self, name)
            for name in dir(self)
            if name.startswith("do_")
        }

    def act(self, name: str, **arguments: Any) -> Any:
        """Lets a person of the org do something."""
        self.org.refresh()
        for prefix, companion in self.companions.items():
            if name.startswith(prefix):
                return companion(name, **arguments)
        do = self._acts.get(name)
        if do is None:
            raise AdminError(f"no act {name}; there are {sorted(self._acts)}")
        try:
            return do(**arguments)
        except SalesforceFault as fault:
            raise AdminError(f"{fault.code}: {fault.message}") from fault
        except PackageError as fault:
            raise AdminError(str(fault)) from fault

    def load(self, entity: str, rows: list[dict[str, Any]]) -> None:
        """Takes in valid rows of an object without a change event."""
        self.org.refresh()
        load(self.org, entity, rows)

    def records(self, entity: str, where: dict[str, str]) -> list[dict[str, Any]]:
        """Stored rows of an object whose fields have these values."""
        return self.org.records(entity, where)

    def state(self) -> dict[str, Any]:
        """Counts per object."""
        return self.org.state()

    def snapshot(self) -> bytes:
        """The whole state."""
        return self.org.snapshot()

    def restore(self, blob: bytes) -> None:
        """Sets the state as a snapshot had it."""
        self.org.restore(blob)

    # --- administration ---

    def do_rotate_client_secret(self) -> dict[str, str]:
        """An administrator draws a new consumer secret; the old one is refused from now on."""
        self.org.client_secret = secrets.token_hex(32).upper()
        return {"client_secret": self.org.client_secret}

    # --- finding ---------------------------------------------------------------------------

    def _type(self, name: str) -> SObject:
        found = self.org.schema.find(name)
        if found is None:
            raise AdminError(f"no object {name}")
        return found

    def _find(self, sobject: SObject, key: str) -> str:
        """The id of the live record that an id, a number or an external id names."""
        found = normal_id(key)
        if found is not None and self.org.row(sobject.name, found) is not None:
            return found
        fields = [_KEYS.get(sobject.name), *(c.name for c in sobject.fields.values() if c.unique)]
        table = self.org.table(sobject.name)
        for field in fields:
            matches = table.live(field, key) if field in table.indexes else []
            if len(matches) == 1:
                return matches[0]
        raise AdminError(f"no single {sobject.name} {key}")

    def _work(self, do: Callable[[Transaction], Result]) -> Result:
        transaction = self.org.begin(self.org.rep, _UI)
        try:
            result = do(transaction)
        except BaseException:
            transaction.roll_back()
            raise
        self.org.commit(transaction)
        return result

    def _show(self, sobject: str, record_id: str) -> dict[str, Any]:
        row = self.org.table(sobject).rows[record_id]
        return {name: show(value) for name, value in row.items()}

    # --- the salesperson -------------------------------------------------------------------

    def do_create(self, sobject: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Creates any record."""
        kind = self._type(sobject)
        found = self._work(lambda t: records.create(self.org, t, kind, fields))
        return self._show(kind.name, found)

    def do_edit(self, sobject: str, record: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Changes fields of any record."""
        kind = self._type(sobject)
        found = self._find(kind, record)
        self._work(lambda t: records.update(self.org, t, kind, found, fields))
        return self._show(kind.name, found)

    def do_delete(self, sobject: str, record: str) -> dict[str, Any]:
        """Deletes any record."""
        kind = self._type(sobject)
        found = self._find(kind, record)
        self._work(lambda t: records.delete(self.org, t, kind, found))
        return {"id": found}

    def do_undelete(self, record: str) -> dict[str, Any]:
        """Takes a record out of the recycle bin."""
        self._work(lambda t: records.undelete(self.org, t, record))
        return {"id": record}

    def do_empty_recycle_bin(self) -> dict[str, Any]:
        """Removes deleted records for good, without a trace in any feed."""
        gone = 0
        for table in self.org.tables.values():
            for found in [key for key, row in table.rows.items() if row.get("IsDeleted")]:
                table.put(found, None)
                gone += 1
        self.org.cascades.clear()
        return {"removed": gone}

    def do_merge_accounts(
        self, winner: str, losers: Sequence[str], fields: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Merges one or two accounts into a winner, which takes over their records."""
        return self._merge("Account", winner, losers, fields)

    def do_merge_contacts(
        self, winner: str, losers: Sequence[str], fields: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Merges one or two contacts into a winner, which takes over their records."""
        return self._merge("Contact", winner, losers, fields)

    def _merge(
        self, sobject: str, winner: str, losers: Sequence[str], fields: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        kind = self._type(sobject)
        master = self._find(kind, winner)
        gone = [self._find(kind, loser) for loser in losers]
        if not 1 <= len(gone) <= 2 or master in gone:
            raise AdminError("a merge has one winner and one or two others")

        def merge(transaction: Transaction) -> None:
            for loser in gone:
                for child in kind.children:
                    if child.sobject in self.org.schema.objects:
                        for found in list(self.org.table(child.sobject).live(child.field, loser)):
                            change: records.Given = {child.field: master}
                            records.touch(self.org, transaction, child.sobject, found, change)
                records.bury(self.org, transaction, kind, loser, master=master)
            if fields:
                records.update(self.org, transaction, kind, master, fields)
            else:
                records.touch(self.org, transaction, sobject, master, {})

        self._work(merge)
        return {"id": master, "merged": gone}

    def do_create_order(
        self, account: str, lines: Sequence[Mapping[str, Any]], **fields: Any
    ) -> dict[str, Any]:
        """Writes a draft order; each line is {"product", "quantity", "unit_price"?}.

        `activate=true` activates it too; other names are fields of the order.
        """
        activate = bool(fields.pop("activate", False))
        kind = self._type("Order")
        body: dict[str, Any] = {
            "AccountId": self._find(self._type("Account"), account),
            "EffectiveDate": self.org.frame.clock.today().isoformat(),
            "Status": self._status("Draft"),
            "Pricebook2Id": self.org.ensure_standard_price_book(),
            **fields,
        }
        if "CurrencyIsoCode" in kind.fields and "CurrencyIsoCode" not in body:
            row = self.org.table("Account").rows[body["AccountId"]]
            body["CurrencyIsoCode"] = row.get("CurrencyIsoCode", self.org.currency)

        def write(transaction: Transaction) -> str:
            found = records.create(self.org, transaction, kind, body)
            for line in lines:
                self._add_line(transaction, found, line)
            return found

        found = self._work(write)
        return self.do_activate_order(found) if activate else self._show("Order", found)

    def do_add_line(self, order: str, line: Mapping[str, Any]) -> dict[str, Any]:
        """Adds a product to a draft order."""
        found = self._find(self._type("Order"), order)
        return self._show("OrderItem", self._work(lambda t: self._add_line(t, found, line)))

    def _add_line(self, transaction: Transaction, order_id: str, line: Mapping[str, Any]) -> str:
        unknown = set(line) - {"product", "quantity", "unit_price", "description", "original_line"}
        if unknown:
            raise AdminError(f"a line has no {sorted(unknown)}")
        order = self.org.table("Order").rows[order_id]
        product = self._find(self._type("Product2"), str(line["product"]))
        entries = self.org.table("PricebookEntry")
        for found in entries.live("Product2Id", product):
            entry = entries.rows[found]
            same_book = entry["Pricebook2Id"] == order.get("Pricebook2Id")
            if same_book and entry.get("CurrencyIsoCode") == order.get("CurrencyIsoCode"):
                break
        else:
            raise AdminError(f"{line['product']} has no price in the order's book and currency")
        body: dict[str, Any] = {
            "OrderId": order_id,
            "PricebookEntryId": found,
            "Quantity": line.get("quantity", 1),
            "UnitPrice": line.get("unit_price", entry["UnitPrice"]),
        }
        if "description" in line:
            body["Description"] = line["description"]
        if "original_line" in line:
            item = self._type("OrderItem")
            body["OriginalOrderItemId"] = self._find(item, line["original_line"])
        return records.create(self.org, transaction, self._type("OrderItem"), body)

    def do_remove_line(self, line: str) -> dict[str, Any]:
        """Takes a product off a draft order."""
        return self.do_delete("OrderItem", line)

    def do_activate_order(self, order: str) -> dict[str, Any]:
        """Activates an order."""
        return self.do_edit("Order", order, {"Status": self._status("Activated")})

    def do_draft_order(self, order: str) -> dict[str, Any]:
        """Sets an activated order back to draft."""
        return self.do_edit("Order", order, {"Status": self._status("Draft")})

    def do_cancel_order(self, order: str) -> dict[str, Any]:
        """Sets an order back to draft if need be and deletes it."""
        kind = self._type("Order")
        found = self._find(kind, order)
        if self.org.table("Order").rows[found]["StatusCode"] != "Draft":
            self.do_draft_order(found)
        return self.do_delete("Order", found)

    def do_set_order_status(self, order: str, status: str) -> dict[str, Any]:
        """Sets any status of the order's list."""
        return self.do_edit("Order", order, {"Status": status})

    def do_reduce_order(self, order: str, lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Writes and activates a reduction order; each line is {"line", "quantity"} (positive)."""
        kind, item = self._type("Order"), self._type("OrderItem")
        original_id = self._find(kind, order)
        original = self.org.table("Order").rows[original_id]
        body = {
            "AccountId": original["AccountId"],
            "EffectiveDate": self.org.frame.clock.today().isoformat(),
            "Status": self._status("Draft"),
            "Pricebook2Id": original.get("Pricebook2Id"),
            "IsReductionOrder": True,
            "OriginalOrderId": original_id,
        }
        if "CurrencyIsoCode" in original:
            body["CurrencyIsoCode"] = original["CurrencyIsoCode"]

        def write(transaction: Transaction) -> str:
            found = records.create(self.org, transaction, kind, body)
            for line in lines:
                source_id = self._find(item, str(line["line"]))
                source = self.org.table("OrderItem").rows[source_id]
                records.create(
                    self.org,
                    transaction,
                    item,
                    {
                        "OrderId": found,
                        "PricebookEntryId": source["PricebookEntryId"],
                        "Quantity": -Decimal(str(line["quantity"])),
                        "UnitPrice": source["UnitPrice"],
                        "OriginalOrderItemId": source_id,
                    },
                )
            return found

        return self.do_activate_order(self._work(write))

    def _status(self, category: str) -> str:
        return next(name for name, found in self.org.order_statuses.items() if found == category)

    # --- the administrator -----------------------------------------------------------------

    def do_deploy_package(self, directory: str | None = None) -> dict[str, Any]:
        """Deploys a package in place of the present one; without a folder the first one again."""
        self.org.deploy(Path(directory) if directory else self.org.package_directory)
        return {"fields": sorted(self._custom_fields())}

    def do_remove_package(self) -> dict[str, Any]:
        """Takes the package's fields and permission set away; values stay stored."""
        self.org.deploy(None)
        return {"fields": sorted(self._custom_fields())}

    def _custom_fields(self) -> list[str]:
        return [
            f"{name}.{column.name}"
            for name, columns in self.org.package.fields.items()
            for column in columns
        ]

    def do_withdraw(self, permission: str) -> dict[str, Any]:
        """Takes a user permission, or the sight of a field (Object.Field), from the run-as user."""
        access = self.org.integration_user.access
        access.granted.discard(permission)
        access.withdrawn.add(permission)
        return {"withdrawn": sorted(access.withdrawn)}

    def do_grant(self, permission: str) -> dict[str, Any]:
        """Gives a user permission (back) to the run-as user."""
        access = self.org.integration_user.access
        access.withdrawn.discard(permission)
        if "." not in permission:
            access.granted.add(permission)
        return {"withdrawn": sorted(access.withdrawn), "granted": sorted(access.granted)}

    def do_make_not_unique(self, field: str) -> dict[str, Any]:
        """Lets an external id field (Object.Field) hold a value several times."""
        name, _, column_name = field.partition(".")
        kind = self._type(name)
        column = kind.find(column_name)
        if column is None or not column.custom:
            raise AdminError(f"{field} is no custom field")
        columns = self.org.package.fields[kind.name]
        self.org.package.fields[kind.name] = [
            replace(c, unique=False) if c.name == column.name else c for c in columns
        ]
        self.org.refresh(rebuild=True)
        return {"field": field, "unique": False}

    def do_use_allowance(self, calls: int = 0, deliveries: int = 0) -> dict[str, Any]:
        """Lets other integrations use API calls and event deliveries of the day."""
        limits = Limits(self.org)
        limits.use(calls)
        before = int(self.org.services.get("deliveries_to_others", 0))
        self.org.services["deliveries_to_others"] = before + deliveries
        shown = limits.listing()
        return {name: shown[name] for name in ("DailyApiRequests", "DailyDeliveredPlatformEvents")}

    def do_add_order_status(self, label: str, category: str = "Draft") -> dict[str, Any]:
        """Adds an order status of category Draft or Activated."""
        if category not in ("Draft", "Activated"):
            raise AdminError("a category is Draft or Activated")
        self.org.place_order_status(label, category)
        self.org.refresh()
        return dict(self.org.order_statuses)

    def do_add_validation_rule(
        self, sobject: str, condition: str, message: str, fields: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Refuses saves of records for which a condition (written as in WHERE) holds."""
        kind = self._type(sobject)
        soql.holds(self.org, kind, condition, {})
        self.org.validation_rules.append(
            {
                "sobject": kind.name,
                "condition": condition,
                "message": message,
                "fields": list(fields),
            }
        )
        return {"rules": len(self.org.validation_rules)}

    def do_remove_validation_rules(self) -> dict[str, Any]:
        """Removes all validation rules."""
        self.org.validation_rules.clear()
        return {"rules": 0}

    def do_lock_record(self, record: str, times: int = 1) -> dict[str, Any]:
        """Lets the next writes of a record fail as if another transaction held it."""
        found = normal_id(record)
        if found is None:
            raise AdminError(f"{record} is no id")
        self.org.row_locks[found] = times
        return dict(self.org.row_locks)
