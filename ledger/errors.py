"""The ledger's refusals, by the SQLSTATE its functions raise.

========  ===================================================
FB400     an amount or key that can't be
FB402     the wallet has too little: ``details["available"]``
FB403     the wallet is frozen: ``details["owed"]``
FB404     no such account, hold, grant or capture
FB409     the key was used with another input
FB410     the hold has ended: ``details["state"]``
FB416     more than is left to refund or revoke
========  ===================================================
"""

import json
from typing import Any

import psycopg

from common import errors
from common.money import format_credits


def details(error: psycopg.Error) -> dict[str, Any]:
    """What the function said besides its message."""
    text = error.diag.message_detail
    return json.loads(text) if text and text.startswith("{") else {}


def translate(error: psycopg.Error) -> errors.FareboxError | None:
    """The error a caller of the verbs sees; ``None`` for what is not the ledger's refusal."""
    said = details(error)
    match error.sqlstate:
        case "FB400":
            return errors.BadInput(error.diag.message_primary or "Bad input.")
        case "FB402":
            return errors.InsufficientCredits(
                f"{format_credits(said['needed'])} credits are needed and "
                f"{format_credits(said['available'])} are available."
            )
        case "FB403":
            return errors.WalletFrozen(
                "A refunded or disputed payment was already spent: "
                f"{format_credits(said['owed'])} credits are owed, and the wallet is frozen until "
                "they are settled. Buying credits settles them."
            )
        case "FB404":
            return errors.NotFound(error.diag.message_primary or "Not found.")
        case "FB409":
            return errors.IdempotencyConflict(
                "This idempotency key was used before with another input; use a new key."
            )
        case "FB410":
            return errors.AlreadyEnded(f"The hold was {said['state']} already.", should_retry=False)
        case "FB416":
            (left,) = said.values()
            return errors.BadInput(f"At most {format_credits(left)} credits are left to return.")
        case "23505" if error.diag.constraint_name == "ledger_transfer_one_a_key":
            # The key's transfer stands, though its stored answer was another's or is pruned.
            return errors.IdempotencyConflict("This idempotency key was used before.")
        case "55P03" | "57014" | "40P01":
            return errors.Unavailable("The wallet is busy; try again.", retry_after=1)
    return None
