"""Second factors and passkeys."""

from allauth.mfa.adapter import DefaultMFAAdapter

from accounts import crypto


class MFAAdapter(DefaultMFAAdapter):
    """Secrets of second factors are encrypted at rest."""

    def encrypt(self, text: str) -> str:
        return crypto.encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        return crypto.decrypt(encrypted_text)
