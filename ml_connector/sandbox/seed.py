"""A distributor's data for both systems, the same for the same seed.

Customers in five countries and four currencies (one in a single-currency org), items with units
and prices, a standard and a trade price book, contacts, opportunities, and orders of 1 to 40
lines. About a quarter of the Accounts have their customer in Business Central already, under the
same number; a few customers and their people there have no Account. Names and addresses carry
quotes, umlauts, other scripts, emoji, and blanks at the end.

`customers`, `items` and `orders` count Accounts, items and Orders. Roughly one Order in ten is a
draft; one Account in twenty is a prospect without orders; some Accounts have no number, some no
country. With `plain=False` (and at least 12 of each) these records are meant not to go through,
always the last of their kind:

- the last Account has a name of 120 characters: parked, and the last Order waits for it;
- the last Account but one lies in a country nobody knows: parked;
- the last Account but two has a namesake customer at the same postcode: parked as a possible
  duplicate (their Contacts wait for them);
- one Product2 has a code no item has: no partner, and the last Order but one waits for it;
- two Product2 carry the code of the last item: both parked as ambiguous;
- one Contact has no Account: excluded;
- the last Order but two is a reduction order: excluded.
"""

import random
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from ml_connector.sandbox.frame.clock import SandboxClock
from ml_connector.sandbox.identities import fixed_uuid
from ml_connector.sandbox.salesforce.ids import record_id
from ml_connector.sandbox.seed_words import (
    AWKWARD,
    CATEGORIES,
    COUNTRIES,
    CURRENCIES,
    FAMILY,
    FIRST,
    GIVEN,
    GOODS,
    KINDS,
    SECOND,
    TITLES,
    UNITS,
    WEIGHTS,
    Country,
)

Row = dict[str, Any]
Load = list[tuple[str, list[Row]]]
"""Entities in loading order, each with its rows."""

LOCAL = "USD"
SPECIALS_FROM = 12
_CENT = Decimal("0.01")
_RATES = {LOCAL: Decimal(1), **{row[0]: row[5] for row in CURRENCIES}}
_SOLD_IN = (LOCAL, "EUR", "GBP", "CAD")
_TRADE_FACTOR = Decimal("0.9")


def build(
    seed: int,
    customers: int,
    items: int,
    orders: int,
    *,
    multi_currency: bool = True,
    plain: bool = False,
    lines: int | None = None,
    today: date | None = None,
) -> tuple[Load, Load]:
    """What the org loads and what the company loads.

    With `lines` every ordinary order has exactly so many lines.
    """
    day = today if today is not None else SandboxClock().today()
    maker = _Distributor(seed, multi_currency=multi_currency, lines=lines, today=day)
    return maker.build(customers, items, orders, plain=plain)


