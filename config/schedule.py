"""What Celery beat runs, and how often (seconds), or when (UTC). Every task may run twice or late
unharmed."""

from celery.schedules import crontab

SCHEDULE = {
    "sweep": {"task": "usage.tasks.sweep", "schedule": 5.0, "options": {"expires": 5}},
    "expire-lots": {
        "task": "ledger.tasks.expire_lots",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "forget-allowance-ranges": {
        "task": "billing.tasks.forget_ranges",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
    "tidy": {
        "task": "accounts.tasks.tidy",
        "schedule": crontab(hour=4, minute=10),
        "options": {"expires": 3600},
    },
    "reconcile": {
        "task": "ledger.tasks.reconcile",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
}
