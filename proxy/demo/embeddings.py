"""The demo provider's embeddings: vectors that mean nothing, the same for the same input."""

import base64
import hashlib
import math
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from proxy.demo.words import tokens_of

_DIMENSIONS = 256
_MOST_DIMENSIONS = 4_096


def answer(body: Mapping[str, Any], call_id: str, stream: bool) -> Iterator[bytes]:
    given = body["input"]
    single = isinstance(given, str) or isinstance(given[0], int)
    inputs = [given] if single else given
    wanted = body.get("dimensions")
    size = wanted if type(wanted) is int and 0 < wanted <= _MOST_DIMENSIONS else _DIMENSIONS
    packed = body.get("encoding_format") == "base64"
    asked = sum(len(one) if isinstance(one, list) else tokens_of(one) for one in inputs)
    vectors = [_vector(one, size) for one in inputs]
    yield orjson.dumps(
        {
            "object": "list",
            "data": [
                {"object": "embedding", "index": place, "embedding": _packed(v) if packed else v}
                for place, v in enumerate(vectors)
            ],
            "model": "demo",
            "usage": {"prompt_tokens": asked, "total_tokens": asked},
        }
    )


def _vector(value: Any, size: int) -> list[float]:
    """A vector of length 1, drawn from the input's hash."""
    seed = hashlib.shake_256(orjson.dumps(value)).digest(size)
    numbers = [byte - 127.5 for byte in seed]
    length = math.sqrt(sum(number * number for number in numbers))
    return [number / length for number in numbers]


def _packed(vector: list[float]) -> str:
    """As OpenAI packs it: 32-bit floats, little-endian, in base64."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
