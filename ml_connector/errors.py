"""Every error the connector raises, sorted by the reaction it calls for.

ConnectorError
├── ConfigurationError             stop the run, tell a person
│   ├── AuthenticationError        credentials refused after one fresh token
│   └── GuardTripped               a run would change too much, or its plan is stale
├── TransientError                 Prefect retries
│   ├── RateLimited                carries `retry_after`
│   └── OutcomeUnknown             the answer to a write is lost: look before writing again
├── RecordError                    park or wait with this record, go on with the others
│   ├── RecordRejected             the vendor refused the content
│   │   └── DuplicateKey           a record with this key exists already
│   ├── RecordNotFound             the record is gone
│   ├── AmbiguousExternalId        several records carry one External Id
│   └── ConcurrentEdit             the record changed since it was read
├── FeedError                      replay id too old, subscription lost: fall back to the poll
├── StaleClaim                     another worker owns the record now: store nothing
└── ContractError                  an answer that does not fit the documented shape
"""

from __future__ import annotations


class ConnectorError(Exception):
    """Base of all errors; its text is one sentence for the operator.

    Attributes:
        system: "salesforce", "business_central", "ledger", "prefect"; "" for the connector itself.
        operation: what was being done, such as "POST salesOrders".
        code: the vendor's error code, or one of ours in snake_case; callers branch on it.
        status: HTTP status, 0 when there was none.
        record_id: the record it is about, "" when it is about none.
        remedy: what a person should do, one sentence.
        request_id: the vendor's correlation id for a support call.
    """

    default_code = "connector_error"
    default_remedy = "See the log of the run; report it with the request id if it comes again."

    def __init__(  # noqa: PLR0913  # all of what an operator needs to act
        self,
        message: str,
        *,
        system: str = "",
        operation: str = "",
        code: str = "",
        status: int = 0,
        record_id: str = "",
        remedy: str = "",
        request_id: str = "",
        fields: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.system = system
        self.operation = operation
        self.code = code or self.default_code
        self.status = status
        self.record_id = record_id
        self.remedy = remedy or self.default_remedy
        self.request_id = request_id
        self.fields = fields

    def __str__(self) -> str:
        return self.message


class ConfigurationError(ConnectorError):
    """Something a person has to set up differently; no retry helps."""

    default_code = "configuration"
    default_remedy = "Correct the connection file or the set-up it names, then run `connect` again."


class AuthenticationError(ConfigurationError):
    """Credentials refused, or refused again right after a fresh token."""

    default_code = "sign_in_refused"
    default_remedy = (
        "Check client id, client secret and the app's permissions, then run `connect` again."
    )


class GuardTripped(ConfigurationError):
    """The run stopped before writing because it would touch too much or its plan is stale."""

    default_code = "guard"


class TransientError(ConnectorError):
    """The same call may succeed later; nothing was decided about the record."""

    default_code = "service_unavailable"
    default_remedy = (
        "Nothing to do: the next run tries again. If it lasts, check the vendor's status page."
    )


class RateLimited(TransientError):
    """The vendor asked to slow down; `retry_after` is in seconds when it named a time."""

    default_code = "rate_limited"

    def __init__(
        self, message: str, *, retry_after: float | None = None, **attributes: object
    ) -> None:
        super().__init__(message, **attributes)  # type: ignore[arg-type]  # same keywords as the base
        self.retry_after = retry_after


class OutcomeUnknown(TransientError):
    """A write left this computer and no readable answer came back; it may have been committed."""

    default_code = "outcome_unknown"
    default_remedy = "Nothing to do: the next run looks for the record before it writes again."


class RecordError(ConnectorError):
    """Concerns one record only; the others go on."""

    default_code = "record_rejected"


class RecordRejected(RecordError):
    """The vendor refused the content of the record."""


class DuplicateKey(RecordRejected):
    """A record with this key exists already."""

    default_code = "duplicate_key"


class RecordNotFound(RecordError):
    """The record does not exist (any more)."""

    default_code = "record_not_found"


class AmbiguousExternalId(RecordError):
    """Several records carry the External Id that should name one."""

    default_code = "ambiguous_external_id"


class ConcurrentEdit(RecordError):
    """The record changed between reading and writing (ETag mismatch, row lock lost)."""

    default_code = "concurrent_edit"


class FeedError(ConnectorError):
    """A change feed cannot go on from its checkpoint."""

    default_code = "feed"


class StaleClaim(ConnectorError):
    """The record's lease was taken over; this worker must not store anything about it."""

    default_code = "stale_claim"


class ContractError(ConnectorError):
    """An answer does not fit the documented shape: a gateway page, a cut body or an API change."""

    default_code = "contract"
    default_remedy = "If it comes again, compare the vendor's release notes and report it."
