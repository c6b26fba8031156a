"""The Celery application. Tasks live in each app's ``tasks.py``; the clock is ``schedule.py``."""

import os

from celery import Celery
from celery.signals import beat_init, setup_logging, worker_init

from config.observability.start import count_tasks, start
from config.schedule import SCHEDULE

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("farebox")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.beat_schedule = SCHEDULE
app.autodiscover_tasks()


@setup_logging.connect
def keep_our_logging(**_: object) -> None:
    """Celery would install its own handlers; Django's settings have configured ours already."""


@worker_init.connect
def watch_worker(**_: object) -> None:
    """Before its processes are forked, which inherit it."""
    start()
    count_tasks()


@beat_init.connect
def watch_beat(**_: object) -> None:
    start()
