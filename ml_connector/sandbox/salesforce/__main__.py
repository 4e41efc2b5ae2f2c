"""One Salesforce org as a process of its own."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml_connector.sandbox.frame.admin import build_admin
from ml_connector.sandbox.frame.application import Frame, build_application
from ml_connector.sandbox.frame.child import child_parser, open_listeners, read_seed, serve
from ml_connector.sandbox.salesforce.acts import OrgSystem
from ml_connector.sandbox.salesforce.ids import record_id
from ml_connector.sandbox.salesforce.loading import load
from ml_connector.sandbox.salesforce.org import SalesforceOrg
from ml_connector.sandbox.salesforce.pubsub_server import TlsFiles
from ml_connector.sandbox.salesforce.pubsub_setup import ACT_PREFIX, attach_pubsub
from ml_connector.sandbox.salesforce.rest import RestApi, error_body, kind_of

_IDENTITY: dict[str, Any] = {
    "organization_id": record_id("00D", 1),
    "client_id": "sandbox-client",
    "client_secret": "sandbox-secret",  # known to nobody but this computer
    "username": "integration@acme.example",
    "user_id": record_id("005", 1),
    "rep_user_id": record_id("005", 2),
    "currency": "USD",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the org until it is told to stop."""
    parser = child_parser("A Salesforce org on this computer.")
    parser.add_argument("--package", default="none", help="SFDX project to deploy, or none")
    parser.add_argument("--pubsub-port", type=int, default=0, help="TLS port of change events")
    parser.add_argument("--currency-mode", choices=("multi", "single"), default="multi")
    arguments = parser.parse_args(argv)
    listeners = open_listeners(arguments)
    seed = read_seed(arguments.seed_file)
    frame = Frame(latency_seconds=arguments.latency)
    frame.switches["multi_currency"] = arguments.currency_mode == "multi"
    frame.switches.update(seed["switches"])
    frame.faults.shortcuts["lock_row"] = {"status": 400, "code": "UNABLE_TO_LOCK_ROW"}
    package = None if arguments.package == "none" else Path(arguments.package)
    org = SalesforceOrg(frame, {**_IDENTITY, **seed["identity"]}, package)
    for block in seed["load"]:
        load(org, block["entity"], block["rows"])
    org.ensure_standard_price_book()
    api = RestApi(org)
    frame.expire_sessions = api.oauth.expire_sessions
    application = build_application(api.routes(), frame, kind_of, error_body)
    pubsub = attach_pubsub(
        org,
        lambda token: org.people.get(api.oauth.user_of_token(token) or ""),
        TlsFiles(arguments.cert, arguments.key),
        arguments.pubsub_port,
    )
    system = OrgSystem(org)
    system.companions[ACT_PREFIX] = pubsub.act
    admin = build_admin(frame, system)
    announcement = {
        "url": f"https://127.0.0.1:{listeners.port}",
        "organization_id": org.organization_id,
        "username": org.integration_user.username,
        "pubsub_port": pubsub.server.port,
    }
    return serve(
        application, admin, listeners, arguments, announcement, companions=[pubsub.server.run]
    )


if __name__ == "__main__":
    sys.exit(main())
