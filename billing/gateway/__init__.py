"""Stripe, as Farebox speaks with it: ``client`` asks, ``mirror`` keeps what was answered in
dj-stripe's tables. Nothing here knows of credits."""
