"""Prices worked out by hand: plain integers, from the providers' price pages.

Thousandths of a US dollar per million tokens. A credit costs $0.10, so one of these thousandths
is a hundredth of a microcredit a token: $0.001 / 1,000,000 / $0.10 * 1,000,000 = 0.01.
"""

PRICES = {
    "gpt-4o-mini": {"input": 150, "cached": 75, "write": 150, "write_1h": 150, "output": 600},
    "gpt-4o": {
        "input": 2_500, "cached": 1_250, "write": 2_500, "write_1h": 2_500, "output": 10_000,
    },
    "claude-sonnet-4-5": {
        "input": 3_000, "cached": 300, "write": 3_750, "write_1h": 6_000, "output": 15_000,
    },
    # Above 200,000 input tokens, for all tokens of the call.
    "claude-sonnet-4-5 long": {
        "input": 6_000, "cached": 600, "write": 7_500, "write_1h": 12_000, "output": 22_500,
    },
    "claude-haiku-4-5": {
        "input": 1_000, "cached": 100, "write": 1_250, "write_1h": 2_000, "output": 5_000,
    },
    "gpt-4.1": {"input": 2_000, "cached": 500, "write": 2_000, "write_1h": 2_000, "output": 8_000},
    "gpt-4.1-mini": {"input": 400, "cached": 100, "write": 400, "write_1h": 400, "output": 1_600},
    "claude-opus-4-1": {
        "input": 15_000, "cached": 1_500, "write": 18_750, "write_1h": 30_000, "output": 75_000,
    },
    "claude-opus-4-5": {
        "input": 5_000, "cached": 500, "write": 6_250, "write_1h": 10_000, "output": 25_000,
    },
    # A model with a price for writing its cache, which most of OpenAI's have not.
    "gpt-5.6-luna": {"input": 200, "cached": 20, "write": 250, "write_1h": 250, "output": 1_200},
}  # fmt: skip


def microcredits(model: str, **tokens: int) -> int:
    """What so many tokens of each kind cost, rounded up once. Kinds are disjoint."""
    hundredths = sum(PRICES[model][kind] * count for kind, count in tokens.items())
    return -(-hundredths // 100)
