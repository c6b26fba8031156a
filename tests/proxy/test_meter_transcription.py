"""What the meter reads out of transcriptions."""

import json
from typing import Any

import pytest

from proxy.meter import TranscriptionMeter
from usage.prices import Usage

LIKELY = 70


def read(usage: Any) -> TranscriptionMeter:
    meter = TranscriptionMeter(likely=LIKELY)
    meter.plain(json.dumps({"text": 'He said "usage": 7', "usage": usage}).encode())
    return meter


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (
            {"type": "tokens", "input_tokens": 23, "output_tokens": 4, "total_tokens": 27,
             "input_token_details": {"text_tokens": 3, "audio_tokens": 20}},
            Usage(input=23, audio=20, output=4),
        ),
        ({"input_tokens": 23, "output_tokens": 4}, Usage(input=23, audio=23, output=4)),
        (
            {"input_tokens": 23, "output_tokens": 4, "input_token_details": None},
            Usage(input=23, audio=23, output=4),
        ),
        (
            {"input_tokens": 23, "output_tokens": 4, "input_token_details": {"text_tokens": 99}},
            Usage(input=23, audio=0, output=4),
        ),
    ],
    ids=["OpenAI's", "without details", "with none", "nonsense"],
)  # fmt: skip
def test_sound_and_text_are_told_apart(usage: Any, expected: Usage) -> None:
    meter = read(usage)
    assert (meter.tokens, meter.exact, meter.done) == (expected, True, True)


@pytest.mark.parametrize(
    "usage",
    [None, {"type": "duration", "seconds": 9}, {"input_tokens": -1, "output_tokens": 4},
     {"input_tokens": 23}, {"output_tokens": 4}, {"input_tokens": True, "output_tokens": 4}],
    ids=repr,
)  # fmt: skip
def test_what_counts_no_tokens_is_an_estimate(usage: Any) -> None:
    meter = read(usage)
    assert meter.tokens == Usage(input=LIKELY, audio=LIKELY)
    assert (meter.input_known, meter.exact) == (False, False)
    assert meter.text_bytes == len(r"He said \"usage\": 7")
