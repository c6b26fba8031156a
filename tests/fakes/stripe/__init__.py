"""A stateful fake Stripe: API, pages, webhooks and a clock, in a process of its own.

It speaks API version 2026-05-27.dahlia as stripe-python 15 does. Who takes part:

- ``app`` wires everything; ``api`` is the HTTP side of ``routes``; ``control`` is ``/_fake/``.
- ``store`` keeps all objects; ``render`` shows them and does ``expand``; ``events`` records what
  happened, ``webhooks`` sends it.
- ``sessions``, ``payments``, ``invoices``, ``subscriptions``, ``changes``, ``portal`` and
  ``customers`` hold the verbs that API, pages and controls share. They raise ``StripeError``.
- ``clock`` and ``engine`` do what time makes due: renewals, retries, ends of trials, expiries.
- ``handle.FakeStripe`` starts it for a test.
"""
