"""Reading connection.toml: what it means, and one clear sentence for every mistake."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
import trustme

from ml_connector.configuration.connection_file import LoadedConnection, load_connection_file
from ml_connector.configuration.settings import ConnectionSettings, Policies
from ml_connector.errors import ConfigurationError

GUID = "6f9619ff-8b86-d011-b42d-00c04fc964ff"
SECRETS = {"SF_SECRET": "sf-secret-value", "BC_SECRET": "bc-secret-value"}
TEXT = f"""\
name = "acme"

[salesforce]
my_domain_url = "https://acme.my.salesforce.com/"
client_id = "3MVG9"
client_secret = "env:SF_SECRET"

[business_central]
tenant_id = "{GUID}"
client_id = "{GUID}"
client_secret = "env:BC_SECRET"
environment = "Production"
company_id = "{GUID.upper()}"
local_currency = "usd"

[ledger]
url = "sqlite:///data/ledger.db"

[policy.orders]
total_tolerance = 0.05

[[policy.fields]]
salesforce = "Account.Region__c"
business_central = "customers.taxAreaDisplayName"
owner = "business_central"
"""

Load = Callable[..., LoadedConnection]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load TEXT after replacing one piece of it."""

    def _load(old: str = "", new: str = "") -> LoadedConnection:
        assert old in TEXT
        path = tmp_path / "connection.toml"
        path.write_text(TEXT.replace(old, new, 1), encoding="utf-8")
        return load_connection_file(path, SECRETS)

    return _load


def test_a_good_file_loads_without_warnings(load: Load, tmp_path: Path) -> None:
    """Secrets resolved, values normalised, paths absolute."""
    loaded = load()
    settings = loaded.settings

    assert loaded.warnings == ()
    assert settings.name == "acme"
    assert settings.salesforce.my_domain_url == "https://acme.my.salesforce.com"
    assert settings.salesforce.client_secret.get_secret_value() == "sf-secret-value"
    assert settings.business_central.company_id == GUID
    assert settings.business_central.local_currency == "USD"
    assert settings.ledger_url_text() == f"sqlite:///{tmp_path}/data/ledger.db"
    assert settings.policy.orders.total_tolerance == Decimal("0.05")
    assert settings.policy.fields[0].field == "Region__c"


def test_defaults_are_those_of_the_contract(load: Load) -> None:
    """What the file leaves out."""
    policy = load("[policy.orders]\ntotal_tolerance = 0.05\n", "").settings.policy

    assert policy.model_dump(exclude={"fields", "feeds", "audit", "budget"}) == {
        "catalog": {
            "create_items": False,
            "create_products": False,
            "prices": "off",
            "deactivate": False,
        },
        "customers": {
            "qualify": "type_or_order",
            "number": "account_number_or_id",
            "match": ("external_id", "number", "tax_id"),
            "on_link": "fill_blanks",
            "overflow": "park",
            "tax_id_field": "",
            "contacts": True,
        },
        "orders": {
            "qualify": "activated",
            "reference": "order_number",
            "reference_prefix": "",
            "requested_date": "none",
            "total_tolerance": Decimal("0.00"),
            "on_difference": "hold",
            "on_cancel": "park",
            "canceled_statuses": (),
            "time_zone": "UTC",
        },
        "invoices": {"posting": "linked_drafts"},
        "status": {"accounts": True},
        "guard": {"changed_percent": Decimal(5)},
    }


def test_the_ledger_lies_beside_the_file_by_default(load: Load, tmp_path: Path) -> None:
    """As the example in the documentation."""
    loaded = load('[ledger]\nurl = "sqlite:///data/ledger.db"\n', "")

    assert loaded.settings.ledger_url_text() == f"sqlite:///{tmp_path}/ledger.db"


def test_a_literal_secret_is_accepted_with_a_warning(load: Load) -> None:
    """The warning names the key and not the secret."""
    loaded = load("env:SF_SECRET", "literal-secret")

    assert loaded.settings.salesforce.client_secret.get_secret_value() == "literal-secret"
    assert len(loaded.warnings) == 1
    assert "[salesforce] client_secret" in loaded.warnings[0]
    assert "literal-secret" not in loaded.warnings[0]


