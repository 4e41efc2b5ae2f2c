"""What the org refuses: an error code, its status, and the fields it names."""

from typing import Any

_STATUS = {
    "INVALID_SESSION_ID": 401,
    "INSUFFICIENT_ACCESS": 403,
    "INSUFFICIENT_ACCESS_OR_READONLY": 403,
    "REQUEST_LIMIT_EXCEEDED": 403,
    "API_DISABLED_FOR_ORG": 403,
    "NOT_FOUND": 404,
    "ENTITY_IS_DELETED": 404,
    "METHOD_NOT_ALLOWED": 405,
    "UNSUPPORTED_API_VERSION": 410,
    "URI_TOO_LONG": 414,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "UNKNOWN_EXCEPTION": 500,
    "SERVER_UNAVAILABLE": 503,
}


class SalesforceFault(Exception):
    """The org refuses a request or a record, with the vendor's error code."""

    def __init__(
        self, code: str, message: str, fields: tuple[str, ...] = (), status: int | None = None
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.fields = fields
        self.status = status if status is not None else _STATUS.get(code, 400)

    def body(self) -> list[dict[str, Any]]:
        """The answer of a single call: an array with one error."""
        error: dict[str, Any] = {"message": self.message, "errorCode": self.code}
        if self.fields:
            error["fields"] = list(self.fields)
        return [error]

    def item(self) -> dict[str, Any]:
        """The error as one record's result inside a collection."""
        return {
            "statusCode": self.code,
            "message": self.message,
            "fields": list(self.fields),
        }


def not_found(message: str = "Nothing is stored at this address") -> SalesforceFault:
    """The refusal for an address or record that does not exist."""
    return SalesforceFault("NOT_FOUND", message)


class ManyMatches(Exception):
    """An external id names several stored records; nothing was done."""

    def __init__(self, sobject: str, field: str, ids: list[str]) -> None:
        super().__init__(f"{len(ids)} records of {sobject} share the external id")
        self.sobject = sobject
        self.field = field
        self.ids = ids
