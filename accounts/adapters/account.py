"""Sign-up and sign-in by e-mail."""

from allauth.account.adapter import DefaultAccountAdapter


class AccountAdapter(DefaultAccountAdapter):
    """allauth's own, and what it leaves to a project."""
