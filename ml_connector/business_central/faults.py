"""The one table that turns an answer of Business Central into an error class.

Decided by the few statuses that hold for any content, then by `error.code`, then by status;
message texts are shown, never read.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from ml_connector import wire_json
from ml_connector.errors import (
    AuthenticationError,
    ConcurrentEdit,
    ConfigurationError,
    ConnectorError,
    ContractError,
    DuplicateKey,
    OutcomeUnknown,
    RateLimited,
    RecordNotFound,
    RecordRejected,
    TransientError,
)
from ml_connector.redaction import redacted

SYSTEM = "business_central"

CODES: dict[str, type[ConnectorError]] = {
    "Internal_EntityWithSameKeyExists": DuplicateKey,
    "Request_EntityChanged": ConcurrentEdit,
    "BadRequest_InvalidToken": ConcurrentEdit,
    "Internal_CompanyNotFound": ConfigurationError,
    "Internal_TenantUnavailable": TransientError,
    "Internal_RecordNotFound": RecordNotFound,
    "Internal_DataNotFoundFilter": RecordNotFound,
    "BadRequest_ResourceNotFound": RecordNotFound,
    "BadRequest_NotFound": RecordNotFound,
    "Internal_InvalidTableRelation": RecordRejected,
    "BadRequest": RecordRejected,
    "BadRequest_InvalidRequestUrl": RecordRejected,
    "BadRequest_InvalidOperation": RecordRejected,
    "BadRequest_RequiredParamNotProvided": RecordRejected,
    "BadRequest_MethodNotAllowed": ContractError,
    "BadRequest_MethodNotImplemented": ContractError,
    "Application_DialogException": RecordRejected,
    "Application_FieldValidationException": RecordRejected,
    "Application_StringExceededLength": RecordRejected,
    "Application_EvaluateException": RecordRejected,
    "Application_InvalidGUID": RecordRejected,
    "Application_FilterErrorException": RecordRejected,
    "Application_CallbackNotAllowed": RecordRejected,
    "Authentication_InvalidCredentials": AuthenticationError,
}
"""By error code: a duplicate key comes with 400 or 409. "Unknown" is none: the status decides."""

DECIDING_STATUSES: dict[int, type[ConnectorError]] = {
    401: AuthenticationError,
    408: TransientError,
    412: ConcurrentEdit,
    429: RateLimited,
    502: TransientError,
    503: TransientError,
    504: TransientError,
}
"""By status, whatever the code: what these say holds for any content."""

FAMILIES: dict[str, type[ConnectorError]] = {
    "Application_": RecordRejected,
    "Authentication_": AuthenticationError,
    "Authorization_": ConfigurationError,
}
"""By the beginning of a code that is not listed."""

STATUSES: dict[int, type[ConnectorError]] = {
    301: ConfigurationError,
    302: ConfigurationError,
    307: ConfigurationError,
    308: ConfigurationError,
    400: RecordRejected,
    403: ConfigurationError,
    404: RecordNotFound,
    405: ContractError,
    409: TransientError,
    413: ContractError,
    415: ContractError,
    500: TransientError,
    501: ContractError,
}
"""By status, when the code is unknown or there is none."""

REMEDIES: dict[str, str] = {
    "Authentication_InvalidCredentials": "Register the client id on page Microsoft Entra "
    "Applications in BC, state Enabled, with permission sets; then run `connect` again.",
    "Internal_CompanyNotFound": "Correct company_id or company_name in the connection file.",
    "missing_permission": "Give the app its permission sets on page Microsoft Entra Applications "
    "in BC.",
    "redirected": "Correct base_url in the connection file.",
}
"""What to do, where the default of the class does not say it."""

_CORRELATION = re.compile(r"\s*CorrelationId:\s*(?P<id>[0-9A-Fa-f-]{36})?\.?\s*$")
_PROXY_HINT = "Check the address in the connection file, the network and its proxy."


@dataclass(frozen=True, slots=True)
class Refusal:
    """What an answer of BC says went wrong; code is "" when it is no answer of its API."""

    status: int
    code: str = ""
    message: str = ""
    request_id: str = ""
    retry_after: float | None = None


def error_class(status: int, code: str, *, is_write: bool = False) -> type[ConnectorError]:
    """Return the class for an answer with *status* and error *code* ("" for none)."""
    if is_write and _says_nothing_about_a_write(status, code):
        return OutcomeUnknown
    if status in DECIDING_STATUSES:
        return DECIDING_STATUSES[status]
    if _is_missing_permission(status, code):
        return RecordRejected if is_write else ConfigurationError
    if code in CODES:
        return CODES[code]
    for beginning, error in FAMILIES.items():
        if code.startswith(beginning):
            return error
    if status in STATUSES:
        return STATUSES[status]
    return TransientError if status >= 500 else RecordRejected


def _is_missing_permission(status: int, code: str) -> bool:
    """Tell whether BC refused for lack of a permission; trouble of its own has another status."""
    return status == 400 and code == "Internal_ServerError"


def _says_nothing_about_a_write(status: int, code: str) -> bool:
    if status in (408, 502, 504):
        return True
    return status >= 500 and status != 501 and not (status == 503 and code) and code not in CODES


def request_id_of(headers: Mapping[str, str]) -> str:
    """Return the service's id of a request, for a support call; "" when the answer has none."""
    return headers.get("x-ms-correlation-id") or headers.get("request-id") or ""


