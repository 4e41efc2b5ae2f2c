"""A request and an answer as the org's resources see them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from ml_connector.sandbox.frame.wire import WireError, decode, encode
from ml_connector.sandbox.salesforce.access import Person
from ml_connector.sandbox.salesforce.faults import SalesforceFault
from ml_connector.sandbox.salesforce.transactions import Origin

JSON = "application/json;charset=UTF-8"
LONGEST_ADDRESS = 16_384


@dataclass(slots=True)
class Call:
    """One request: of a client, or a part of a composite one."""

    method: str
    raw_path: str
    query_string: str
    headers: Mapping[str, str]
    body: bytes
    person: Person | None = None
    version: str = ""

    @property
    def segments(self) -> list[str]:
        """The parts of the path, decoded one by one, so that a slash in a value stays in it."""
        return [unquote(part) for part in self.raw_path.strip("/").split("/")]

    @property
    def query(self) -> dict[str, str]:
        """The query parameters; the last of equal names wins."""
        return dict(parse_qsl(self.query_string, keep_blank_values=True))

    def header(self, name: str) -> str:
        """A header's value, empty when it is not there."""
        return self.headers.get(name.lower(), "")

    @property
    def form(self) -> dict[str, str]:
        """The fields of a form body."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    @property
    def host(self) -> str:
        """The host and port that the client asked for."""
        return self.header("host")

    @property
    def user(self) -> Person:
        """Who is signed in; only resources behind the session check ask."""
        if self.person is None:
            raise SalesforceFault("INVALID_SESSION_ID", "There is no session")
        return self.person

    @property
    def origin(self) -> Origin:
        """Where changes made by this call come from."""
        client = None
        for part in self.header("sforce-call-options").split(","):
            name, _, value = part.strip().partition("=")
            if name.strip().lower() == "client" and value.strip():
                client = value.strip()
        return Origin("rest", self.version, client)

    def json(self) -> Any:
        """The body as JSON."""
        kind = self.header("content-type").partition(";")[0].strip().lower()
        if kind and kind not in ("application/json", "text/json"):
            raise SalesforceFault("UNSUPPORTED_MEDIA_TYPE", f"{kind} is not taken here")
        try:
            return decode(self.body)
        except WireError as error:
            raise SalesforceFault("JSON_PARSER_ERROR", f"The body is no JSON: {error}") from error

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object."""
        found = self.json()
        if not isinstance(found, dict):
            raise SalesforceFault("JSON_PARSER_ERROR", "The body is no JSON object")
        return found


@dataclass(slots=True)
class Reply:
    """One answer."""

    status: int
    value: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    content_type: str = JSON

    def content(self) -> bytes:
        """The bytes of the body."""
        if self.raw is not None:
            return self.raw
        return b"" if self.status in (204, 304) else encode(self.value)


def flag(value: Any, *, default: bool = False) -> bool:
    """A yes or no of a request, as JSON or as a query parameter."""
    if value is None or value == "":
        return default
    return value is True or str(value).lower() == "true"
