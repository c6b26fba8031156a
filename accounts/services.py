"""Service keys: with one, a back end of the operator's moves users' credits (``/api/credits``).

They belong to the deployment and not to whoever made them, so that no back end stops when somebody
leaves: to a user that nobody can sign in as, under a domain that can't be (RFC 2606). Staff may
make some in their own name, too. A key is good for as long as its owner is staff.

A service is known by its key's id: what it holds and takes is its own alone. So a secret that has
leaked, or is due to change, is renewed and the key stays.
"""

import secrets

from django.db import transaction

from accounts import access, keys
from accounts.models import ApiKey, User
from accounts.verbs import STAFF_SCOPES, IssuedKey, issue_key

NOWHERE = "services.invalid"


def owner() -> User:
    """The user whose service keys are the deployment's, made on first use."""
    # Staff, so it is no sign-up of somebody who wanted to be it. Two made at once are as good.
    found = User.objects.filter(email__endswith=f"@{NOWHERE}", is_staff=True, is_active=True)
    return found.order_by("pk").first() or User.objects.create_user(
        f"keys-{secrets.token_hex(4)}@{NOWHERE}", is_staff=True
    )


def issue(*, name: str) -> IssuedKey:
    """A new service key of the deployment's. Raises ``BadInput`` when it has too many."""
    return issue_key(user=owner(), name=name, scopes=sorted(STAFF_SCOPES))


def renew(*, key: ApiKey) -> IssuedKey | None:
    """Give a service key another secret: the old one stops at once, and what the service has moved
    stays its own. ``None`` for a key that has ended, or is not only a service key."""
    secret = keys.new_key()
    with transaction.atomic():
        found = ApiKey.objects.select_for_update(no_key=True).get(pk=key.pk)
        if not (found.is_active and is_service_key(found)):
            return None
        found.prefix, found.digest = keys.shown_part(secret), keys.digest(secret)
        found.save(update_fields=["prefix", "digest"])
        access.announce(found.user_id)
    return IssuedKey(found, secret)


def is_service_key(key: ApiKey) -> bool:
    """Whether it is one and nothing else: a key that opens its owner's account, too, is theirs."""
    return set(key.scopes) == STAFF_SCOPES
