"""The mails that are to be sent about money, each once for its cause."""

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from accounts.models import User


class Letter(models.Model):
    """A mail, kept in the transaction of its cause and sent after it.

    ``key`` is made from the cause (``"receipt:in_1"``): however often that is heard of, there is
    one mail. ``about`` is what the template is filled with, already in words, and holds no
    address: the mail goes to the one the user has when it is sent. Written by ``billing.letters``
    alone, which forgets it some months after it was sent.
    """

    key = models.CharField(max_length=300, unique=True)
    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    template = models.CharField(max_length=50)
    about = models.JSONField(default=dict)
    created = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["created"],
                condition=models.Q(sent_at__isnull=True),
                name="billing_letter_unsent",
            ),
        ]

    def __str__(self) -> str:
        return self.key
