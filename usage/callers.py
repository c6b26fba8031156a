"""Who is behind a key, for calls that cost nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from common.errors import NotAuthenticated
from ledger.database import Statement, verb

_SQL = """
SELECT u.id, p.allowed_models
FROM accounts_apikey k
JOIN accounts_user u ON u.id = k.user_id AND u.is_active
LEFT JOIN billing_entitlement e ON e.user_id = u.id
JOIN billing_plan p
    ON p.id = coalesce(e.plan_id, (SELECT id FROM billing_plan WHERE is_default))
WHERE k.digest = %(digest)s AND k.revoked_at IS NULL
  AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())
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
def caller(*, digest: bytes) -> Statement[Caller]:
    """The user of a valid key. Raises ``NotAuthenticated``."""

    def read(row: Sequence[Any]) -> Caller:
        if row[0] is None:
            raise NotAuthenticated("This API key is not valid: unknown, revoked or expired.")
        return Caller(*row)

    return Statement(_SQL, {"digest": digest}, read)
