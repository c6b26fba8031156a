"""Where allauth asks us: named in ``config.people``."""

from accounts.adapters.account import AccountAdapter
from accounts.adapters.mfa import MFAAdapter
from accounts.adapters.oidc import OIDCAdapter
from accounts.adapters.social import SocialAdapter

__all__ = ["AccountAdapter", "MFAAdapter", "OIDCAdapter", "SocialAdapter"]
