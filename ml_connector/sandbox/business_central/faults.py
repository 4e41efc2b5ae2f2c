"""The service's refusals: status, code and a text of our own."""

import uuid
from typing import Any

from ml_connector.sandbox.frame.wire import encode


class Refusal(Exception):
    """A request the service refuses."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message


def bad_request(message: str) -> Refusal:
    """A malformed body, value or query option."""
    return Refusal(400, "BadRequest", message)


def read_only(control: str) -> Refusal:
    """A control that cannot be written."""
    return Refusal(400, "BadRequest_InvalidOperation", f"The control '{control}' is read-only.")


def business_rule(message: str) -> Refusal:
    """Any rule of the application."""
    return Refusal(400, "Application_DialogException", message)


def field_rule(message: str) -> Refusal:
    """A field of a record does not hold what the step needs."""
    return Refusal(400, "Application_FieldValidationException", message)


def missing(field: str) -> Refusal:
    """A required field is blank."""
    return Refusal(
        400, "BadRequest_RequiredParamNotProvided", f"The field '{field}' must not be empty."
    )


def relation(field: str, value: str, table: str) -> Refusal:
    """A value that the related table does not hold."""
    return Refusal(
        400,
        "Internal_InvalidTableRelation",
        f"The field {field} holds the value {value}, which is not in the table {table}.",
    )


def changed() -> Refusal:
    """The entity tag is stale."""
    return Refusal(409, "Request_EntityChanged", "The record was changed by another user.")


def no_set(path: str) -> Refusal:
    """The URL leads to nothing."""
    return Refusal(404, "BadRequest_NotFound", f"Nothing matches the request URI '{path}'.")


def error_content(code: str, message: str) -> dict[str, Any]:
    """The service's error envelope; the correlation id is part of the text."""
    return {
        "error": {"code": code, "message": f"{message}  CorrelationId:  {uuid.uuid4()}."},
    }


def error_body(status: int, code: str | None, message: str | None) -> tuple[bytes, str]:
    """The envelope as the fault plan sends it."""
    text = message or f"The request ended with status {status}."
    name = code or ("Unknown" if status < 500 else "Internal_ServerError")
    return encode(error_content(name, text)), "application/json; odata.metadata=minimal"