class _Distributor:
    def __init__(self, seed: int, *, multi_currency: bool, lines: int | None, today: date) -> None:
        self._lines = lines
        self._chance = random.Random(seed)
        self._multi = multi_currency
        self._today = today
        self._currencies = _SOLD_IN if multi_currency else (LOCAL,)
        self._org: dict[str, list[Row]] = {
            name: []
            for name in (
                "Pricebook2",
                "Product2",
                "PricebookEntry",
                "Account",
                "Contact",
                "Opportunity",
                "Order",
                "OrderItem",
            )
        }
        self._items: list[Row] = []
        self._customers: list[Row] = []
        self._people: list[Row] = []
        self._entries: dict[tuple[str, str, str], tuple[str, Decimal]] = {}
        self._books: list[str] = []

    def build(self, customers: int, items: int, orders: int, *, plain: bool) -> tuple[Load, Load]:
        special = not plain and min(customers, items, orders) >= SPECIALS_FROM
        self._make_books()
        products = [self._make_item(number) for number in range(items)]
        for number in range(customers):
            self._make_account(number)
        self._make_walk_ins(customers // 20)
        accounts = list(self._org["Account"])
        if special:
            self._make_special_products(products)
            self._make_special_accounts(accounts)
            accounts = accounts[:-3]
        buyers = [account for account in accounts if account.get("Type") != "Prospect"]
        sellable = products[:-1] if special else products
        if buyers and sellable:
            ordinary = orders - 3 if special else orders
            for number in range(ordinary):
                self._make_order(number, self._chance.choice(buyers), sellable)
            if special:
                self._make_special_orders(ordinary, sellable)
        org: Load = list(self._org.items())
        return org, [*self._base_data(), *self._company_data()]

    # -- catalog ------------------------------------------------------------------------------

    def _add(self, entity: str, prefix: str, **fields: Any) -> Row:
        rows = self._org[entity]
        row = {"Id": record_id(prefix, len(rows) + 1), **fields}
        rows.append(row)
        return row

    def _currency(self, code: str) -> Row:
        return {"CurrencyIsoCode": code} if self._multi else {}

    def _make_books(self) -> None:
        for name, standard in (("Standard Price Book", True), ("Trade", False)):
            book = self._add("Pricebook2", "01s", Name=name, IsActive=True, IsStandard=standard)
            self._books.append(book["Id"])

    def _make_item(self, number: int) -> Row:
        """One item and its Product2 with prices."""
        chance = self._chance
        good = GOODS[number % len(GOODS)]
        kind = KINDS[(number // len(GOODS)) % len(KINDS)]
        code = f"{good[:3].upper()}-{1000 + number}"
        service = number % 20 == 13
        unit = "HOUR" if service else chance.choice(("PCS", "PCS", "PCS", "BOX", "SET"))
        name = f"{good} installation" if service else f"{good} {kind}"
        if number >= len(GOODS) * len(KINDS):
            name = f"{name} {number}"
        price = Decimal(chance.randrange(150, 90_000)) / 100
        self._items.append(
            {
                "id": fixed_uuid("item", code),
                "number": code,
                "displayName": name + ("  " if number % 17 == 5 else ""),
                "type": "Service" if service else "Inventory",
                "itemCategoryCode": "SERVICES" if service else ("PARTS", "TOOLS")[number % 2],
                "baseUnitOfMeasureCode": unit,
                "unitPrice": price,
                "unitCost": (price * Decimal("0.6")).quantize(_CENT, ROUND_HALF_UP),
                "priceIncludesTax": False,
                "inventory": Decimal(0) if service else Decimal(1_000_000),
                "blocked": False,
            }
        )
        shown = code.lower() if number % 19 == 11 else code
        return self._make_product(name, shown, price, unit if number % 2 else None)

    def _make_product(self, name: str, code: str, price: Decimal, unit: str | None) -> Row:
        product = self._add(
            "Product2",
            "01t",
            Name=name,
            ProductCode=code,
            IsActive=True,
            **({"QuantityUnitOfMeasure": unit} if unit else {}),
            **self._currency(LOCAL),
        )
        for book, factor in zip(self._books, (Decimal(1), _TRADE_FACTOR), strict=True):
            for currency in self._currencies:
                amount = (price * factor / _RATES[currency]).quantize(_CENT, ROUND_HALF_UP)
                entry = self._add(
                    "PricebookEntry",
                    "01u",
                    Product2Id=product["Id"],
                    Pricebook2Id=book,
                    UnitPrice=amount,
                    IsActive=True,
                    **self._currency(currency),
                )
                self._entries[book, product["Id"], currency] = (entry["Id"], amount)
        return product

    def _make_special_products(self, products: list[Row]) -> None:
        last = self._items[-1]
        self._make_product(f"{last['displayName']} (old)", last["number"], last["unitPrice"], None)
        self._unknown = self._make_product("Prototype, not in BC", "PROTO-0", Decimal(99), None)
        products[-1]["Description"] = "Shares its code with another product."

    # -- customers ----------------------------------------------------------------------------

    def _digits(self, pattern: str) -> str:
        return "".join(str(self._chance.randrange(10)) if c == "#" else c for c in pattern)

    def _name(self, number: int, form: str) -> str:
        """A name no other Account has."""
        if number % 8 == 3:
            round_, place = divmod(number // 8, len(AWKWARD))
            return AWKWARD[place] + (f" {round_ + 1}" if round_ else "")
        first, rest = number % len(FIRST), number // len(FIRST)
        second, round_ = (rest * 7 + first) % len(SECOND), rest // len(SECOND)
        again = f" {round_ + 1}" if round_ else ""
        return f"{FIRST[first]} {SECOND[second]}{again} {form}"

    def _make_account(self, number: int) -> None:
        chance = self._chance
        country = chance.choices(COUNTRIES, WEIGHTS)[0]
        city, state, postcode = chance.choice(country.cities)
        street = f"{chance.randrange(1, 400)} {chance.choice(country.streets)}"
        name = self._name(number, chance.choice(country.forms))
        code = f"C{10_000 + number * 10}"
        numbered = number % 10 not in (4, 8)
        currency = country.currency if self._multi else LOCAL
        kind = (
            "Prospect" if number % 20 == 9 else chance.choice(("Customer - Direct",) * 3 + (None,))
        )
        if kind is None and number % 2:
            kind = "Customer - Channel"
        fields: Row = {
            "Name": name,
            "AccountNumber": code if numbered else None,
            "Type": kind,
            "Phone": self._digits(country.dial) if number % 6 else None,
            "Website": f"https://www.{_domain(number)}" if number % 3 else None,
            "BillingStreet": f"{street}\nBuilding {number % 7}" if number % 5 == 2 else street,
            "BillingCity": city,
            "BillingState": state or None,
            "BillingPostalCode": self._digits(postcode),
            "BillingCountry": self._country_text(country, number),
            **self._currency(currency),
        }
        account = self._add("Account", "001", **{k: v for k, v in fields.items() if v is not None})
        if numbered and number % 4 == 1 and kind != "Prospect":
            self._make_customer(account, code, country, street, number)
        for place in range(chance.choice((0, 1, 1, 2, 3))):
            self._make_contact(account, number, place)

    def _country_text(self, country: Country, number: int) -> str | None:
        if number % 15 == 14 and country.code == "US":
            return None
        return country.name if number % 2 else country.code

    def _make_customer(
        self, account: Row, code: str, country: Country, street: str, number: int
    ) -> None:
        """The customer that an Account has in Business Central already, with some blanks."""
        currency = country.currency if self._multi else LOCAL
        self._customers.append(
            {
                "id": fixed_uuid("customer", code),
                "number": code,
                "displayName": account["Name"] + (" " if number % 3 == 0 else ""),
                "type": "Company",
                "addressLine1": street,
                "addressLine2": "",
                "city": account["BillingCity"],
                "state": account.get("BillingState", ""),
                "country": country.code,
                "postalCode": account["BillingPostalCode"],
                "phoneNumber": account.get("Phone", "") if number % 2 else "",
                "email": f"office@{_domain(number)}",
                "website": "",
                "taxRegistrationNumber": self._digits(country.tax_id),
                "currencyCode": "" if currency == LOCAL else currency,
                "paymentTermsId": fixed_uuid("payment terms", "30 DAYS"),
                "creditLimit": Decimal(self._chance.randrange(10, 100) * 1000),
                "blocked": "",
            }
        )

    def _make_contact(self, account: Row | None, number: int, place: int) -> None:
        chance = self._chance
        given, family = chance.choice(GIVEN), chance.choice(FAMILY)
        fields: Row = {
            "FirstName": given if place != 1 else None,
            "LastName": family,
            "AccountId": account["Id"] if account else None,
            "Email": f"person{number}.{place}@{_domain(number)}" if place != 2 else None,
            "Phone": account.get("Phone") if account else None,
            "Title": chance.choice(TITLES),
        }
        self._add("Contact", "003", **{k: v for k, v in fields.items() if v is not None})

    def _make_walk_ins(self, count: int) -> None:
        """Customers of the back office alone, with a person each."""
        for number in range(count):
            code = f"W{20_000 + number}"
            row = {
                "id": fixed_uuid("customer", code),
                "number": code,
                "displayName": f"Counter sale {number + 1}",
                "type": "Company",
                "addressLine1": f"{number + 1} Warehouse Way",
                "city": "Tacoma",
                "state": "WA",
                "country": "US",
                "postalCode": "98402",
                "paymentTermsId": fixed_uuid("payment terms", "COD"),
            }
            self._customers.append(row)
            self._people.append(
                {
                    "id": fixed_uuid("contact", code),
                    "number": f"P{20_000 + number}",
                    "type": "Person",
                    "displayName": f"{GIVEN[number % len(GIVEN)]} {FAMILY[number % len(FAMILY)]}",
                    "companyOfCustomer": code,
                    "email": f"counter{number}@walkin.example",
                }
            )

    def _make_special_accounts(self, accounts: list[Row]) -> None:
        twin, unknown, long = accounts[-3:]
        for row in (twin, unknown, long):
            row["Type"] = "Customer - Direct"
            row.pop("AccountNumber", None)
        taken = {twin["Name"], unknown["Name"], long["Name"]}
        self._customers = [
            row for row in self._customers if row["displayName"].strip() not in taken
        ]
        twin["BillingCountry"] = "US"
        unknown["BillingCountry"] = "Atlantis"
        long["Name"] = ("Very Long Name of a Company That Nobody Could Shorten " * 3)[:119] + "!"
        self._customers.append(
            {
                "id": fixed_uuid("customer", "TWIN"),
                "number": "T30000",
                "displayName": twin["Name"],
                "type": "Company",
                "addressLine1": twin["BillingStreet"].split("\n")[0],
                "city": twin["BillingCity"],
                "country": "US",
                "postalCode": twin["BillingPostalCode"],
                "paymentTermsId": fixed_uuid("payment terms", "30 DAYS"),
            }
        )
        self._make_contact(None, len(accounts), 0)

    # -- orders -------------------------------------------------------------------------------

    def _line_count(self) -> int:
        if self._lines is not None:
            return self._lines
        draw = self._chance.random()
        if draw < 0.85:
            return self._chance.choice((1, 2, 3, 3, 4, 4, 5, 6))
        return self._chance.randrange(7, 16) if draw < 0.98 else self._chance.randrange(16, 41)

    def _make_order(
        self,
        number: int,
        account: Row,
        products: list[Row],
        *,
        draft: bool | None = None,
        lines: int | None = None,
        **fields: Any,
    ) -> Row:
        chance = self._chance
        currency = account.get("CurrencyIsoCode", LOCAL)
        book = self._books[1] if number % 3 == 0 else self._books[0]
        day = self._today - timedelta(days=chance.randrange(1, 45))
        if draft is None:
            draft = number % 10 == 6
        opportunity: Row | None = None
        if number % 4 == 0 and not fields:
            opportunity = self._add(
                "Opportunity",
                "006",
                AccountId=account["Id"],
                Name=f"Deal {number + 1} – {account['Name']}"[:120],
                StageName="Prospecting" if draft else "Closed Won",
                CloseDate=day.isoformat(),
                **self._currency(currency),
            )
        order = self._add(
            "Order",
            "801",
            OrderNumber=f"{len(self._org['Order']) + 100:08d}",
            AccountId=account["Id"],
            EffectiveDate=day.isoformat(),
            Status="Draft" if draft else "Activated",
            Pricebook2Id=book,
            CreatedDate=f"{day.isoformat()}T09:30:00Z",
            **({} if draft else {"ActivatedDate": f"{day.isoformat()}T15:00:00Z"}),
            **({"PoNumber": f"PO {4500 + number}/{day.year}"} if number % 2 else {}),
            **({"OpportunityId": opportunity["Id"]} if opportunity else {}),
            **self._ship_to(account, number),
            **self._currency(currency),
            **fields,
        )
        total = Decimal(0)
        for product in self._draw(products, lines if lines is not None else self._line_count()):
            total += self._make_line(order, product, book, currency)
        if opportunity is not None:
            opportunity["Amount"] = total
        return order

    def _draw(self, products: list[Row], count: int) -> Iterator[Row]:
        """Products for the lines; long orders of small catalogs repeat some."""
        while count > 0:
            part = min(count, len(products))
            yield from self._chance.sample(products, part)
            count -= part

    def _make_line(self, order: Row, product: Row, book: str, currency: str) -> Decimal:
        chance = self._chance
        entry, price = self._entries[book, product["Id"], currency]
        quantity = Decimal(chance.randrange(1, 25))
        if "installation" in product["Name"]:
            quantity += Decimal(chance.randrange(0, 4)) / 4
        agreed = price
        if chance.random() < 0.15:
            agreed = (price * Decimal("0.95")).quantize(_CENT, ROUND_HALF_UP)
        self._add_line(order, product["Id"], entry, quantity, agreed, price)
        return (quantity * agreed).quantize(_CENT, ROUND_HALF_UP)

    def _add_line(
        self,
        order: Row,
        product_id: str,
        entry: str,
        quantity: Decimal,
        price: Decimal,
        list_price: Decimal,
        **fields: Any,
    ) -> Row:
        return self._add(
            "OrderItem",
            "802",
            OrderItemNumber=f"{len(self._org['OrderItem']) + 1:010d}",
            OrderId=order["Id"],
            Product2Id=product_id,
            PricebookEntryId=entry,
            Quantity=quantity,
            UnitPrice=price,
            ListPrice=list_price,
            **fields,
        )

    def _ship_to(self, account: Row, number: int) -> Row:
        """Most orders go to the Account's address and say so, some to a site, some say nothing."""
        parts = ("Street", "City", "State", "PostalCode", "Country")
        billing = {
            f"Billing{part}": account[f"Billing{part}"]
            for part in parts
            if f"Billing{part}" in account
        }
        if number % 5 == 1:
            return {}
        shipping = {f"Shipping{key[7:]}": value for key, value in billing.items()}
        if number % 5 == 3:
            shipping["ShippingStreet"] = f"Gate {number % 9 + 1}, “Süd” yard"
        return {**billing, **shipping}

    def _make_special_orders(self, number: int, products: list[Row]) -> None:
        accounts = self._org["Account"]
        original = next(
            row
            for row in self._org["Order"]
            if row["Status"] == "Activated" and not row.get("IsReductionOrder")
        )
        buyer = next(row for row in accounts if row["Id"] == original["AccountId"])
        self._make_reduction(number, buyer, original)
        waiting = self._make_order(number + 1, buyer, products, draft=False, lines=1)
        currency = buyer.get("CurrencyIsoCode", LOCAL)
        self._make_line(waiting, self._unknown, waiting["Pricebook2Id"], currency)
        self._make_order(number + 2, accounts[-1], products, draft=False, lines=3)

    def _make_reduction(self, number: int, buyer: Row, original: Row) -> None:
        """Takes one piece of the first line of an activated order back."""
        line = next(row for row in self._org["OrderItem"] if row["OrderId"] == original["Id"])
        order = self._make_order(
            number,
            buyer,
            [],
            draft=False,
            lines=0,
            IsReductionOrder=True,
            OriginalOrderId=original["Id"],
        )
        order["Pricebook2Id"] = original["Pricebook2Id"]
        self._add_line(
            order,
            line["Product2Id"],
            line["PricebookEntryId"],
            Decimal(-1),
            line["UnitPrice"],
            line["ListPrice"],
            OriginalOrderItemId=line["Id"],
        )

    # -- the company --------------------------------------------------------------------------

    def _base_data(self) -> Load:
        """Currencies, units, terms: what documents refer to."""
        return [
            (
                "currencies",
                [
                    {
                        "id": fixed_uuid("currency", code),
                        "code": code,
                        "displayName": name,
                        "symbol": symbol,
                        "amountDecimalPlaces": places,
                        "amountRoundingPrecision": precision,
                        "exchangeRate": rate,
                    }
                    for code, name, symbol, places, precision, rate in CURRENCIES
                ],
            ),
            (
                "unitsOfMeasure",
                [
                    {
                        "id": fixed_uuid("unit", code),
                        "code": code,
                        "displayName": name,
                        "internationalStandardCode": standard,
                    }
                    for code, name, standard in UNITS
                ],
            ),
            (
                "paymentTerms",
                [
                    {
                        "id": fixed_uuid("payment terms", code),
                        "code": code,
                        "displayName": name,
                        "dueDateCalculation": formula,
                    }
                    for code, name, formula in (
                        ("COD", "Cash on delivery", "0D"),
                        ("14 DAYS", "Net 14 days", "14D"),
                        ("30 DAYS", "Net 30 days", "30D"),
                    )
                ],
            ),
            ("paymentMethods", _coded("payment method", (("BANK", "Bank"), ("CASH", "Cash")))),
            ("shipmentMethods", _coded("shipment method", (("EXW", "Ex works"), ("CIF", "CIF")))),
            ("itemCategories", _coded("item category", CATEGORIES)),
        ]

    def _company_data(self) -> Load:
        return [
            ("items", self._items),
            ("customers", self._customers),
            ("contacts", self._people),
        ]


def _coded(kind: str, entries: tuple[tuple[str, str], ...]) -> list[Row]:
    return [
        {"id": fixed_uuid(kind, code), "code": code, "displayName": name} for code, name in entries
    ]


def _domain(number: int) -> str:
    return f"customer{number}.example"
