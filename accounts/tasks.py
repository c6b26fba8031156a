"""What Celery runs for accounts; when is said in ``config.schedule``."""

from datetime import timedelta

import structlog
from celery import Task, shared_task
from django.conf import settings
from django.db import connection
from django.utils import timezone

from accounts import crypto, families, mail, squatters

log = structlog.get_logger(__name__)

# Seconds until the next attempt: about half an hour in all, twice as long as any code lives.
PAUSES = (5, 15, 30, 60, 120, 240, 480, 900)


@shared_task(bind=True, max_retries=len(PAUSES), reject_on_worker_lost=True)
def send_mail(self: Task, sealed: str) -> None:
    """Send what ``mail.Queue`` has queued, again and again while the mail server is away.

    A worker that dies in the middle leaves it to another, so a mail may come twice. The log tells
    of a mail by the task's id, and says neither whom it was for nor what was in it.
    """
    task = self.request.id
    try:
        mail.send(sealed)
    except crypto.Unreadable:
        log.error("a mail is lost: SECRET_KEY has changed since it was queued", task=task)
    except mail.NotSent as error:
        attempt = self.request.retries
        if error.lasting or attempt >= len(PAUSES):
            log.error("a mail could not be sent", task=task, error=str(error))
            return
        log.warning("a mail is not sent yet", task=task, error=str(error))
        raise self.retry(exc=error, countdown=PAUSES[attempt]) from None


# In SQL, because deleting by models would load and decode each row to tell of its end; what goes
# here has given nobody access for long. A row may be in the list just before its session is saved.
_SESSIONS = "DELETE FROM django_session WHERE expire_date < %s"
_LISTED = """
DELETE FROM usersessions_usersession u
WHERE u.created_at < %s
  AND NOT EXISTS (SELECT FROM django_session d WHERE d.session_key = u.session_key)
"""
# What never became a sign-in is in no list: a code that nobody typed, a sign-up left half-way. It
# may hold an address, and is of no use once the code has expired. A session ends SESSION_SECONDS
# after it was last saved.
_PENDING = """
DELETE FROM django_session d
WHERE d.expire_date < %s
  AND NOT EXISTS (SELECT FROM usersessions_usersession u WHERE u.session_key = d.session_key)
"""
PENDING_FOR = timedelta(days=1)


@shared_task
def tidy() -> dict[str, int]:
    """Remove what has ended: sessions, their places in the lists, spent tokens, and sign-ups that
    nobody verified. Answers how many of each."""
    now = timezone.now()
    pending = now - PENDING_FOR + timedelta(seconds=settings.SESSION_COOKIE_AGE)
    with connection.cursor() as cursor:
        cursor.execute(_SESSIONS, [now])
        sessions = cursor.rowcount
        cursor.execute(_PENDING, [pending])
        sessions += cursor.rowcount
        cursor.execute(_LISTED, [now - timedelta(hours=1)])
        listed = cursor.rowcount
    return {
        "sessions": sessions,
        "listed": listed,
        "tokens": families.forget_expired(),
        "sign_ups": squatters.forget_unverified(),
    }
