"""Errors in Stripe's shape: https://docs.stripe.com/api/errors."""

from __future__ import annotations

from typing import Any


class StripeError(Exception):
    """A refusal that the API answers as ``{"error": {…}}`` and that a page shows by its message.

    ``more`` goes into the error as it is: ``decline_code``, ``charge``, ``payment_intent``, ….
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.type = type
        self.code = code
        self.param = param
        self.more = more

    def body(self) -> dict[str, Any]:
        error: dict[str, Any] = {"message": self.message, "type": self.type}
        for name, value in (("code", self.code), ("param", self.param), *self.more.items()):
            if value is not None:
                error[name] = value
        if self.code:
            error["doc_url"] = f"https://stripe.com/docs/error-codes/{self.code.replace('_', '-')}"
        return {"error": error}


def missing_object(kind: str, id: str, param: str = "id") -> StripeError:
    """No object of that id: 404 where the address names it, 400 where a parameter does."""
    return StripeError(
        f"No such {kind}: '{id}'",
        status=404 if param == "id" else 400,
        code="resource_missing",
        param=param,
    )


def missing_param(param: str) -> StripeError:
    return StripeError(f"Missing required param: {param}.", code="parameter_missing", param=param)


def unexpected_state(code: str, message: str, **more: Any) -> StripeError:
    """The object is not in a state that allows this."""
    return StripeError(message, code=code, **more)
