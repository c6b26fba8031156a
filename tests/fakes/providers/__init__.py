"""Fake OpenAI and Anthropic over a real loopback socket: chat completions, Responses, embeddings,
images, transcriptions, messages, counts of tokens and models.

For tests, `FakeProviders` in a thread::

    with FakeProviders() as fake:
        fake.script(Behaviour(events=20, delay=0.01), model="gpt-4o-mini")
        fake.once(Behaviour(status=429, retry_after="1"))
        fake.once(Behaviour(fault=Fault.cut(3, how="reset")))
        ...  # point a client, or the proxy, at fake.openai_base_url with fake.openai_key
        fake.wait_until(lambda: fake.open == 0)
        assert fake.requests[-1].client_closed_early
        assert fake.bill().output == 3

For benchmarks, a process of its own::

    python -m tests.fakes.providers --port 9100

whose answers are chosen in-band, by words in the last user message such as
"events=20 delay_ms=5 size=8" (see `Behaviour.told` for all of them; a message without such words
gets five words at once). `GET /_fake/bill` answers its totals as JSON, and `GET /_fake/reset` sets
them to zero. The same words work with `FakeProviders` while no script was set for the request.

The bill is that of a provider which charges for what it generated: nothing for an error, the
whole input once the first event went out, and the output up to the last whole event that was
sent, whoever broke off. Sent means handed to the socket: without a `delay`, a short answer is sent
whole before a client can leave. The content tokens of each event are exact, see `Usage`.
"""

from .behaviour import Behaviour, Fault, ToolCall, Usage
from .handle import ANTHROPIC_KEY, MODELS, OPENAI_KEY, FakeProviders
from .register import Bill, Served

__all__ = [
    "ANTHROPIC_KEY",
    "MODELS",
    "OPENAI_KEY",
    "Behaviour",
    "Bill",
    "FakeProviders",
    "Fault",
    "Served",
    "ToolCall",
    "Usage",
]