def test_a_secret_from_a_file_is_read_beside_the_connection_file(
    load: Load, tmp_path: Path
) -> None:
    """Without its final line break."""
    (tmp_path / "sf.secret").write_text("from-file\n")
    loaded = load("env:SF_SECRET", "file:sf.secret")

    assert loaded.settings.salesforce.client_secret.get_secret_value() == "from-file"


def test_certificates_are_read_into_the_settings(load: Load, tmp_path: Path) -> None:
    """So that a worker elsewhere needs no file."""
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    loaded = load('client_id = "3MVG9"', 'client_id = "3MVG9"\nca_file = "ca.pem"')

    assert "BEGIN CERTIFICATE" in loaded.settings.salesforce.ca_pem
    assert loaded.settings.business_central.ca_pem == ""


def test_the_ledger_may_be_postgresql_with_its_address_in_the_environment(load: Load) -> None:
    """The address holds a password."""
    with pytest.raises(ConfigurationError, match="PG_URL, which is not set"):
        load("sqlite:///data/ledger.db", "env:PG_URL")
    domain = load(f'tenant_id = "{GUID}"', 'tenant_id = "acme.onmicrosoft.com"')
    assert domain.settings.business_central.tenant_id == "acme.onmicrosoft.com"
    loaded = load("sqlite:///data/ledger.db", "postgresql+psycopg://u:pw@host/db")
    assert loaded.settings.ledger_url_text() == "postgresql+psycopg://u:pw@host/db"
    assert "pw@host" not in repr(loaded)


