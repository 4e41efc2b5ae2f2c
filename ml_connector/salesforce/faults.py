"""The one table that turns an answer of Salesforce into an error class.

Decided by error code first, then by status; message texts are shown, never read.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import requests
import urllib3

from ml_connector import wire_json
from ml_connector.errors import (
    AmbiguousExternalId,
    AuthenticationError,
    ConcurrentEdit,
    ConfigurationError,
    ConnectorError,
    ContractError,
    DuplicateKey,
    FeedError,
    OutcomeUnknown,
    RateLimited,
    RecordNotFound,
    RecordRejected,
    TransientError,
)
from ml_connector.redaction import redacted

SYSTEM = "salesforce"

CODES: dict[str, type[ConnectorError]] = {
    "INVALID_SESSION_ID": AuthenticationError,
    "INVALID_OPERATION_WITH_EXPIRED_PASSWORD": AuthenticationError,
    "API_DISABLED_FOR_ORG": ConfigurationError,
    "API_CURRENTLY_DISABLED": ConfigurationError,
    "INSUFFICIENT_ACCESS": ConfigurationError,
    "INVALID_FIELD": ConfigurationError,
    "INVALID_FIELD_FOR_INSERT_UPDATE": ConfigurationError,
    "INVALID_TYPE": ConfigurationError,
    "MALFORMED_QUERY": ConfigurationError,
    "INVALID_QUERY_FILTER_OPERATOR": ConfigurationError,
    "INVALID_QUERY_SCOPE": ConfigurationError,
    "STORAGE_LIMIT_EXCEEDED": ConfigurationError,
    "UNSUPPORTED_API_VERSION": ConfigurationError,
    "REQUEST_LIMIT_EXCEEDED": RateLimited,
    "UNABLE_TO_LOCK_ROW": TransientError,
    "SERVER_UNAVAILABLE": TransientError,
    "UNKNOWN_EXCEPTION": TransientError,
    "UNEXPECTED": TransientError,
    "QUERY_TIMEOUT": TransientError,
    "TXN_SECURITY_METERING_ERROR": TransientError,
    "INVALID_QUERY_LOCATOR": FeedError,
    "INVALID_REPLICATION_DATE": FeedError,
    "EXCEEDED_ID_LIMIT": FeedError,
    "DUPLICATE_VALUE": DuplicateKey,
    "DUPLICATE_EXTERNAL_ID": AmbiguousExternalId,
    "ENTITY_IS_DELETED": RecordNotFound,
    "NOT_FOUND": RecordNotFound,
    "JSON_PARSER_ERROR": ContractError,
    "DUPLICATES_DETECTED": RecordRejected,
    "REQUIRED_FIELD_MISSING": RecordRejected,
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": RecordRejected,
    "FIELD_INTEGRITY_EXCEPTION": RecordRejected,
    "STRING_TOO_LONG": RecordRejected,
    "NUMBER_OUTSIDE_VALID_RANGE": RecordRejected,
    "INVALID_CROSS_REFERENCE_KEY": RecordRejected,
    "MALFORMED_ID": RecordRejected,
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": RecordRejected,
    "INVALID_EMAIL_ADDRESS": RecordRejected,
    "ENTITY_IS_LOCKED": RecordRejected,
    "DELETE_FAILED": RecordRejected,
    "INSUFFICIENT_ACCESS_OR_READONLY": RecordRejected,
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": RecordRejected,
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": RecordRejected,
    "FAILED_ACTIVATION": RecordRejected,
    "STANDARD_PRICE_NOT_DEFINED": RecordRejected,
    "ALL_OR_NONE_OPERATION_ROLLED_BACK": RecordRejected,
    "PROCESSING_HALTED": RecordRejected,
}
"""By error code, whatever the status."""

STATUSES: dict[int, type[ConnectorError]] = {
    300: AmbiguousExternalId,
    301: ConfigurationError,
    302: ConfigurationError,
    307: ConfigurationError,
    308: ConfigurationError,
    400: RecordRejected,
    401: AuthenticationError,
    403: ConfigurationError,
    404: RecordNotFound,
    405: ContractError,
    406: TransientError,
    408: TransientError,
    409: ConcurrentEdit,
    410: ConfigurationError,
    412: ConcurrentEdit,
    414: ContractError,
    415: ContractError,
    420: TransientError,
    428: ContractError,
    429: RateLimited,
    431: ContractError,
    500: TransientError,
    502: TransientError,
    503: TransientError,
    504: TransientError,
}
"""By status, when the code is unknown or there is none."""

MAYBE_WRITTEN = frozenset({408, 500, 502, 503, 504})
"""Statuses that, without an error code of Salesforce, say nothing about a write they answer."""

_SPEAK_WITHOUT_CODE = frozenset({401, 414, 429, 431})

REMEDIES: dict[str, str] = {
    "INVALID_SESSION_ID": "Check that the run-as user may use the API, then run `connect` again.",
    "INVALID_OPERATION_WITH_EXPIRED_PASSWORD": "Set a new password for the run-as user.",
    "API_DISABLED_FOR_ORG": "Use an edition with API access and give the run-as user API Enabled.",
    "INVALID_FIELD": "Deploy the Salesforce package and assign its permission set to the run-as "
    "user; check field names in the policy.",
    "INVALID_FIELD_FOR_INSERT_UPDATE": "Assign the package's permission set to the run-as user.",
    "INVALID_TYPE": "Enable the object in Salesforce (orders are a setting) and assign the "
    "package's permission set to the run-as user.",
    "MALFORMED_QUERY": "Correct the condition in the policy of the connection file.",
    "STORAGE_LIMIT_EXCEEDED": "Free or buy storage in Salesforce.",
    "UNSUPPORTED_API_VERSION": "Set api_version to a version the org serves, such as 65.0.",
    "REQUEST_LIMIT_EXCEEDED": "Nothing to do: later runs go on. If it stays, raise the org's API "
    "allocation.",
}
"""What to do, where the default of the class does not say it."""

RETRYABLE_RESULTS = frozenset(
    code for code, error in CODES.items() if issubclass(error, TransientError)
)
"""Codes of single records in a collections answer that the same call may cure later."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What an answer of Salesforce says went wrong; code is "" when it is no answer of its API."""

    status: int
    code: str = ""
    message: str = ""
    fields: tuple[str, ...] = ()
    retry_after: float | None = None


