"""People and their API keys."""

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from common.ids import uuid7


class UserManager(BaseUserManager["User"]):
    """Makes users; e-mail addresses are kept in lower case."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        if not email:
            raise ValueError("A user needs an e-mail address.")
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email__iexact=username)


class User(AbstractUser):
    """Somebody who can sign in. The e-mail address is the login; two never differ by case only."""

    username = None  # type: ignore[assignment]
    email = models.EmailField(_("e-mail address"), unique=True)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects: ClassVar[UserManager] = UserManager()  # type: ignore[assignment]

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(Lower("email"), name="accounts_user_email_any_case")
        ]

    def __str__(self) -> str:
        return self.email


def default_scopes() -> list[str]:
    return ["ai", "read"]


class ApiKey(models.Model):
    """A bearer key. The secret itself is shown once, at its making; see ``accounts.keys``.

    ``monthly_cap`` (microcredits) bounds what calls with this key may spend in a calendar month
    (UTC); it is enforced in ``usage_begin``, under the wallet's lock. ``last_used_at`` is kept to
    the minute, to spare the paid call a write.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12, editable=False)
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    scopes = ArrayField(models.CharField(max_length=20), default=default_scopes)
    monthly_cap = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering: ClassVar = ["-created_at"]
        verbose_name = "API key"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(monthly_cap__isnull=True) | models.Q(monthly_cap__gte=0),
                name="accounts_apikey_cap_not_negative",
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @property
    def is_active(self) -> bool:
        """Neither revoked nor expired."""
        return self.revoked_at is None and (
            self.expires_at is None or self.expires_at > timezone.now()
        )


class SigningKey(models.Model):
    """A private key of this deployment, encrypted; see ``accounts.signing``."""

    purpose = models.CharField(max_length=20)
    pem = models.TextField(editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return f"{self.purpose} {self.pk}"


class Backup(models.Model):
    """A user's settings as their client encrypted them; nothing here can read them.

    ``version`` counts the writes, and with them the ETag changes.
    """

    user = models.OneToOneField(User, models.CASCADE, primary_key=True, related_name="backup")
    blob = models.BinaryField()
    version = models.PositiveBigIntegerField(default=1)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"{self.user_id}, {len(self.blob)} bytes"


class TokenFamily(models.Model):
    """What one sign-in of an extension has led to: every token that came of it by renewal.

    ``accounts.families`` ends one whole when one of its spent refresh tokens is shown again
    (RFC 9700, section 4.14.2).
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="token_families")
    client = models.CharField(max_length=100)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name_plural = "token families"

    def __str__(self) -> str:
        return f"{self.client} {self.pk}"


class FamilyToken(models.Model):
    """A token's place in its family, by the hash that allauth keeps; ``spent`` by a renewal.

    Kept after the token itself is gone, so that a spent one is known when it comes back.
    """

    hash = models.CharField(max_length=64, primary_key=True)
    family = models.ForeignKey(TokenFamily, models.CASCADE, related_name="tokens")
    spent_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.family_id} {self.hash[:8]}"
