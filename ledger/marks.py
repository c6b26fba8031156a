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
