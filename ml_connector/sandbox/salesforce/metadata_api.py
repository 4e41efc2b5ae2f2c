"""The Metadata REST API: takes an archive, examines it, and installs all of it or nothing."""

import io
import zipfile
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from ml_connector.sandbox.frame.wire import WireError, decode
from ml_connector.sandbox.salesforce.calls import Call, Reply
from ml_connector.sandbox.salesforce.faults import SalesforceFault, not_found
from ml_connector.sandbox.salesforce.ids import record_id
from ml_connector.sandbox.salesforce.installation import Installation, Problem
from ml_connector.sandbox.salesforce.org import SalesforceOrg

_MAY_DEPLOY = ("ModifyMetadata", "ModifyAllData")
_LARGEST = 39 * 1024 * 1024


class MetadataApi:
    """/metadata/deployRequest."""

    def __init__(self, org: SalesforceOrg) -> None:
        self._org = org

    @property
    def _deployments(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self._org.services.setdefault("deployments", {})
        return found

    def handle(self, call: Call, rest: list[str]) -> Reply:
        """Starts a deployment, or tells how it goes."""
        if not any(call.user.access.has(name) for name in _MAY_DEPLOY):
            raise SalesforceFault("INSUFFICIENT_ACCESS", "You may not use the Metadata API")
        match (call.method, rest):
            case ("POST", []):
                return self._start(call)
            case ("GET", [found]) if found in self._deployments:
                details = call.query.get("includeDetails") == "true"
                return Reply(200, self._look(found, details=details))
        raise not_found("There is no such deployment")

    def _start(self, call: Call) -> Reply:
        parts = _parts(call)
        if "json" not in parts or "file" not in parts:
            raise SalesforceFault("JSON_PARSER_ERROR", "The parts json and file are needed")
        try:
            options = decode(parts["json"])
        except WireError as error:
            raise SalesforceFault("JSON_PARSER_ERROR", "The part json is no JSON") from error
        wanted = options.get("deployOptions") if isinstance(options, dict) else None
        if not isinstance(wanted, dict):
            raise SalesforceFault("JSON_PARSER_ERROR", "deployOptions are missing")
        if len(parts["file"]) > _LARGEST:
            raise SalesforceFault("LIMIT_EXCEEDED", "The archive is too large")
        found = record_id("0Af", len(self._deployments) + 1)
        self._deployments[found] = {
            "options": wanted,
            "archive": parts["file"],
            "looks": 0,
            "result": None,
            "version": call.version,
        }
        return Reply(
            201,
            {
                "id": found,
                "validatedDeployRequestId": None,
                "deployOptions": wanted,
                "deployResult": {**_blank(found, wanted), "status": "Pending", "done": False},
            },
        )

    def _look(self, found: str, *, details: bool) -> dict[str, Any]:
        kept = self._deployments[found]
        options = kept["options"]
        if kept["result"] is None:
            kept["looks"] += 1
            if kept["looks"] <= int(self._org.switch("deploy_polls")):
                running = {**_blank(found, options), "status": "InProgress", "done": False}
                return {"id": found, "deployOptions": options, "deployResult": running}
            kept["result"] = self._carry_out(found, kept)
            kept["archive"] = b""
        result = dict(kept["result"])
        if not details:
            result.pop("details")
        return {"id": found, "deployOptions": options, "deployResult": result}

    def _carry_out(self, found: str, kept: dict[str, Any]) -> dict[str, Any]:
        options = kept["options"]
        installation = Installation(self._org)
        try:
            with zipfile.ZipFile(io.BytesIO(kept["archive"])) as archive:
                files = {
                    name: archive.read(name)
                    for name in archive.namelist()
                    if not name.endswith("/")
                }
        except zipfile.BadZipFile:
            installation.problems.append(Problem("", "package.xml", "The file is no zip archive"))
        else:
            installation.examine(files, float(kept["version"]))
        failed = bool(installation.problems)
        if not failed and not options.get("checkOnly"):
            installation.carry_out()
        components = [] if failed else installation.successes
        return {
            **_blank(found, options),
            "status": "Failed" if failed else "Succeeded",
            "success": not failed,
            "done": True,
            "numberComponentErrors": len(installation.problems),
            "numberComponentsDeployed": len(components),
            "numberComponentsTotal": len(components) + len(installation.problems),
            "details": {
                "componentFailures": [problem.shown() for problem in installation.problems],
                "componentSuccesses": components,
                "runTestResult": {"numFailures": 0, "numTestsRun": 0},
            },
        }


def _blank(found: str, options: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": found,
        "checkOnly": bool(options.get("checkOnly")),
        "ignoreWarnings": bool(options.get("ignoreWarnings")),
        "rollbackOnError": bool(options.get("rollbackOnError")),
        "success": False,
        "numberComponentErrors": 0,
        "numberComponentsDeployed": 0,
        "numberComponentsTotal": 0,
        "errorMessage": None,
        "errorStatusCode": None,
        "details": {"componentFailures": [], "componentSuccesses": []},
    }


def _parts(call: Call) -> dict[str, bytes]:
    """The parts of a multipart form by name."""
    kind = call.header("content-type")
    if not kind.lower().startswith("multipart/form-data"):
        raise SalesforceFault("UNSUPPORTED_MEDIA_TYPE", "A multipart form is needed")
    message = BytesParser(policy=HTTP).parsebytes(
        b"Content-Type: " + kind.encode("latin-1") + b"\r\n\r\n" + call.body
    )
    if not message.is_multipart():
        return {}
    parts: dict[str, bytes] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            parts[name] = content
    return parts
