"""Reading connection.toml: every mistake is one sentence with file, line, key and remedy."""

from __future__ import annotations

import os
import re
import ssl
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, SecretStr, ValidationError

from ml_connector.business_central.settings import BusinessCentralSettings
from ml_connector.configuration.complaints import condition_problem, quoted, reason, sentence
from ml_connector.configuration.fields import FieldMapping, nearest
from ml_connector.configuration.ledger_address import resolved_ledger_url
from ml_connector.configuration.settings import (
    NAME_PATTERN,
    ConnectionSettings,
    Policies,
)
from ml_connector.configuration.toml_places import Places
from ml_connector.customers.policy import QUALIFY_WORDS as CUSTOMER_WORDS
from ml_connector.errors import ConfigurationError
from ml_connector.orders.policy import QUALIFY_WORDS as ORDER_WORDS
from ml_connector.salesforce.settings import SalesforceSettings

TOP_LEVEL = ("name", "salesforce", "business_central", "ledger", "policy")
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_DOMAIN = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_CURRENCY = re.compile(r"[A-Za-z]{3}")
_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_ENDPOINT = re.compile(r"[A-Za-z0-9.\-]+:\d{1,5}")
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "salesforce": ("my_domain_url", "client_id", "client_secret"),
    "business_central": (
        "tenant_id", "client_id", "client_secret", "environment", "local_currency",
    ),
}  # fmt: skip

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class LoadedConnection:
    """The settings of a file, and what is accepted but unwise."""

    settings: ConnectionSettings
    warnings: tuple[str, ...]


def load_connection_file(
    path: str | Path, environ: Mapping[str, str] | None = None
) -> LoadedConnection:
    """Read a connection file with its secrets and certificates.

    Relative paths are taken from the file's folder and come out absolute. Raises:
    ConfigurationError that names file, line and key, and never a secret.
    """
    return _Reader(Path(path), os.environ if environ is None else environ).load()