def error_class(status: int, code: str, *, is_write: bool = False) -> type[ConnectorError]:
    """Return the class for an answer with *status* and error *code* ("" for none)."""
    if code in CODES:
        return CODES[code]
    if not code and is_write and status in MAYBE_WRITTEN:
        return OutcomeUnknown
    if is_write and status in (502, 504):
        return OutcomeUnknown
    if not code and 400 <= status < 500 and status not in _SPEAK_WITHOUT_CODE:
        return TransientError  # a gateway's page; Salesforce itself always names a code
    if status in STATUSES:
        return STATUSES[status]
    return TransientError if status >= 500 else RecordRejected


def refusal_of(status: int, headers: Mapping[str, str], body: bytes) -> Refusal:
    """Return what the answer says; a body that is no Salesforce error list leaves code empty."""
    retry_after = seconds(headers.get("Retry-After", ""))
    if status == 300:
        return Refusal(status, "AMBIGUOUS_EXTERNAL_ID", "several records carry the External Id")
    try:
        content = wire_json.decode(body)
    except ContractError:
        return Refusal(status, retry_after=retry_after)
    first: Any = content[0] if isinstance(content, list) and content else content
    if not isinstance(first, dict):
        return Refusal(status, retry_after=retry_after)
    code = first.get("errorCode") or first.get("statusCode") or first.get("error") or ""
    message = first.get("message") or first.get("error_description") or ""
    named = first.get("fields")
    fields = tuple(str(field) for field in named) if isinstance(named, list) else ()
    return Refusal(status, str(code), str(message), fields, retry_after)


def seconds(text: str) -> float | None:
    """Return a Retry-After header in seconds; None when there is none or it is no number."""
    try:
        return max(0.0, float(text))
    except ValueError:
        return None


def error_from(
    refusal: Refusal, *, operation: str, is_write: bool = False, secrets: Iterable[str] = ()
) -> ConnectorError:
    """Return the error for *refusal*, its sentence free of *secrets*."""
    kind = error_class(refusal.status, refusal.code, is_write=is_write)
    code = refusal.code or (f"HTTP_{refusal.status}" if kind is not OutcomeUnknown else "")
    said = redacted(refusal.message, secrets)
    sentence = f"Salesforce refused {operation} with {code or refusal.status}"
    if kind is OutcomeUnknown:
        sentence = f"Salesforce's answer to {operation} was lost (HTTP {refusal.status})"
    elif issubclass(kind, RateLimited):
        sentence = f"Salesforce asks to slow down at {operation} ({code})"
    elif issubclass(kind, TransientError):
        sentence = f"Salesforce could not do {operation} now ({code})"
    attributes: dict[str, Any] = {
        "system": SYSTEM,
        "operation": operation,
        "code": code,
        "status": refusal.status,
        "remedy": REMEDIES.get(refusal.code, ""),
        "fields": refusal.fields,
    }
    if issubclass(kind, RateLimited):
        attributes["retry_after"] = refusal.retry_after
    return kind(f"{sentence}: {said}" if said else f"{sentence}.", **attributes)


