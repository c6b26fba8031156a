"""From a request to the plan of its answer: checks, scripted behaviours, shapes. No I/O."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field, replace
from types import ModuleType

from . import (
    anthropic_shapes,
    embeddings_shapes,
    images_shapes,
    openai_shapes,
    responses_shapes,
    transcription_shapes,
)
from .behaviour import Behaviour, Usage
from .http11 import Head
from .register import Register, Served
from .script import Frame, Plan, Refused

_COUNTING = "/v1/messages/count_tokens"
_ROUTES: dict[str, ModuleType] = {
    "/v1/chat/completions": openai_shapes,
    "/v1/responses": responses_shapes,
    "/v1/embeddings": embeddings_shapes,
    "/v1/images/generations": images_shapes,
    "/v1/audio/transcriptions": transcription_shapes,
    "/v1/messages": anthropic_shapes,
}
_KEPT_PLANS = 1024
_KEPT_BODY = 64 * 1024

_HTML = b"""<html>\r
<head><title>%d</title></head>\r
<body>\r
<center><h1>%d</h1></center>\r
<hr><center>cloudflare</center>\r
</body>\r
</html>\r
"""


class Menu:
    """Which behaviour the next request gets. Programmed by the test's thread, read by the
    server's.

    In order: the first one-shot behaviour that fits the model, the model's own, the default. Only
    the default listens to in-band control.
    """

    def __init__(self, default: Behaviour) -> None:
        self._lock = threading.Lock()
        self._first = default
        self.clear()

    def clear(self) -> None:
        """Back to the default that it was made with."""
        with self._lock:
            self._default = self._first
            self._models: dict[str, Behaviour] = {}
            self._once: deque[tuple[str | None, Behaviour]] = deque()
            self.is_plain = True

    def script(self, behaviour: Behaviour, model: str | None) -> None:
        """Set the default, or the behaviour of one model."""
        with self._lock:
            self.is_plain = False
            if model is None:
                self._default = behaviour
            else:
                self._models[model] = behaviour

    def once(self, behaviours: tuple[Behaviour, ...], model: str | None) -> None:
        """Queue behaviours, each for one request."""
        with self._lock:
            self.is_plain = False
            self._once.extend((model, behaviour) for behaviour in behaviours)

    def choose(self, model: str, words: str) -> Behaviour:
        """The behaviour for a request; a one-shot one is used up."""
        with self._lock:
            for entry in self._once:
                if entry[0] in (None, model):
                    self._once.remove(entry)
                    return entry[1]
            if model in self._models:
                return self._models[model]
            return self._default.told(words)


@dataclass
class Kitchen:
    """Answers requests with plans, and writes them in the register.

    `keep_plans` gives the same plan, ids included, to the same bytes: for benchmarks.
    """

    menu: Menu
    register: Register
    openai_key: str
    anthropic_key: str
    models: tuple[str, ...]
    keep_plans: bool = False
    # Further keys that are taken, and what each gets in place of what the menu says.
    keys: dict[str, Behaviour | None] = field(default_factory=dict)
    _plans: dict[tuple[str, str, bytes], tuple[Plan, str, bool]] = field(default_factory=dict)

    def serve(self, head: Head, body: bytes) -> Served:
        """The record of this request, with the plan of its answer."""
        number = self.register.next_number()
        key = (head.path, head.headers.get("anthropic-version", ""), body)
        kept = self._plans.get(key) if self.keep_plans and self.menu.is_plain else None
        if kept is not None and self._is_verified(head):
            plan, model, stream = kept
        else:
            plan, model, stream = self._cook(head, body, number)
            keep = self.keep_plans and plan.status == 200 and self.menu.is_plain
            if keep and len(body) < _KEPT_BODY:
                if len(self._plans) >= _KEPT_PLANS:
                    self._plans.clear()
                self._plans[key] = (plan, model, stream)
        served = Served(
            number, _protocol(head), head.method, head.path, head.headers, head.raw, body, plan,
            model, stream,
        )  # fmt: skip
        self.register.begin(served)
        return served

    def _cook(self, head: Head, body: bytes, number: int) -> tuple[Plan, str, bool]:
        shapes, key = self._provider(head)
        given = _key_given(head)
        try:
            if given in self.keys:
                key = given
            shapes.check_key(head.headers, key)
            head.verified = True
            if head.method == "GET" and head.path.startswith("/v1/models"):
                return self._models_answer(shapes, head.path), "", False
            if (head.method, head.path) == ("POST", _COUNTING):
                return self._count_answer(head, body, key)
            if head.method != "POST" or head.path not in _ROUTES:
                raise Refused(404, f"Invalid URL ({head.method} {head.path})", code="unknown_url")
            ask = shapes.read(body, head.headers)
        except Refused as refused:
            return _refusal(shapes, refused, Behaviour()), "", False
        behaviour = self.keys.get(given) or self.menu.choose(ask.model, ask.words)
        fault = behaviour.fault
        if fault and fault.does == "error" and (not ask.stream or fault.at == "status"):
            behaviour = replace(behaviour, status=fault.status, message=fault.message, fault=None)
        if behaviour.redirect and behaviour.status == 200:
            behaviour = replace(behaviour, status=307)
        if behaviour.status != 200:
            return self._failure(shapes, behaviour, key), ask.model, ask.stream
        plan: Plan = shapes.plan(ask, behaviour, number)
        if fault and fault.does == "error":
            message = _message(fault.message, key)
            plan.error_frame = shapes.error_event(Refused(fault.status, message))
        if behaviour.line_end != "\n" and plan.streamed:
            _end_lines(plan, behaviour.line_end.encode())
        return plan, ask.model, ask.stream

    def _provider(self, head: Head) -> tuple[ModuleType, str]:
        if _protocol(head) == "openai":
            return _ROUTES.get(head.path, openai_shapes), self.openai_key
        return anthropic_shapes, self.anthropic_key

    def _is_verified(self, head: Head) -> bool:
        if not head.verified:
            shapes, key = self._provider(head)
            try:
                shapes.check_key(head.headers, key)
            except Refused:
                return False
            head.verified = True
        return True

    def _models_answer(self, shapes: ModuleType, path: str) -> Plan:
        name = path.removeprefix("/v1/models").removeprefix("/")
        if name and name not in self.models:
            raise Refused(404, f"The model '{name}' does not exist", code="model_not_found")
        answer = shapes.model(name) if name else shapes.models(self.models)
        free = Usage(input=0, output=0)
        return Plan([Frame(openai_shapes.dump(answer))], Behaviour(), usage=free)

    def _count_answer(self, head: Head, body: bytes, key: str) -> tuple[Plan, str, bool]:
        model = anthropic_shapes.read_count(body)
        behaviour = self.menu.choose(model, "")
        if behaviour.status != 200:
            return self._failure(anthropic_shapes, behaviour, key), model, False
        count = {"input_tokens": behaviour.usage.all_input}
        free = Usage(input=0, output=0)
        return Plan([Frame(openai_shapes.dump(count))], behaviour, usage=free), model, False

    def _failure(self, shapes: ModuleType, behaviour: Behaviour, key: str) -> Plan:
        message = _message(behaviour.message, key)
        if not message and behaviour.status == 401 and shapes is not anthropic_shapes:
            message = openai_shapes.wrong_key(key)
        return _refusal(shapes, Refused(behaviour.status, message), behaviour)


def _key_given(head: Head) -> str:
    bearer = head.headers.get("authorization", "").partition(" ")[2]
    return bearer or head.headers.get("x-api-key", "")


def _protocol(head: Head) -> str:
    if head.path.startswith("/v1/messages"):
        return "anthropic"
    if head.path in _ROUTES:
        return "openai"
    return "anthropic" if "anthropic-version" in head.headers else "openai"


def _message(message: str | None, key: str) -> str:
    return (message or "").replace("{key}", key)


def _refusal(shapes: ModuleType, refused: Refused, behaviour: Behaviour) -> Plan:
    headers = []
    if behaviour.retry_after is not None:
        headers.append(("retry-after", behaviour.retry_after))
    if behaviour.redirect:
        headers.append(("location", behaviour.redirect))
    if behaviour.html:
        body, content_type = _HTML % (refused.status, refused.status), "text/html"
    else:
        body, content_type = openai_shapes.dump(shapes.error(refused)), "application/json"
    return Plan(
        [Frame(body)],
        behaviour,
        status=refused.status,
        content_type=content_type,
        headers=tuple(headers),
    )


def _end_lines(plan: Plan, line_end: bytes) -> None:
    plan.frames = [
        Frame(frame.data.replace(b"\n", line_end), frame.tokens, frame.content)
        for frame in plan.frames
    ]
    for name in ("error_frame", "ping_frame", "open_line"):
        setattr(plan, name, getattr(plan, name).replace(b"\n", line_end))
