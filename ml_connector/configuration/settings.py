"""The settings of one connection: where the two systems are, and the policy that decides."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from ml_connector.billing.policy import StatusPolicy
from ml_connector.business_central.settings import BusinessCentralSettings
from ml_connector.catalog.policy import CatalogPolicy
from ml_connector.configuration.audit_policy import AuditPolicy
from ml_connector.configuration.budget_policy import BudgetPolicy
from ml_connector.configuration.feeds_policy import FeedsPolicy
from ml_connector.configuration.fields import FieldMapping
from ml_connector.customers.policy import CustomersPolicy
from ml_connector.invoices.policy import InvoicesPolicy
from ml_connector.orders.policy import OrdersPolicy
from ml_connector.salesforce.settings import SalesforceSettings

NAME_PATTERN = r"^[a-z0-9-]{1,40}$"


class GuardPolicy(BaseModel):
    """How much one run may change before it stops and asks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    changed_percent: Decimal = Field(default=Decimal(5), ge=0, le=100)
    """Share of the linked records, beyond the first 50."""


class Policies(BaseModel):
    """Every switch of the connection; holds no secret and may be stored and shown as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    catalog: CatalogPolicy = CatalogPolicy()
    customers: CustomersPolicy = CustomersPolicy()
    orders: OrdersPolicy = OrdersPolicy()
    invoices: InvoicesPolicy = InvoicesPolicy()
    status: StatusPolicy = StatusPolicy()
    guard: GuardPolicy = GuardPolicy()
    feeds: FeedsPolicy = FeedsPolicy()
    audit: AuditPolicy = AuditPolicy()
    budget: BudgetPolicy = BudgetPolicy()
    fields: tuple[FieldMapping, ...] = ()

    @model_validator(mode="after")
    def _each_target_once(self) -> Policies:
        targets = [mapping.target for mapping in self.fields]
        for target in targets:
            if targets.count(target) > 1:
                raise ValueError(f"two field mappings write {target}")
        return self

    def version(self) -> str:
        """Return a short digest that changes with any switch; audit entries name it."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]


class ConnectionSettings(BaseModel):
    """One Salesforce org, one BC company, one ledger."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=NAME_PATTERN)
    salesforce: SalesforceSettings
    business_central: BusinessCentralSettings
    ledger_url: SecretStr
    """SQLAlchemy address; secret because it may carry a password."""
    policy: Policies = Policies()
    notification_client_state: SecretStr = SecretStr("")
    """What BC's notifications carry to prove that they come from our subscriptions; random, made
    when the connection is saved, and kept in its Block only."""

    def ledger_url_text(self) -> str:
        """Return the ledger's address with its password, for opening it only."""
        return self.ledger_url.get_secret_value()

    def policy_version(self) -> str:
        """Return the digest of the policy."""
        return self.policy.version()
