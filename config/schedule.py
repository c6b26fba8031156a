"""What Celery beat runs, and how often (seconds). Every task may run twice or late unharmed."""

SCHEDULE = {
    "sweep": {"task": "usage.tasks.sweep", "schedule": 5.0, "options": {"expires": 5}},
    "expire-lots": {
        "task": "ledger.tasks.expire_lots",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "reconcile": {
        "task": "ledger.tasks.reconcile",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
}