class _Reader:
    """Reads one file; keeps what the messages need."""

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self.path = path.absolute()
        self.environ = environ
        self.warnings: list[str] = []
        self.places = Places("")

    def load(self) -> LoadedConnection:
        content = self._content()
        self._known_keys(content, "", TOP_LEVEL)
        name = self._name(content)
        salesforce = self._salesforce(self._table(content, "salesforce"))
        business_central = self._business_central(self._table(content, "business_central"))
        ledger = self._ledger(self._table(content, "ledger", required=False))
        policy = self._policy(self._table(content, "policy", required=False))
        settings = ConnectionSettings(
            name=name,
            salesforce=salesforce,
            business_central=business_central,
            ledger_url=ledger,
            policy=policy,
        )
        return LoadedConnection(settings, tuple(self.warnings))

    def fail(
        self, problem: str, remedy: str, table: str, key: str = "", index: int = 0
    ) -> NoReturn:
        line = self.places.line(table, key, index)
        place = f"{self.path.name}, line {line}" if line else self.path.name
        raise ConfigurationError(
            f"{place}: {problem}{'' if problem.endswith('?') else '.'}",
            operation=f"read {self.path}",
            code="connection_file",
            remedy=f"{remedy}.",
            fields=(f"{table}.{key}".strip("."),),
        )

    def _content(self) -> dict[str, Any]:
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise ConfigurationError(
                f"The connection file {self.path} does not exist.",
                code="connection_file",
                remedy="Give the path of a connection.toml.",
            ) from error
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"The connection file {self.path} cannot be read: {reason(error)}.",
                code="connection_file",
                remedy="Make it a readable text file in UTF-8.",
            ) from error
        self.places = Places(text)
        try:
            return tomllib.loads(text.removeprefix("\ufeff"), parse_float=Decimal)
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(
                f"{self.path.name} is not valid TOML: {error}.",
                operation=f"read {self.path}",
                code="connection_file",
                remedy="Correct the line; text stands in double quotes.",
            ) from error

    def _known_keys(
        self, values: Mapping[str, Any], table: str, known: Iterable[str], index: int = 0
    ) -> None:
        known = tuple(known)
        for key in values:
            if key not in known:
                where = f"[{table}] has" if table else "there is"
                self.fail(
                    f'{where} no key "{key}"{nearest(key, known)}',
                    f"Correct or remove it; known are {', '.join(known)}",
                    table,
                    key,
                    index,
                )

    def _table(
        self, content: Mapping[str, Any], name: str, *, required: bool = True
    ) -> dict[str, Any]:
        if name not in content and required:
            self.fail(f"the section [{name}] is missing", "Add it with its keys", name)
        value = content.get(name, {})
        if not isinstance(value, dict):
            self.fail(f'"{name}" must be a section', f"Write it as [{name}]", "", name)
        return dict(value)

    def _name(self, content: Mapping[str, Any]) -> str:
        name = content.get("name")
        if name is None:
            self.fail("the connection has no name", 'Add a line such as name = "acme"', "")
        if not isinstance(name, str) or not re.fullmatch(NAME_PATTERN.strip("^$"), name):
            self.fail(
                f"name = {quoted(name)} is not allowed",
                "Use 1 to 40 small letters, digits and hyphens",
                "",
                "name",
            )
        return name

    def _salesforce(self, values: dict[str, Any]) -> SalesforceSettings:
        table = "salesforce"
        self._section(values, table, SalesforceSettings)
        self._matches(values, table, "currency", _CURRENCY, 'an ISO code such as "USD"')
        self._matches(values, table, "pubsub_endpoint", _ENDPOINT, "host and port")
        return self._model(values, table, SalesforceSettings)

    def _business_central(self, values: dict[str, Any]) -> BusinessCentralSettings:
        table = "business_central"
        self._section(values, table, BusinessCentralSettings)
        self._matches(values, table, "local_currency", _CURRENCY, 'an ISO code such as "USD"')
        self._matches(values, table, "client_id", _GUID, "a GUID")
        self._matches(values, table, "company_id", _GUID, "a GUID")
        tenant = values["tenant_id"]
        if not _DOMAIN.fullmatch(tenant):
            self._matches(values, table, "tenant_id", _GUID, "a GUID or a verified domain")
        company = [key for key in ("company_id", "company_name") if values.get(key)]
        if len(company) != 1:
            problem = "both company_id and company_name" if company else "no company_id"
            self.fail(
                f"[{table}] has {problem}",
                "Name the company by either company_id or company_name",
                table,
                "company_name" if company else "",
            )
        if values.get("notification_url", "") and not str(values["notification_url"]).startswith(
            "https://"
        ):
            self.fail(
                f"notification_url = {quoted(values['notification_url'])} is no https address",
                "Give the public https address of the receiver, or leave it empty to poll only",
                table,
                "notification_url",
            )
        return self._model(values, table, BusinessCentralSettings)

    def _section(self, values: dict[str, Any], table: str, model: type[BaseModel]) -> None:
        """Check the keys of a system's section, resolve its secret and its certificates."""
        known = [name if name != "ca_pem" else "ca_file" for name in model.model_fields]
        self._known_keys(values, table, known)
        for key in _REQUIRED[table]:
            value = values.get(key)
            if value is None or (isinstance(value, str) and not value.strip()):
                self.fail(f"[{table}] has no {key}", f'Add {key} = "…"', table, key)
        for key, value in values.items():
            info = model.model_fields.get(key)
            if info is not None and info.annotation is not int and not isinstance(value, str):
                self.fail(f"[{table}] {key} must be text", "Put it in quotes", table, key)
        values["client_secret"] = SecretStr(self._secret(values["client_secret"], table))
        ca_file = values.pop("ca_file", "")
        values["ca_pem"] = self._certificates(ca_file, table) if ca_file else ""

    def _matches(
        self, values: Mapping[str, Any], table: str, key: str, pattern: re.Pattern[str], wanted: str
    ) -> None:
        value = values.get(key, "")
        if value and not pattern.fullmatch(str(value)):
            self.fail(
                f"[{table}] {key} = {quoted(value)} is not {wanted}", "Correct it", table, key
            )

    def _secret(self, value: str, table: str, key: str = "client_secret") -> str:
        """Return what a secret's value stands for: env:NAME, file:PATH or the literal itself."""
        kind, colon, rest = value.partition(":")
        if colon and kind == "env":
            secret = self.environ.get(rest, "")
            if not secret.strip():
                self.fail(
                    f"[{table}] {key} names the environment variable {rest}, which is not set",
                    f"Set {rest}, or use file:PATH",
                    table,
                    key,
                )
            return secret.strip()
        if colon and kind == "file":
            secret = self._read(rest, table, key).strip()
            if not secret:
                self.fail(
                    f"[{table}] {key} names the file {rest}, which is empty",
                    "Write the secret into the file",
                    table,
                    key,
                )
            return secret
        if key == "client_secret":
            self.warnings.append(
                f"{self.path.name}: [{table}] {key} stands in the file itself; use env:NAME or "
                "file:PATH instead."
            )
        return value.strip()

    def _read(self, name: str, table: str, key: str) -> str:
        path = self.path.parent / Path(name).expanduser()
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            self.fail(
                f"[{table}] {key} names the file {path}, which cannot be read: {reason(error)}",
                "Correct the path; a relative one starts at the connection file's folder",
                table,
                key,
            )

    def _certificates(self, name: Any, table: str) -> str:
        if not isinstance(name, str):
            self.fail(f"[{table}] ca_file must be text", "Put it in quotes", table, "ca_file")
        pem = self._read(name, table, "ca_file")
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
        except (ssl.SSLError, ValueError):
            self.fail(
                f"[{table}] ca_file {name} holds no certificate in PEM form",
                "Give the CA's certificate, beginning with -----BEGIN CERTIFICATE-----",
                table,
                "ca_file",
            )
        return pem

    def _ledger(self, values: dict[str, Any]) -> SecretStr:
        self._known_keys(values, "ledger", ("url",))
        value = values.get("url", "sqlite:///ledger.db")
        if not isinstance(value, str) or not value.strip():
            self.fail(
                "[ledger] url must be text", 'Write url = "sqlite:///ledger.db"', "ledger", "url"
            )
        url = self._secret(value, "ledger", "url") if value.startswith(("env:", "file:")) else value
        try:
            return SecretStr(resolved_ledger_url(url.strip(), self.path.parent))
        except ValueError as error:
            self.fail(
                f"[ledger] url {error}",
                "Use sqlite:///ledger.db or postgresql+psycopg://user:password@host/database",
                "ledger",
                "url",
            )

    def _policy(self, values: dict[str, Any]) -> Policies:
        self._known_keys(values, "policy", Policies.model_fields)
        areas: dict[str, Any] = {}
        for area, info in Policies.model_fields.items():
            if area == "fields" or area not in values:
                continue
            model = info.annotation
            table = f"policy.{area}"
            if not isinstance(values[area], dict):
                self.fail(f'"{table}" must be a section', f"Write it as [{table}]", "policy", area)
            assert isinstance(model, type)  # noqa: S101  # every area's policy is a model class
            self._known_keys(values[area], table, model.model_fields)
            self._flags(values[area], table, model)
            areas[area] = self._model(values[area], table, model)
        self._conditions(values)
        areas["fields"] = self._fields(values.get("fields", []))
        try:
            return Policies(**areas)
        except ValidationError as error:
            self.fail(sentence(error), "Keep one of them", "policy.fields")

    def _flags(self, values: Mapping[str, Any], table: str, model: type[BaseModel]) -> None:
        for key, value in values.items():
            if model.model_fields[key].annotation is bool and not isinstance(value, bool):
                self.fail(
                    f"[{table}] {key} = {quoted(value)} is neither true nor false",
                    "Write true or false without quotes",
                    table,
                    key,
                )

    def _conditions(self, policy: Mapping[str, Any]) -> None:
        for area, words in (("customers", CUSTOMER_WORDS), ("orders", ORDER_WORDS)):
            value = policy.get(area, {}).get("qualify")
            if value is not None and value not in words:
                problem = condition_problem(str(value), words)
                if problem:
                    self.fail(
                        f"[policy.{area}] qualify = {quoted(value)} {problem}",
                        f"Use one of {', '.join(words)}, or a SOQL condition such as "
                        "Type = 'Customer'",
                        f"policy.{area}",
                        "qualify",
                    )
        for area, key in (("customers", "tax_id_field"), ("orders", "requested_date")):
            value = policy.get(area, {}).get(key, "")
            if value and not _FIELD_NAME.fullmatch(str(value)):
                self.fail(
                    f"[policy.{area}] {key} = {quoted(value)} is no field name",
                    "Give the API name of the field alone, such as Tax_Id__c",
                    f"policy.{area}",
                    key,
                )

    def _fields(self, values: Any) -> tuple[FieldMapping, ...]:
        table = "policy.fields"
        if not isinstance(values, list) or not all(isinstance(each, dict) for each in values):
            self.fail(f'"{table}" must be a list of tables', f"Write each as [[{table}]]", table)
        mappings = []
        for index, each in enumerate(values):
            self._known_keys(each, table, FieldMapping.model_fields, index)
            mappings.append(self._model(each, table, FieldMapping, index))
        return tuple(mappings)

    def _model(
        self, values: Mapping[str, Any], table: str, model: type[_Model], index: int = 0
    ) -> _Model:
        try:
            return model.model_validate(dict(values))
        except ValidationError as error:
            location = error.errors(include_url=False, include_input=False)[0]["loc"]
            key = str(location[0]) if location else ""
            value = values.get(key)
            is_shown = value is not None and not isinstance(value, SecretStr)
            shown = f" = {quoted(value)}" if is_shown else ""
            self.fail(
                f"[{table}] {key}{shown} {sentence(error, value)}".replace("  ", " "),
                f"Correct {key or 'the section'}",
                table,
                key,
                index,
            )
