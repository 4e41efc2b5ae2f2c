"""The sandbox's certificate authority and its one server certificate."""

from pathlib import Path
from typing import NamedTuple

import trustme

NAMES = (
    "localhost",
    "127.0.0.1",
    "::1",
    "*.my.salesforce.com",
    "*.sandbox.my.salesforce.com",
    "*.develop.my.salesforce.com",
    "*.scratch.my.salesforce.com",
    "*.salesforce.com",
    "login.salesforce.com",
    "test.salesforce.com",
    "api.pubsub.salesforce.com",
    "api.businesscentral.dynamics.com",
    "login.microsoftonline.com",
    "login.windows.net",
    "login.microsoft.com",
)


class Certificates(NamedTuple):
    """Where the files lie: the authority's certificate, the server's chain and its key."""

    ca_file: Path
    cert_file: Path
    key_file: Path


def make_authority(directory: Path) -> Certificates:
    """Make an authority and a certificate for loopback and the vendors' host names."""
    authority = trustme.CA(organization_name="ml-connector sandbox")
    leaf = authority.issue_cert(*NAMES)
    files = Certificates(directory / "ca.pem", directory / "server.pem", directory / "server.key")
    files.ca_file.write_bytes(authority.cert_pem.bytes())
    files.cert_file.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    files.key_file.touch(mode=0o600)
    files.key_file.write_bytes(leaf.private_key_pem.bytes())
    return files
