"""What Celery beat runs, and how often (seconds), or when (UTC). Every task may run twice or late
unharmed."""

from celery.schedules import crontab

SCHEDULE = {
    "sweep": {"task": "usage.tasks.sweep", "schedule": 5.0, "options": {"expires": 5}},
    "sweep-jobs": {"task": "jobs.tasks.sweep", "schedule": 2.0, "options": {"expires": 2}},
    "forget-jobs": {
        "task": "jobs.tasks.forget",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
    "forget-call-keys": {
        "task": "usage.tasks.forget_keys",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
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
    "close-customers": {
        "task": "billing.tasks.close_customers",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "forget-strangers": {
        "task": "billing.tasks.forget_strangers",
        "schedule": crontab(hour=4, minute=40),
        "options": {"expires": 3600},
    },
    "give-up-orders": {
        "task": "billing.tasks.give_up_orders",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
    "renew-demo": {
        "task": "billing.tasks.renew_demo",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "roll-over": {
        "task": "billing.tasks.roll_over",
        "schedule": crontab(minute=0),
        "options": {"expires": 3600},
    },
    "attend-low": {
        "task": "billing.tasks.attend_low",
        "schedule": 10.0,
        "options": {"expires": 10},
    },
    "mark-low": {
        "task": "billing.tasks.mark_low",
        "schedule": 600.0,
        "options": {"expires": 600},
    },
    "send-letters": {
        "task": "billing.tasks.send_letters",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "forget-letters": {
        "task": "billing.tasks.forget_letters",
        "schedule": crontab(hour=4, minute=20),
        "options": {"expires": 3600},
    },
    "catch-up": {
        "task": "billing.tasks.catch_up",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
    "lapse": {
        "task": "billing.tasks.lapse",
        "schedule": 60.0,
        "options": {"expires": 60},
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