def refusal_of(status: int, headers: Mapping[str, str], content: Any) -> Refusal:
    """Return what a decoded answer says; one that is no BC error leaves code empty.

    The correlation id that BC appends to its message becomes `request_id`.
    """
    request_id = request_id_of(headers)
    retry_after = _seconds(headers.get("retry-after", ""), headers.get("date", ""))
    error = content.get("error") if isinstance(content, dict) else None
    if not isinstance(error, dict):
        return Refusal(status, request_id=request_id, retry_after=retry_after)
    message = str(error.get("message") or "")
    correlation = _CORRELATION.search(message)
    if correlation:
        message = message[: correlation.start()]
        request_id = correlation["id"] or request_id
    return Refusal(status, str(error.get("code") or ""), message.strip(), request_id, retry_after)


def refusal_of_body(status: int, headers: Mapping[str, str], body: bytes) -> Refusal:
    """Return what an answer with a raw *body* says."""
    try:
        return refusal_of(status, headers, wire_json.decode(body))
    except ContractError:
        return refusal_of(status, headers, None)


def _seconds(retry_after: str, sent_at: str) -> float | None:
    """The wait that Retry-After asks for; a time in it is measured from the Date header."""
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        until, since = parsedate_to_datetime(retry_after), parsedate_to_datetime(sent_at)
        return max(0.0, (until - since).total_seconds())
    except (ValueError, TypeError):
        return None


def error_from(
    refusal: Refusal,
    *,
    operation: str,
    is_write: bool = False,
    record_id: str = "",
    secrets: Iterable[str] = (),
) -> ConnectorError:
    """Return the error for *refusal*, its sentence free of *secrets*."""
    kind = error_class(refusal.status, refusal.code, is_write=is_write)
    code = refusal.code or f"HTTP_{refusal.status}"
    remedy = REMEDIES.get(refusal.code, "")
    if kind is OutcomeUnknown:
        code = ""
    elif _is_missing_permission(refusal.status, refusal.code):
        code, remedy = "missing_permission", REMEDIES["missing_permission"]
    elif kind is ConfigurationError and not remedy:
        remedy = REMEDIES["redirected" if refusal.status < 400 else "missing_permission"]
    elif kind is AuthenticationError:
        remedy = REMEDIES["Authentication_InvalidCredentials"]
    said = redacted(refusal.message, secrets)
    attributes: dict[str, Any] = {
        "system": SYSTEM,
        "operation": operation,
        "code": code,
        "status": refusal.status,
        "record_id": record_id,
        "remedy": remedy,
        "request_id": refusal.request_id,
    }
    if issubclass(kind, RateLimited):
        attributes["retry_after"] = refusal.retry_after
    return kind(_sentence(kind, refusal, operation, said), **attributes)


