"""The mark under which a wallet is low; ``ledger/sql`` keeps when it became so."""

from ledger.database import Statement, verb


@verb
def set_low_mark(*, account: int, mark: int | None) -> Statement[None]:
    """Call a wallet low while less than ``mark`` microcredits are available; ``None``: never.

    One that has less already is low from now on. Raises ``NotFound``.
    """
    return Statement(
        "SELECT ledger_set_low_mark(%(account)s, %(mark)s::bigint)",
        {"account": account, "mark": mark},
        lambda _row: None,
    )


@verb
def wanted_more(*, owner: int) -> Statement[bool]:
    """Somebody wanted credits that the wallet of the user ``owner`` does not have: under its mark
    it is low from now on. Answers whether that is new. For whoever rolls back what was refused;
    ``usage_begin`` notes it itself."""
    return Statement(
        "SELECT ledger_wanted_more(%(owner)s)", {"owner": owner}, lambda row: bool(row[0])
    )
