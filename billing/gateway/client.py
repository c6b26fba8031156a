"""Asking Stripe.

``api()`` is stripe-python's client with the deployment's key, address, version and time-out. What
it asks goes through ``Client``, which keeps the rule of the house: no transaction and no pooled
connection is held while a network is waited on. ``asking()`` turns what can go wrong into the
errors of the contract.
"""

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NoReturn

import httpx
import stripe
import structlog
from django.conf import settings
from django.db import connections

from billing.errors import StripeRefused, StripeUnavailable

log = structlog.get_logger(__name__)


class Client(stripe.HTTPXClient):
    """Gives the database's connection back before each request; refuses inside a transaction."""

    def request(self, *args: Any, **kwargs: Any) -> Any:
        give_connections_back()
        return super().request(*args, **kwargs)

    def _get_request_args_kwargs(self, *args: Any, **kwargs: Any) -> Any:
        """Stripe's own hands httpx the body in a way that httpx warns of."""
        where, named = super()._get_request_args_kwargs(*args, **kwargs)
        body = named.pop("data", None)
        return where, named | {"content": body or None}

    def _handle_request_error(self, e: Exception) -> NoReturn:
        """A connection that broke is tried once more; who has waited in vain waits no longer."""
        try:
            super()._handle_request_error(e)
        except stripe.APIConnectionError as error:
            error.should_retry = not isinstance(e, httpx.TimeoutException)
            raise


def give_connections_back() -> None:
    """Return this thread's connections to the pool. Raises ``RuntimeError`` in a transaction:
    that is a mistake of the caller's, who would keep its locks for as long as Stripe takes."""
    for connection in connections.all(initialized_only=True):
        if connection.in_atomic_block:
            raise RuntimeError("Stripe is asked inside a transaction")
        connection.close()


def api() -> stripe.StripeClient:
    """The client. Raises ``StripeUnavailable`` in the demo mode, which has no Stripe."""
    if not settings.STRIPE_SECRET_KEY:
        raise StripeUnavailable("This deployment takes no payments through Stripe.")
    return _api(
        os.getpid(),  # connections are no child process's to share
        settings.STRIPE_SECRET_KEY,
        getattr(settings, "STRIPE_API_HOST", "") or stripe.DEFAULT_API_BASE,
        settings.STRIPE_SECONDS,
    )


@cache
def _api(process: int, key: str, host: str, seconds: int) -> stripe.StripeClient:
    client = Client(timeout=seconds, allow_sync_methods=True)
    atexit.register(client.close)
    return stripe.StripeClient(
        key,
        stripe_version=settings.STRIPE_API_VERSION,
        base_addresses={"api": host},
        http_client=client,
        max_network_retries=1,  # safe: stripe-python sends an idempotency key with every POST
    )


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Around one or more questions; ``what`` is for the log, such as ``"open a checkout"``.

    Raises ``StripeUnavailable`` when Stripe is away, busy or refuses our key, ``StripeRefused``
    when it refuses what was asked. A declined card (``stripe.CardError``) is the caller's matter.
    """
    try:
        yield
    except stripe.CardError:
        raise
    except (stripe.AuthenticationError, stripe.PermissionError) as error:
        log.error("Stripe refuses our key", asked=what, error=type(error).__name__)
        raise StripeUnavailable(
            "Payments are not available now. The operator has to look at "
            "this deployment's Stripe key."
        ) from None
    except (stripe.InvalidRequestError, stripe.IdempotencyError) as error:
        if error.code == "idempotency_key_in_use":  # the same was asked a moment ago
            raise StripeUnavailable(
                "The same is being done at this moment. Try again; nothing is paid twice."
            ) from error
        log.error("Stripe refuses a request", asked=what, code=error.code, param=_param(error),
                  request=error.request_id)  # fmt: skip
        raise StripeRefused(
            "Stripe did not accept this. If it happens again, tell the operator."
        ) from error
    except stripe.StripeError as error:
        log.warning("Stripe is not available", asked=what, error=type(error).__name__,
                    status=error.http_status)  # fmt: skip
        raise StripeUnavailable(
            "Stripe can't be reached now. Try again in a moment; nothing is paid twice."
        ) from error


def _param(error: stripe.StripeError) -> str | None:
    return getattr(error, "param", None)
