"""The Salesforce package, deployed into a bare org through the Metadata API."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from ml_connector.cli.package import deploy_to
from ml_connector.configuration.connection_file import load_connection_file
from ml_connector.configuration.settings import ConnectionSettings
from ml_connector.errors import ConfigurationError
from ml_connector.exchange.check_line import Level
from ml_connector.exchange.checks import check_lines
from ml_connector.salesforce.client import SalesforceClient
from ml_connector.salesforce.package_archive import package_archive, package_folder

DEPLOYER = ("ModifyMetadata", "AssignPermissionSets")


class Bare:
    """An org without the package, and the settings of a connection to it."""

    def __init__(self, sandbox: Any, folder: Path) -> None:
        self.sandbox = sandbox
        settings = load_connection_file(Path(sandbox.line["connection_file"])).settings
        ledger = SecretStr(f"sqlite:///{folder / 'ledger.db'}")
        self.settings: ConnectionSettings = settings.model_copy(update={"ledger_url": ledger})

    def act(self, act: str, **arguments: Any) -> None:
        """Let the administrator do something."""
        answer = self.sandbox.admin.post("/salesforce/act", json={"act": act, **arguments})
        assert answer.status_code == 200, answer.text

    def let_deploy(self) -> None:
        """Give the run-as user what a deployment needs."""
        for permission in DEPLOYER:
            self.act("grant", permission=permission)

    def deploy(self, source: Path | None = None, **options: bool) -> tuple[int, dict[str, Any]]:
        """Deploy; return exit code and document."""
        wanted = {"check_only": False, "assign": False, **options}
        result = deploy_to(self.settings, source, **wanted)
        return result.exit_code, result.document

    def fields(self, sobject: str) -> set[str]:
        """Return the BC_ fields that the run-as user sees."""
        with SalesforceClient(self.settings.salesforce) as client:
            return {name for name in client.describe(sobject).fields if name.startswith("BC_")}

    def blocking(self) -> set[str]:
        """Return the codes of what blocks in Salesforce."""
        lines = check_lines(self.settings)
        return {
            line.code
            for line in lines
            if line.level is Level.BLOCKING and line.code.startswith("salesforce")
        }


@pytest.fixture
def bare(new_sandbox: Callable[..., Any], tmp_path: Path) -> Bare:
    """A bare org with nothing in it."""
    return Bare(new_sandbox("--package", "none", "--empty"), tmp_path)


def states(document: dict[str, Any]) -> set[str]:
    """Return the states of the components."""
    return {each["state"] for each in document["components"]}


def test_the_package_makes_a_bare_org_ready(bare: Bare) -> None:
    """Examined it changes nothing; deployed and assigned nothing blocks; again all is unchanged."""
    assert bare.fields("Order") == set()
    assert "salesforce_order_fields" in bare.blocking()
    bare.let_deploy()

    code, examined = bare.deploy(check_only=True)
    assert (code, states(examined)) == (0, {"created"})
    assert bare.fields("Order") == set()

    code, deployed = bare.deploy()
    assert (code, states(deployed), len(deployed["components"])) == (0, {"created"}, 34)
    assert bare.fields("Order") == set(), "a field is hidden until its permission set is assigned"

    code, again = bare.deploy(assign=True)
    assert (code, states(again), again["assigned"]) == (0, {"unchanged"}, True)
    assert len(bare.fields("Order")) == 14
    assert bare.blocking() == set()

    _, last = bare.deploy(assign=True)
    assert last["assigned"] is False


def test_who_may_not_deploy_is_told_what_to_do(bare: Bare) -> None:
    """The run-as user of the least privilege is refused; so is an assignment by one who may not."""
    with pytest.raises(ConfigurationError) as refused:
        bare.deploy()
    assert refused.value.code == "may_not_deploy"
    assert "Modify Metadata" in refused.value.remedy

    bare.act("grant", permission="ModifyMetadata")
    with pytest.raises(ConfigurationError) as unassigned:
        bare.deploy(assign=True)
    assert unassigned.value.code == "may_not_assign"


def test_a_refused_component_is_named_and_nothing_changes(bare: Bare, tmp_path: Path) -> None:
    """A missing file, a field of nobody, a sixth object: each is named, none is half done."""
    bare.let_deploy()
    source = tmp_path / "package"
    shutil.copytree(package_folder(), source)
    objects = source / "force-app/main/default/objects"
    (objects / "Account/fields/BC_Balance__c.field-meta.xml").unlink()
    bare.act("pubsub_select", entities=["Account", "Contact", "Opportunity", "Order", "OrderItem"])

    code, document = bare.deploy(source)

    failed = {(each["type"], each["name"]): each["problem"] for each in document["components"]}
    assert code == 2
    assert states(document) == {"failed"}
    assert ("CustomField", "Account.BC_Balance__c") in failed
    assert ("CompactLayout", "Account.Business_Central") in failed
    assert "BC_Balance__c" in failed["PermissionSet", "ML_Connector"]
    assert ("PlatformEventChannelMember", "ChangeEvents_Product2ChangeEvent") in failed
    assert bare.fields("Order") == set()


def test_the_archive_is_what_the_manifest_says() -> None:
    """One file per object, the manifest at the org's version, and the same bytes each time."""
    content = package_archive(package_folder(), "66.0")

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = set(archive.namelist())
        manifest = archive.read("package.xml").decode()
    assert {"objects/Account.object", "objects/Order.object"} <= names
    assert "permissionsets/ML_Connector.permissionset" in names
    assert "<version>66.0</version>" in manifest
    assert content == package_archive(package_folder(), "66.0")


def test_a_folder_without_a_package_is_refused(tmp_path: Path) -> None:
    """The message names the folder."""
    with pytest.raises(ConfigurationError, match=tmp_path.name):
        package_archive(tmp_path, "65.0")