def _sentence(kind: type[ConnectorError], refusal: Refusal, operation: str, said: str) -> str:
    named = refusal.code or f"HTTP {refusal.status}"
    if issubclass(kind, RecordRejected | ConcurrentEdit) and said:
        return said
    if issubclass(kind, OutcomeUnknown):
        text = f"Business Central's answer to {operation} was lost ({named})"
    elif issubclass(kind, RateLimited):
        text = f"Business Central asks to slow down at {operation}"
    elif issubclass(kind, TransientError):
        text = f"Business Central could not do {operation} now ({named})"
    else:
        text = f"Business Central refused {operation} ({named})"
    return f"{text}: {said}" if said else f"{text}."


def unreadable(operation: str, *, is_write: bool, record_id: str = "") -> ConnectorError:
    """Return the error for a good status whose body is cut or no JSON."""
    kind = OutcomeUnknown if is_write else TransientError
    return kind(
        f"Business Central's answer to {operation} was cut or is not JSON.",
        system=SYSTEM,
        operation=operation,
        code="" if is_write else "unreadable_answer",
        record_id=record_id,
    )


def misshapen(operation: str, what: str, *, is_write: bool = False) -> ConnectorError:
    """Return the error for JSON that does not have the documented shape."""
    kind = OutcomeUnknown if is_write else ContractError
    return kind(
        f"Business Central's answer to {operation} does not fit: {what}.",
        system=SYSTEM,
        operation=operation,
    )


def not_read_back(operation: str, lost: ConnectorError, *, record_id: str = "") -> OutcomeUnknown:
    """Return the error for a write that was accepted and could not be read back."""
    return OutcomeUnknown(
        f"Business Central accepted {operation}; reading it back failed: {lost.message}",
        system=SYSTEM,
        operation=operation,
        record_id=record_id,
    )


def transport_error(
    error: httpx.RequestError,
    *,
    operation: str,
    host: str,
    is_write: bool,
    first_contact: bool,
) -> ConnectorError:
    """Return the error for a call that got no answer.

    Not sent at all: TransientError, or ConfigurationError when nothing was ever heard from the
    host. Sent: OutcomeUnknown for a write. A certificate that is not trusted is always a
    ConfigurationError.
    """
    attributes: dict[str, Any] = {"system": SYSTEM, "operation": operation}
    not_sent = isinstance(
        error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.ProxyError
    )
    if not_sent:
        chain = _causes(error)
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in chain):
            return ConfigurationError(
                f"The TLS certificate of {host} is not trusted.",
                code="tls_not_trusted",
                remedy="Set ca_file to the private CA that signed it, or correct the address.",
                **attributes,
            )
        code, why = _reason_not_sent(error, chain)
        kind = ConfigurationError if first_contact and not is_write else TransientError
        return kind(
            f"{host} cannot be reached: {why}.",
            code=code,
            remedy=_PROXY_HINT if kind is ConfigurationError else "",
            **attributes,
        )
    if is_write:
        return OutcomeUnknown(f"Business Central's answer to {operation} was lost.", **attributes)
    timed_out = isinstance(error, httpx.TimeoutException)
    return TransientError(
        f"Business Central did not answer {operation} in time."
        if timed_out
        else f"The connection to Business Central broke during {operation}.",
        code="timeout" if timed_out else "connection_lost",
        **attributes,
    )


def _reason_not_sent(error: httpx.RequestError, chain: list[BaseException]) -> tuple[str, str]:
    for cause in chain:
        if isinstance(cause, socket.gaierror):
            return "unknown_host", "its name is not known to DNS"
        if isinstance(cause, ConnectionRefusedError):
            return "connection_refused", "the connection was refused"
        if isinstance(cause, ssl.SSLError):
            return "tls_failed", "no TLS connection could be made"
    if isinstance(error, httpx.ProxyError):
        return "proxy", "the proxy did not let the connection through"
    if isinstance(error, httpx.TimeoutException):
        return "connect_timeout", "no connection in time"
    return "no_connection", "no connection could be made"


def _causes(error: BaseException) -> list[BaseException]:
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        current = waiting.pop(0)
        if current is not None and all(current is not known for known in seen):
            seen.append(current)
            waiting += [current.__cause__, current.__context__]
    return seen