def unreadable(operation: str, *, is_write: bool) -> ConnectorError:
    """Return the error for a good status whose body is cut or no JSON."""
    kind = OutcomeUnknown if is_write else TransientError
    return kind(
        f"Salesforce's answer to {operation} was cut or is not JSON.",
        system=SYSTEM,
        operation=operation,
        code="" if is_write else "unreadable_answer",
    )


def misshapen(operation: str, what: str, *, is_write: bool = False) -> ConnectorError:
    """Return the error for JSON that does not have the documented shape."""
    kind = OutcomeUnknown if is_write else ContractError
    return kind(
        f"Salesforce's answer to {operation} does not fit: {what}.",
        system=SYSTEM,
        operation=operation,
    )


def transport_error(
    error: Exception, *, operation: str, host: str, is_write: bool, first_contact: bool
) -> ConnectorError:
    """Return the error for a call that got no answer.

    Not sent at all: TransientError, or ConfigurationError when nothing was ever heard from the
    host. Sent: OutcomeUnknown for a write. A certificate that is not trusted is always a
    ConfigurationError.
    """
    chain = list(_causes(error))
    attributes: dict[str, Any] = {"system": SYSTEM, "operation": operation}
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in chain):
        return ConfigurationError(
            f"The TLS certificate of {host} is not trusted.",
            code="tls_not_trusted",
            remedy="Set ca_file to the private CA that signed it, or correct the address.",
            **attributes,
        )
    code, why = _reason_not_sent(chain)
    if not code and first_contact and not is_write:
        code, why = _reason_no_tls(chain)
    if code:
        kind = ConfigurationError if first_contact and not is_write else TransientError
        return kind(
            f"{host} cannot be reached: {why}.",
            code=code,
            remedy="Check the address in the connection file, the network and its proxy."
            if kind is ConfigurationError
            else "",
            **attributes,
        )
    if is_write:
        return OutcomeUnknown(f"Salesforce's answer to {operation} was lost.", **attributes)
    timed_out = isinstance(error, requests.Timeout)
    return TransientError(
        f"Salesforce did not answer {operation} in time."
        if timed_out
        else f"The connection to Salesforce broke during {operation}.",
        code="timeout" if timed_out else "connection_lost",
        **attributes,
    )


_NOT_SENT: tuple[tuple[tuple[type[BaseException], ...], str, str], ...] = (
    ((urllib3.exceptions.NameResolutionError,), "unknown_host", "its name is not known to DNS"),
    ((ConnectionRefusedError,), "connection_refused", "the connection was refused"),
    ((urllib3.exceptions.ProxyError,), "proxy", "the proxy did not let the connection through"),
    ((urllib3.exceptions.NewConnectionError,), "no_connection", "no connection could be made"),
    (
        (requests.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError),
        "connect_timeout",
        "no connection within ten seconds",
    ),
)
"""What proves that nothing left this computer, most telling first."""


def _reason_not_sent(chain: list[BaseException]) -> tuple[str, str]:
    for kinds, code, why in _NOT_SENT:
        if any(isinstance(cause, kinds) for cause in chain):
            return code, why
    return "", ""


def _reason_no_tls(chain: list[BaseException]) -> tuple[str, str]:
    """Only for a first read: a TLS error may also come after a request was sent."""
    if any(isinstance(cause, ssl.SSLError | requests.exceptions.SSLError) for cause in chain):
        return "tls_failed", "no TLS connection could be made"
    return "", ""


def _causes(error: BaseException) -> Iterable[BaseException]:
    """Every exception behind *error*: causes, contexts, and what urllib3 keeps in `reason`."""
    seen: list[BaseException] = []
    waiting: list[Any] = [error]
    while waiting:
        current = waiting.pop(0)
        if not isinstance(current, BaseException) or any(current is known for known in seen):
            continue
        seen.append(current)
        waiting += [
            getattr(current, "reason", None),
            current.__cause__,
            current.__context__,
            *current.args,
        ]
    return seen
