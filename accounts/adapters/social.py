"""Sign-in through Google and GitHub."""

from allauth.socialaccount.adapter import DefaultSocialAccountAdapter


class SocialAdapter(DefaultSocialAccountAdapter):
    """allauth's own, and what it leaves to a project."""
