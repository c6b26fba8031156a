"""Sign-in through Google and GitHub."""

from allauth.socialaccount.adapter import DefaultSocialAccountAdapter


class SocialAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """allauth's own, and what it leaves to a project."""
