"""The one tree of Farebox's errors.

FareboxError
├── BadInput              400, names the field
├── NotAuthenticated      401
├── InsufficientCredits   402
│   └── WalletFrozen      402
├── PermissionRefused     403
├── NotFound              404
│   └── ModelNotFound     404
├── MethodRefused         405
├── Conflict              409
│   └── AlreadyEnded      409
├── PreconditionFailed    412
├── TooLarge              413
├── IdempotencyConflict   422
├── PreconditionRequired  428
├── RateLimited           429
├── UpstreamError         502
├── Unavailable           503
└── UpstreamTimeout       504

Verbs raise them; the DRF handler (``common.drf``) and the proxy (``proxy.errors``) turn them into
the shapes of the error contract. ``message`` is for the person or program that called, and never
holds a secret.
"""

from typing import ClassVar


class FareboxError(Exception):
    """Base of all. ``status``, ``type`` and ``code`` are those of the error contract."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: ClassVar[str] = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        retry_after: int | None = None,
        should_retry: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after
        self.should_retry = should_retry

    @property
    def headers(self) -> dict[str, str]:
        """Headers the answer carries besides its body; ``Retry-After`` is 60 seconds at most."""
        headers = {}
        if self.retry_after is not None:
            headers["retry-after"] = str(max(1, min(self.retry_after, 60)))
        if self.should_retry is not None:
            headers["x-should-retry"] = "true" if self.should_retry else "false"
        return headers


class BadInput(FareboxError):
    status, type, code = 400, "invalid_request_error", "bad_request"


class NotAuthenticated(FareboxError):
    status, type, code = 401, "invalid_request_error", "invalid_api_key"


class InsufficientCredits(FareboxError):
    status, type, code = 402, "insufficient_quota", "insufficient_credits"


class WalletFrozen(InsufficientCredits):
    """The wallet owes; it pays for nothing until that is settled."""


class PermissionRefused(FareboxError):
    status, type, code = 403, "invalid_request_error", "permission_denied"


class NotFound(FareboxError):
    status, type, code = 404, "invalid_request_error", "not_found"


class ModelNotFound(NotFound):
    code = "model_not_found"


class MethodRefused(FareboxError):
    status, type, code = 405, "invalid_request_error", "method_not_allowed"

    def __init__(self, message: str, *, allow: str = "") -> None:
        super().__init__(message)
        self.allow = allow

    @property
    def headers(self) -> dict[str, str]:
        return super().headers | ({"allow": self.allow} if self.allow else {})


class Conflict(FareboxError):
    status, type, code = 409, "idempotency_error", "in_progress"


class AlreadyEnded(Conflict):
    code = "completed"


class PreconditionFailed(FareboxError):
    """What was to be changed is not what the caller believes it to be."""

    status, type, code = 412, "invalid_request_error", "precondition_failed"


class TooLarge(FareboxError):
    status, type, code = 413, "invalid_request_error", "request_too_large"


class IdempotencyConflict(FareboxError):
    status, type, code = 422, "idempotency_error", "key_reused"


class PreconditionRequired(FareboxError):
    """The caller has to say what it believes to be there (RFC 6585, section 3)."""

    status, type, code = 428, "invalid_request_error", "precondition_required"


class RateLimited(FareboxError):
    status, type, code = 429, "rate_limit_error", "rate_limit_exceeded"


class UpstreamError(FareboxError):
    status, type, code = 502, "server_error", "upstream_error"


class Unavailable(FareboxError):
    status, type, code = 503, "server_error", "unavailable"


class UpstreamTimeout(FareboxError):
    status, type, code = 504, "server_error", "upstream_timeout"


def openai_shape(error: FareboxError) -> dict[str, dict[str, str | None]]:
    """The body of the error contract's first shape."""
    return {
        "error": {
            "message": error.message,
            "type": error.type,
            "param": error.param,
            "code": error.code,
        }
    }
