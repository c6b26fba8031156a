"""The free plan's monthly allowance: whom it is granted to, and how often.

It is granted for the first time when somebody who signed up by themselves has a verified e-mail
address, at most ``FREE_ALLOWANCES_PER_RANGE`` times a UTC day from one address range (IPv4 /24,
IPv6 /48), and once for a mailbox: dots and ``+tags`` make no other person. Who comes too late, or
from a mailbox that has had it, has an account like any other, with nothing in it; sign-in on
another day tries again. Whom the operator made gets what the operator gives.

The count is kept in PostgreSQL, in the transaction of the grant and under the lock of the range's
row: it is exact, however many claim at once. Ranges and mailboxes are kept as keyed hashes
(HMAC-SHA256 under ``SECRET_KEY``), a range's also of the day and for two days only. A mailbox's
stays when its account is deleted, or leaving and coming back would pay. It holds nothing to read,
belongs to no user's row, and can be told only by somebody who has the key and knows the address.
"""

from datetime import UTC, date, datetime, timedelta

import structlog
from allauth.account.models import EmailAddress
from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.limits import Address, network_of
from accounts.models import User
from billing.models import Allowance, AllowancePerson, AllowanceRange, Plan
from common.errors import FareboxError
from ledger import verbs
from ledger.models import Grant

log = structlog.get_logger(__name__)

KEPT = timedelta(days=2)
DOTS_MEAN_NOTHING = {"gmail.com": "gmail.com", "googlemail.com": "gmail.com"}


class _Refused(Exception):
    """Rolls a claim back; the text is for the log."""


def eligible() -> QuerySet[User]:
    """Whom the allowance of a further month is for: they have claimed a first one."""
    return User.objects.filter(is_active=True, allowance__claimed_at__isnull=False)


def expect(user: User) -> None:
    """Somebody signed up by themselves and may claim, once their address is verified."""
    Allowance.objects.bulk_create([Allowance(user=user)], ignore_conflicts=True)


def key_of(user: int, now: datetime) -> str:
    """The ledger's key of a user's allowance for the month of ``now``."""
    return f"allowance:{user}:{now.astimezone(UTC):%Y-%m}"


def month_end(now: datetime) -> datetime:
    """The first instant of the next month, UTC."""
    first = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1)


def claim(user: User, address: Address) -> bool:
    """Grant ``user``, who calls from ``address``, the first allowance if there is one for them.

    Answers whether this call was the one that did. Never raises for a busy database or for what
    stands against it: a sign-in goes on, and the next one tries again.
    """
    if not Allowance.objects.filter(user=user, claimed_at=None).exists():
        return False
    now = timezone.now()
    try:
        _require_place(address, now.astimezone(UTC).date())  # a farm costs no transaction each
        with transaction.atomic():
            return _claim(user, address, now)
    except _Refused as refused:
        log.info("no allowance", user=user.pk, because=str(refused))
    except (OperationalError, FareboxError) as error:
        log.warning("allowance not claimed, next sign-in tries again", user=user.pk,
                    error=type(error).__name__)  # fmt: skip
    return False


def _claim(user: User, address: Address, now: datetime) -> bool:
    """Locks in fixed order: the user's row here, the mailbox, the range, then the wallet."""
    row = Allowance.objects.select_for_update().filter(user=user, claimed_at=None).first()
    plan = Plan.objects.get(is_default=True)
    email = verified_email(user)
    if row is None or email is None or not plan.monthly_allowance:
        return False
    _take_person(email)
    _take_place(address, now.astimezone(UTC).date())
    verbs.grant(
        account=verbs.wallet_of(user=user.pk),
        amount=plan.monthly_allowance,
        kind=Grant.Kind.ALLOWANCE,
        key=key_of(user.pk, now),
        expires_at=month_end(now),
        metadata={"reason": "monthly allowance", "plan": plan.slug},
    )
    row.claimed_at = now
    row.save(update_fields=["claimed_at"])
    return True


def verified_email(user: User) -> str | None:
    """The address that stands for the person, if it is verified."""
    found = EmailAddress.objects.filter(user=user, verified=True).order_by("-primary", "pk").first()
    return found.email if found else None


def _take_person(email: str) -> None:
    mine = person_hash(email)
    earlier = [person_hash(email, secret) for secret in settings.SECRET_KEY_FALLBACKS]
    if AllowancePerson.objects.filter(hash__in=earlier).exists():
        raise _Refused("this mailbox has had one")
    with connection.cursor() as cursor:  # waits for another claim of the same mailbox
        cursor.execute(
            "INSERT INTO billing_allowanceperson (hash) VALUES (%s) ON CONFLICT DO NOTHING", [mine]
        )
        if cursor.rowcount == 0:
            raise _Refused("this mailbox has had one")


def _require_place(address: Address, day: date) -> None:
    """Raises for a range that had its share, before anybody waits for its lock."""
    most = settings.FREE_ALLOWANCES_PER_RANGE
    full = AllowanceRange.objects.filter(hash=range_hash(address, day), claims__gte=most)
    if most and full.exists():
        raise _Refused("the range had its share of today")


def _take_place(address: Address, day: date) -> None:
    """Count one claim of the range; its row stays locked until the grant is committed."""
    most = settings.FREE_ALLOWANCES_PER_RANGE
    if not most:
        return
    range_ = range_hash(address, day)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO billing_allowancerange AS r (hash, day, claims) VALUES (%s, %s, 1)"
            " ON CONFLICT (hash) DO UPDATE SET claims = r.claims + 1 WHERE r.claims < %s",
            [range_, day, most],
        )
        if cursor.rowcount == 0:
            raise _Refused("the range had its share of today")


def person_hash(email: str, secret: str | None = None) -> str:
    """The keyed hash of a mailbox, in hexadecimal; ``secret`` is ``SECRET_KEY`` if not given."""
    return salted_hmac(
        "billing.allowance.person", mailbox(email), secret, algorithm="sha256"
    ).hexdigest()


def range_hash(address: Address, day: date) -> str:
    """The keyed hash of an address range on a day, in hexadecimal."""
    text = f"{day} {network_of(address, ipv4=24, ipv6=48)}"
    return salted_hmac("billing.allowance.range", text, algorithm="sha256").hexdigest()


def mailbox(email: str) -> str:
    """An address without what leads to the same mailbox all the same: capitals, ``+tags``, and
    dots where the mail service is known to ignore them."""
    local, _, domain = email.strip().lower().rpartition("@")
    local = local.partition("+")[0] or local
    if domain in DOTS_MEAN_NOTHING:
        local, domain = local.replace(".", ""), DOTS_MEAN_NOTHING[domain]
    return f"{local}@{domain}"


def forget_ranges() -> int:
    """Delete what was counted more than two days ago. Answers how many rows."""
    old = (timezone.now() - KEPT).astimezone(UTC).date()
    return AllowanceRange.objects.filter(day__lt=old).delete()[0]
