"""The Business Central side as a process of its own."""

import sys
from collections.abc import Sequence
from dataclasses import asdict

from ml_connector.sandbox.business_central.company import Identity
from ml_connector.sandbox.business_central.system import BusinessCentral
from ml_connector.sandbox.frame.admin import build_admin
from ml_connector.sandbox.frame.application import Frame
from ml_connector.sandbox.frame.child import child_parser, open_listeners, read_seed, serve


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve one company until told to stop."""
    parser = child_parser("A Business Central company on this computer.")
    options = parser.parse_args(arguments)
    listeners = open_listeners(options)
    frame = Frame(latency_seconds=options.latency)
    seed = read_seed(options.seed_file)
    known = asdict(Identity())
    identity = Identity(**{k: v for k, v in seed["identity"].items() if k in known})
    system = BusinessCentral(frame, identity)
    system.webhooks.trust(options.ca)
    frame.switches.update(seed["switches"])
    while seed["load"]:
        block = seed["load"].pop(0)
        system.load(block["entity"], block["rows"])
    del seed
    announcement = {"url": f"https://127.0.0.1:{listeners.port}", **asdict(identity)}
    admin = build_admin(frame, system)
    application = system.application()
    companions = [system.webhooks.run]
    return serve(application, admin, listeners, options, announcement, companions=companions)


if __name__ == "__main__":
    sys.exit(main())
