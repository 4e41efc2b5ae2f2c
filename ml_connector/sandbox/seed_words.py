"""The words the seeded distributor's customers, people and goods are made of."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Country:
    """A country the distributor sells to, as its customers' addresses need it."""

    code: str
    name: str
    currency: str
    cities: tuple[tuple[str, str, str], ...]
    """City, state, and a postcode pattern whose # are digits."""
    streets: tuple[str, ...]
    dial: str
    tax_id: str
    forms: tuple[str, ...]


COUNTRIES = (
    Country(
        "US",
        "United States",
        "USD",
        (
            ("Seattle", "WA", "981##"),
            ("Atlanta", "GA", "303##"),
            ("Chicago", "IL", "606##"),
            ("Winston-Salem", "NC", "271##"),
        ),
        ("Main Street", "Harbor Avenue", "O'Hare Road", "5th Avenue"),
        "+1 206 555 ####",
        "##-#######",
        ("Inc.", "LLC", "& Sons", "Corp."),
    ),
    Country(
        "DE",
        "Germany",
        "EUR",
        (("München", "", "803##"), ("Köln", "", "506##"), ("Düsseldorf", "", "402##")),
        ("Königsallee", "Industriestraße", "Am Flößergraben"),
        "+49 (89) 555-####",
        "DE#########",
        ("GmbH", "GmbH & Co. KG", "AG"),
    ),
    Country(
        "GB",
        "United Kingdom",
        "GBP",
        (("London", "", "EC1A #AB"), ("Leeds", "", "LS1 #BQ"), ("Bristol", "", "BS2 #EL")),
        ("King's Road", "Mill Lane", "St. James's Street"),
        "+44 20 7946 ####",
        "GB#########",
        ("Ltd", "plc", "Trading"),
    ),
    Country(
        "FR",
        "France",
        "EUR",
        (("Lyon", "", "690##"), ("Saint-Étienne", "", "420##"), ("Nîmes", "", "300##")),
        ("rue de l'Église", "avenue Général-Leclerc", "quai d’Orsay"),
        "+33 4 72 55 ## ##",
        "FR###########",
        ("SARL", "SA", "et Fils"),
    ),
    Country(
        "CA",
        "Canada",
        "CAD",
        (("Montréal", "QC", "H2X #Y4"), ("Toronto", "ON", "M5V #K2"), ("Calgary", "AB", "T2P #M9")),
        ("Rue Saint-Denis", "King Street West", "Eighth Avenue"),
        "+1 416 555 ####",
        "#########RT0001",
        ("Ltd.", "Inc.", "Ltée"),
    ),
)

WEIGHTS = (8, 5, 4, 2, 2)
"""How often each country comes up; the first is the company's own."""

FIRST = (
    "Northwind", "Bluestone", "Rainier", "Cedar", "Ironbridge", "Summit", "Pioneer", "Falcon",
    "Lighthouse", "Granite", "Meridian", "Copper", "Riverside", "Aurora", "Keystone", "Redwood",
    "Atlas", "Beacon", "Sterling", "Harbor", "Juniper", "Willow", "Crescent", "Orion",
)  # fmt: skip
SECOND = (
    "Supply", "Tools", "Plumbing", "Electric", "Machinery", "Hardware", "Fasteners", "Hydraulics",
    "Workshop", "Industrial", "Marine", "Hotels", "Clinics", "Schools", "Farms", "Foods",
    "Logistics", "Printing", "Bakeries", "Motors",
)  # fmt: skip
AWKWARD = (
    'The "Quoted" Company', "Müller & Söhne Großhandel", "株式会社サンプル商事", "Café ☕ Déjà-Vu",
    "O'Brien's Pub & Grill", "Smith, Jones; Partners", "100% Pure <Soap> & Co", "Zażółć Gęślą Jaźń",
    "Back\\slash Industries", "Tools   With   Blanks", "Ærø Skibsværft", "Εταιρεία Αθηνών",
    "שלום סחר", "Deep # Hash + Plus", "Percent %27 Trading", "🚚 Fast Movers 🚚",
)  # fmt: skip
GIVEN = (
    "Anna", "Jürgen", "Siobhán", "Noël", "María", "John", "Zoë", "Łukasz", "健太", "Grace",
    "Olivier", "Priya", "D'Arcy", "Emma", "Liam", "Chloé",
)  # fmt: skip
FAMILY = (
    "O'Neill", "Müller", "García", "Smith", "van der Berg", "Tremblay", "Nguyen", "Johnson",
    "Østergård", "佐藤", "Dubois", "MacDonald", "Kowalczyk", "Lee",
)  # fmt: skip
TITLES = ("Buyer", "Head of Purchasing", "Owner", "Accounts Payable", "Warehouse Lead")
GOODS = (
    "Pump", "Valve", "Bearing", "Gasket", "Hose", "Filter", "Cable", "Switch", "Relay", "Drill",
    "Wrench", "Clamp", "Bracket", "Fuse", "Sensor", "Motor",
)  # fmt: skip
KINDS = (
    "Standard", "Heavy Duty", "Compact", "Stainless", '1/2"', "Ø 40 mm", "Brass", "24 V",
    "High-Flow", "Spare", "Low-Noise", "UV-resistant",
)  # fmt: skip
CATEGORIES = (("PARTS", "Spare parts"), ("TOOLS", "Tools"), ("SERVICES", "Services"))
CURRENCIES = (
    ("EUR", "Euro", "€", "2:2", Decimal("0.01"), Decimal("1.08")),
    ("GBP", "Pound Sterling", "£", "2:2", Decimal("0.01"), Decimal("1.27")),
    ("CAD", "Canadian Dollar", "$", "2:2", Decimal("0.01"), Decimal("0.73")),
    ("JPY", "Japanese Yen", "¥", "0:0", Decimal(1), Decimal("0.0067")),
)
UNITS = (
    ("PCS", "Piece", "EA"),
    ("BOX", "Box", "BX"),
    ("SET", "Set", "SET"),
    ("HOUR", "Hour", "HUR"),
)
