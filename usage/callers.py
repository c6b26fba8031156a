"""Who is behind a credential, for calls that cost nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from accounts.presented import Presented
from ledger.database import Statement, verb

_SQL = """
SELECT u.id, p.allowed_models
FROM accounts_user u
LEFT JOIN billing_entitlement e ON e.user_id = u.id
JOIN billing_plan p
    ON p.id = coalesce(e.plan_id, (SELECT id FROM billing_plan WHERE is_default))
WHERE u.is_active AND u.id = coalesce(
    (SELECT k.user_id FROM accounts_apikey k
        WHERE k.digest = %(digest)s AND k.revoked_at IS NULL
          AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())),
    accounts_signed_in(%(token)s, %(session)s))
UNION ALL SELECT NULL, NULL
LIMIT 1
"""


@dataclass(frozen=True)
class Caller:
    """A user, and the models their plan includes (none named: all)."""

    user: int
    allowed_models: Sequence[str]

    def may_call(self, model: str) -> bool:
        return not self.allowed_models or model in self.allowed_models


@verb
def caller(*, credential: Presented) -> Statement[Caller]:
    """The user of a valid key, or who is signed in. Raises ``NotAuthenticated``."""

    def read(row: Sequence[Any]) -> Caller:
        if row[0] is None:
            raise credential.refusal
        return Caller(*row)

    return Statement(
        _SQL,
        {
            "digest": credential.digest,
            "token": credential.token,
            "session": credential.session,
        },
        read,
    )
