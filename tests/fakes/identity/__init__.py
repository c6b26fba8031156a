"""Fake Google and GitHub, as OAuth servers on loopback sockets with pages of their own.

::

    with FakeGoogle() as google:
        google.allow("http://localhost:8000/accounts/google/login/callback/")
        ada = google.add(Person("ada@example.com", "Ada"))
        ...  # point the application at google.url with google.client_id and google.client_secret
        ada.verified = False                # from the next sign-in on
        google.once(Fault.EXPIRED_CODE)     # the next sign-in fails so
        google.automatic = ada              # no page: she is always signed in, and always agrees

The authorize page has a button for each person and one to cancel. As with the real ones, a client
that is not known or a redirect that was not allowed is an error page and never a redirect; a code
works once, for the client, redirect and PKCE verifier it was made for, and ends what it gave when
it is shown again. What they answer was taken from Google's "OpenID Connect" and GitHub's
"Authorizing OAuth apps" pages.
"""

from .github import FakeGitHub
from .google import FakeGoogle
from .issuer import Fault
from .people import Person

__all__ = ["FakeGitHub", "FakeGoogle", "Fault", "Person"]
