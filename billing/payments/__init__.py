"""What was paid, and the credits granted for it: the only places that grant for money.

Each ``apply_…`` asks Stripe for one paid object as it is now and makes ``Payment``, its lots and
its order agree with that: granted once, and revoked or restored as refunds and disputes say. It
may be called for any cause, in any order, any number of times, by many at once. All of them must
be called outside transactions, and raise ``StripeUnavailable`` and ``StripeRefused``.
"""

from billing.payments.demo import grant_demo
from billing.payments.intents import apply_payment_intent
from billing.payments.invoices import apply_invoice
from billing.payments.sessions import apply_session
from billing.payments.undo import adjust, apply_changed_intent

__all__ = [
    "adjust",
    "apply_changed_intent",
    "apply_invoice",
    "apply_payment_intent",
    "apply_session",
    "grant_demo",
]