@pytest.mark.parametrize(
    ("old", "new", "line", "part"),
    [
        ('name = "acme"', 'nam = "acme"', 1, 'there is no key "nam"; did you mean "name"?'),
        ('name = "acme"', "", 0, "has no name"),
        ('name = "acme"', 'name = "Acme!"', 1, 'name = "Acme!" is not allowed'),
        ('name = "acme"', "name = 5", 1, "name = 5 is not allowed"),
        ('name = "acme"', "name = true", 1, "name = true is not allowed"),
        ("client_secret", "client_secert", 6, 'did you mean "client_secret"?'),
        ('client_id = "3MVG9"', "", 3, "[salesforce] has no client_id"),
        ('client_id = "3MVG9"', 'client_id = " "', 5, "[salesforce] has no client_id"),
        ('client_id = "3MVG9"', "client_id = 3", 5, "client_id must be text"),
        ('client_id = "3MVG9"', 'client_id = "3MVG9"\nca_file = 3', 6, "ca_file must be text"),
        ('client_id = "3MVG9"', 'client_id = "x"\nca_file = "no.pem"', 6, "cannot be read"),
        (
            'client_id = "3MVG9"',
            'client_id = "x"\nca_file = "connection.toml"',
            6,
            "holds no certificate",
        ),
        ('client_id = "3MVG9"', 'client_id = "x"\ncurrency = "US Dollar"', 6, "ISO code"),
        ('client_id = "3MVG9"', 'client_id = "x"\napi_version = "six"', 6, "REST version"),
        ('client_id = "3MVG9"', 'client_id = "x"\napi_version = 65.0', 6, "must be text"),
        ('client_id = "3MVG9"', 'client_id = "x"\npubsub_endpoint = "x"', 6, "host and port"),
        ("https://acme.my", "http://acme.my", 4, "must be an https address"),
        ("env:SF_SECRET", "env:NOPE", 6, "environment variable NOPE, which is not set"),
        ("env:SF_SECRET", "file:nope", 6, "cannot be read: no such file"),
        ("[salesforce]", "[salesfroce]", 3, 'did you mean "salesforce"?'),
        (f'tenant_id = "{GUID}"', 'tenant_id = "x"', 9, "is not a GUID or a verified domain"),
        (f'client_id = "{GUID}"', 'client_id = "x"', 10, "is not a GUID"),
        ("company_id", "company_nmae", 13, 'did you mean "company_name"?'),
        (f'company_id = "{GUID.upper()}"\n', "", 8, "no company_id"),
        (
            'environment = "Production"',
            'environment = "P"\ncompany_name = "C"',
            13,
            "both company_id and company_name",
        ),
        ('"usd"', '"dollar"', 14, 'local_currency = "dollar"'),
        ('"usd"', '"usd"\nmax_in_flight = 9', 15, "max_in_flight = 9 must be at most 5"),
        ('"usd"', '"usd"\nmax_in_flight = "5x"', 15, "must be a whole number"),
        ('"usd"', '"usd"\nsettle_seconds = 0', 15, "must be at least 1"),
        ('"usd"', '"usd"\nnotification_url = "http://x"', 15, "is no https address"),
        ('"usd"', '"usd"\nbase_url = "nowhere"', 15, "must be an https address"),
        ("sqlite:///data/ledger.db", "sqlite://", 17, "in memory"),
        ("sqlite:///data/ledger.db", "mysql://x", 17, "neither sqlite nor postgresql"),
        ("sqlite:///data/ledger.db", "postgresql://x", 17, "another driver"),
        ("sqlite:///data/ledger.db", "postgresql+psycopg://", 17, "no server"),
        ("sqlite:///data/ledger.db", "ledger.db", 17, "no database address"),
        ('url = "sqlite:///data/ledger.db"', "url = 5", 17, "must be text"),
        ('url = "sqlite', 'uri = "sqlite', 17, 'did you mean "url"?'),
        ("[policy.orders]", "[policy.order]", 19, 'did you mean "orders"?'),
        ("total_tolerance", "total_tolerence", 20, 'did you mean "total_tolerance"?'),
        ("0.05", '"abc"', 20, 'must be a number such as "0.00"'),
        ("0.05", "-0.01", 20, "must be at least 0"),
        ("total_tolerance = 0.05", 'qualify = "activate"', 20, 'did you mean "activated"?'),
        ("total_tolerance = 0.05", 'qualify = ""', 20, "is empty"),
        ("total_tolerance = 0.05", 'qualify = "Type = \'x"', 20, "quote that is not closed"),
        ("total_tolerance = 0.05", "qualify = \"(Type = 'x'\"", 20, "brackets"),
        ("total_tolerance = 0.05", "qualify = \"WHERE Type = 'x'\"", 20, "is a statement"),
        ("total_tolerance = 0.05", 'on_difference = "holdd"', 20, 'did you mean "hold"?'),
        ("total_tolerance = 0.05", 'time_zone = "Europe/Berln"', 20, "no IANA time zone"),
        ("total_tolerance = 0.05", 'requested_date = "Order.X"', 20, "is no field name"),
        ("total_tolerance = 0.05", "reference_prefix = 5", 20, "must be text in quotes"),
        ("[policy.orders]", "[policy.status]\naccounts = 1\n[policy.orders]", 20, "neither true"),
        ("[policy.orders]", '[policy.status]\naccounts = "no"\n[policy.orders]', 20, '"no" is'),
        (
            "[policy.orders]",
            '[policy.customers]\nmatch = ["number", "number"]\n[policy.orders]',
            20,
            "each rung may be named once",
        ),
        (
            "[policy.orders]",
            '[policy.customers]\nmatch = "number"\n[policy.orders]',
            20,
            "must be a list",
        ),
        (
            "[policy.orders]",
            '[policy.feeds]\nentities = ["Order", "Order"]\n[policy.orders]',
            20,
            "each object may be named once",
        ),
        (
            "[policy.orders]",
            "[policy.feeds]\nflips_per_hour = -1\n[policy.orders]",
            20,
            "must be at least 0",
        ),
        ("Account.Region__c", "Acount.Region__c", 22, 'did you mean "Account"?'),
        ("Account.Region__c", "Region__c", 22, "must be an object and a field"),
        ("Account.Region__c", "Account.BC_Balance__c", 22, "written by the connector itself"),
        ("customers.taxArea", "items.taxArea", 22, "must be a property of customers"),
        ("taxAreaDisplayName", "taxAreaDisplayNam", 22, 'did you mean "taxAreaDisplayName"?'),
        ('owner = "business_central"', 'owner = "salesforce"', 22, "cannot be written in BC"),
        ('owner = "business_central"', 'owner = "bc"', 25, "is not one of"),
        ('owner = "business_central"', "", 22, "owner is missing"),
        ("owner =", "onwer =", 25, 'did you mean "owner"?'),
    ],
)
def test_each_mistake_is_one_sentence(load: Load, old: str, new: str, line: int, part: str) -> None:
    """It names file and line, what is wrong, and how to cure it; never a secret."""
    with pytest.raises(ConfigurationError) as caught:
        load(old, new)

    message = str(caught.value)
    place = f"connection.toml, line {line}: " if line else "connection.toml: "
    assert message.startswith(place)
    assert part in message
    assert caught.value.remedy.endswith(".")
    assert caught.value.code == "connection_file"
    assert not any(secret in message for secret in SECRETS.values())


