"""Deploys metadata into an org through the Metadata REST API and assigns permission sets.

Source: Metadata API Developer Guide, "Deploy Metadata with REST"; Object Reference,
"PermissionSetAssignment".
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ml_connector import wire_json
from ml_connector.errors import ConfigurationError, ConnectorError, TransientError
from ml_connector.salesforce import faults
from ml_connector.salesforce.client import SalesforceClient
from ml_connector.salesforce.soql import quote, select
from ml_connector.salesforce.wire import Call

KIND = "metadata"
OPERATION = "deploy the package"
LONGEST_SECONDS = 600.0
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0

PERMISSION_SET = "ML_Connector"


@dataclass(frozen=True, slots=True)
class Component:
    """What happened to one part of the package; `problem` is "" when it went in."""

    kind: str
    name: str
    state: str
    problem: str = ""
    line: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the component as `package deploy --json` prints it."""
        return {
            "type": self.kind,
            "name": self.name,
            "state": self.state,
            "problem": self.problem,
            "line": self.line,
        }


@dataclass(frozen=True, slots=True)
class Deployment:
    """How a deployment ended; a failed one has changed nothing."""

    id: str
    succeeded: bool
    check_only: bool
    status: str
    message: str
    components: tuple[Component, ...]

    @property
    def failures(self) -> list[Component]:
        """The components that were refused."""
        return [each for each in self.components if each.problem]


def deploy(
    client: SalesforceClient,
    archive: bytes,
    *,
    check_only: bool,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.monotonic,
) -> Deployment:
    """Deploy *archive* and wait for the end; with *check_only* the org only says what it would do.

    Effect: all components or none. Deploying the same again changes nothing.
    Raises: ConfigurationError when the user may not deploy; TransientError when the org does not
    end it in ten minutes (it goes on there).
    """
    answer = _object(client.wire.send(_request(archive, check_only=check_only)))
    deployment_id = str(answer.get("id") or "")
    if not deployment_id:
        raise faults.misshapen(OPERATION, "no id", is_write=True)
    deadline, pause = now() + LONGEST_SECONDS, FIRST_PAUSE
    while True:
        result = _status(client, deployment_id)
        if result.get("done") is True:
            return _ended(deployment_id, result, check_only=check_only)
        if now() >= deadline:
            raise TransientError(
                f"Salesforce has not ended deployment {deployment_id} in ten minutes; it goes on.",
                system=faults.SYSTEM,
                operation=OPERATION,
                code="deployment_lasts",
                remedy="See Setup → Environments → Deploy → Deployment Status.",
            )
        sleep(pause)
        pause = min(LONGEST_PAUSE, pause * 1.5)


def assign_permission_set(client: SalesforceClient, name: str = PERMISSION_SET) -> bool:
    """Assign the permission set to the run-as user; False when it was assigned before.

    Effect: one record; repeating it changes nothing.
    Raises: ConfigurationError when there is no such set or the user may not assign it.
    """
    sets = list(client.query_rows(select("PermissionSet", ["Id"], where=f"Name = {quote(name)}")))
    if not sets:
        raise ConfigurationError(
            f"The org has no permission set {name}.",
            system=faults.SYSTEM,
            operation="assign the permission set",
            code="no_permission_set",
            remedy="Deploy the package first, without --check-only.",
        )
    set_id, user_id = str(sets[0]["Id"]), client.user_id
    where = f"PermissionSetId = {quote(set_id)} AND AssigneeId = {quote(user_id)}"
    if any(client.query_rows(select("PermissionSetAssignment", ["Id"], where=where))):
        return False
    body = {"AssigneeId": user_id, "PermissionSetId": set_id}
    (result,) = client.create_records("PermissionSetAssignment", [body])
    if result.success or any(error.code == "DUPLICATE_VALUE" for error in result.errors):
        return result.success
    error = result.errors[0]
    raise ConfigurationError(
        f"The run-as user may not assign permission sets ({error.code}: {error.message}).",
        system=faults.SYSTEM,
        operation="assign the permission set",
        code="may_not_assign",
        remedy="Let an administrator assign it: Setup → Users → Permission Sets → ML Connector → "
        "Manage Assignments.",
    )


def _request(archive: bytes, *, check_only: bool) -> Call:
    options = {
        "deployOptions": {
            "allowMissingFiles": False,
            "checkOnly": check_only,
            "ignoreWarnings": True,
            "rollbackOnError": True,
            "singlePackage": True,
        }
    }
    boundary = secrets.token_hex(16)
    parts = (
        ('name="json"', "application/json", wire_json.encode(options)),
        ('name="file"; filename="package.zip"', "application/zip", archive),
    )
    body = b"".join(
        f"--{boundary}\r\nContent-Disposition: form-data; {naming}\r\n"
        f"Content-Type: {kind}\r\n\r\n".encode()
        + content
        + b"\r\n"
        for naming, kind, content in parts
    )
    return Call(
        "POST",
        "metadata/deployRequest",
        KIND,
        OPERATION,
        raw=body + f"--{boundary}--\r\n".encode(),
        headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
        is_write=True,
    )


def _status(client: SalesforceClient, deployment_id: str) -> Mapping[str, Any]:
    path = f"metadata/deployRequest/{deployment_id}"
    call = Call("GET", path, KIND, OPERATION, params={"includeDetails": "true"})
    result = _object(client.wire.send(call)).get("deployResult")
    return _object(result)


def _ended(deployment_id: str, result: Mapping[str, Any], *, check_only: bool) -> Deployment:
    details = result.get("details")
    details = details if isinstance(details, Mapping) else {}
    return Deployment(
        id=deployment_id,
        succeeded=result.get("success") is True,
        check_only=check_only,
        status=str(result.get("status") or ""),
        message=str(result.get("errorMessage") or ""),
        components=(
            *_components(details.get("componentFailures"), failed=True),
            *_components(details.get("componentSuccesses"), failed=False),
        ),
    )


def _components(listed: Any, *, failed: bool) -> Iterator[Component]:
    """One result stands alone, several in a list."""
    entries = listed if isinstance(listed, list) else [listed] if listed else []
    for entry in entries:
        if not isinstance(entry, Mapping) or not (failed or entry.get("componentType")):
            continue  # that the manifest went in is no news; it has no type
        state = "changed" if entry.get("changed") else "unchanged"
        if entry.get("created"):
            state = "created"
        yield Component(
            kind=str(entry.get("componentType") or "Package"),
            name=str(entry.get("fullName") or entry.get("fileName") or ""),
            state="failed" if failed else state,
            problem=str(entry.get("problem") or "refused without a reason") if failed else "",
            line=int(entry.get("lineNumber") or 0),
        )


def _object(answer: Any) -> Mapping[str, Any]:
    if not isinstance(answer, Mapping):
        raise faults.misshapen(OPERATION, "no object", is_write=True)
    return answer


def not_permitted(error: ConnectorError) -> ConnectorError:
    """Return *error* with what to do when the user may not deploy; any other as it is."""
    if error.status != 403 and not error.code.startswith("INSUFFICIENT_ACCESS"):
        return error
    return ConfigurationError(
        "The run-as user may not deploy metadata.",
        system=faults.SYSTEM,
        operation=OPERATION,
        code="may_not_deploy",
        status=error.status,
        remedy="Deploy as an administrator (the Salesforce CLI, see salesforce-package/README.md), "
        "or give the run-as user Modify Metadata Through Metadata API Functions for the time of "
        "the deployment and take it away afterwards.",
    )
