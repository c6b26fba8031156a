"""Sign-in through Google and GitHub."""

from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialLogin
from allauth.socialaccount.providers.base import AuthProcess
from django.contrib import messages
from django.http import HttpRequest

from accounts import disposable, squatters


class SocialAdapter(DefaultSocialAccountAdapter):
    """allauth's own, and what it leaves to a project."""

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Somebody came back from a provider; ``sociallogin.user`` is theirs if they were here
        before, and otherwise what a sign-up would save."""
        if sociallogin.is_existing or sociallogin.state.get("process") == AuthProcess.CONNECT:
            return
        self._drop_refused(request, sociallogin)
        for address in sociallogin.email_addresses:
            if address.verified:
                squatters.give_way(address.email)

    def _drop_refused(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Without an address of theirs that will do, they are asked for another."""
        given = list(sociallogin.email_addresses)
        kept = [one for one in given if not disposable.is_refused(one.email)]
        if len(kept) == len(given):
            return
        sociallogin.email_addresses = kept
        if disposable.is_refused(sociallogin.user.email):
            sociallogin.user.email = kept[0].email if kept else ""
        if not kept:
            messages.warning(request, disposable.REFUSED)