def test_sections_must_be_sections(tmp_path: Path) -> None:
    """A key in place of a table is told."""
    path = tmp_path / "c.toml"
    for text, part in (
        ('name = "a"\nsalesforce = 1\n', "must be a section"),
        ('name = "a"\n', "the section [salesforce] is missing"),
        (
            TEXT.replace("[policy.orders]\ntotal_tolerance = 0.05", "[policy]\norders = 1"),
            "section",
        ),
        (TEXT[: TEXT.index("[[policy.fields]]")] + "[policy]\nfields = 1\n", "list of tables"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigurationError) as caught:
            load_connection_file(path, SECRETS)
        assert part in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """Missing, not UTF-8, not TOML, an empty secret."""
    path = tmp_path / "connection.toml"
    with pytest.raises(ConfigurationError, match="does not exist"):
        load_connection_file(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        load_connection_file(path)
    path.write_text("name = acme\n")
    with pytest.raises(ConfigurationError, match=r"not valid TOML.*line 1"):
        load_connection_file(path)
    (tmp_path / "empty").write_text("\n")
    path.write_text(TEXT.replace("env:SF_SECRET", "file:empty"))
    with pytest.raises(ConfigurationError, match="which is empty"):
        load_connection_file(path, SECRETS)


def test_two_mappings_must_not_write_one_field(load: Load) -> None:
    """The target decides, not the pair."""
    second = (
        '[[policy.fields]]\nsalesforce = "Account.Region__c"\n'
        'business_central = "customers.salespersonCode"\nowner = "business_central"\n'
        "[[policy.fields]]\n"
    )

    with pytest.raises(ConfigurationError, match=r"two field mappings write Account\.Region__c"):
        load("[[policy.fields]]\n", second)


def test_a_mistake_in_the_second_mapping_names_its_line(load: Load) -> None:
    """Tables of a list are counted."""
    first = (
        '[[policy.fields]]\nsalesforce = "Account.A__c"\n'
        'business_central = "customers.salespersonCode"\nowner = "salesforce"\n\n'
        "[[policy.fields]]\n"
    )
    with pytest.raises(ConfigurationError, match="line 30"):
        load(
            TEXT[TEXT.index("[[policy.fields]]\n") :],
            first
            + TEXT[TEXT.index("[[policy.fields]]\n") + 18 :].replace('owner = "b', 'owner = "x'),
        )


def test_conditions_are_taken_as_they_are(load: Load) -> None:
    """With semi-joins, quotes and dates."""
    condition = "Id IN (SELECT OrderId FROM OrderItem) AND Name LIKE 'O\\\\'%' AND A__c >= TODAY"
    loaded = load("total_tolerance = 0.05", f'qualify = "{condition}"')

    assert loaded.settings.policy.orders.condition.startswith("Id IN (SELECT")


def test_settings_survive_json_without_secrets(load: Load) -> None:
    """Blocks keep the policy as JSON; its version changes with any switch."""
    settings: ConnectionSettings = load().settings
    policy = Policies.model_validate(settings.policy.model_dump(mode="json"))

    assert policy == settings.policy
    assert settings.policy_version() == policy.version()
    assert load("0.05", "0.06").settings.policy_version() != policy.version()
    assert "secret-value" not in settings.model_dump_json()
