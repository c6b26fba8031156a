"""The Celery application. Tasks live in each app's ``tasks.py``; the clock is ``schedule.py``."""

import os

from celery import Celery
from celery.signals import setup_logging

from config.schedule import SCHEDULE

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("farebox")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.beat_schedule = SCHEDULE
app.autodiscover_tasks()


@setup_logging.connect
def keep_our_logging(**_: object) -> None:
    """Celery would install its own handlers; Django's settings have configured ours already."""
