"""What may be asked of ``/ai-proxy``, checked field by field before anything is translated."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from common.errors import BadInput

LIMIT = "settings.max_tokens"  # where a client says how long an answer may be

_FIELDS = {"model", "messages", "settings"}
_SETTINGS = {
    "system", "max_tokens", "temperature", "top_p", "stop", "stream", "tools", "tool_choice",
}  # fmt: skip
_ROLES = {"system", "user", "assistant", "tool"}
_MESSAGE = {"role", "content", "tool_calls", "tool_call_id"}
_PARTS: Mapping[str, Collection[str]] = {
    "text": {"type", "text"},
    "image": {"type", "url", "detail"},
    "file": {"type", "url", "name"},
    "audio": {"type", "url"},
}
_DETAILS = {None, "auto", "low", "high"}
_AUDIO = {"audio/mpeg": "mp3", "audio/mp3": "mp3", "audio/wav": "wav", "audio/x-wav": "wav"}
_MOST_STOPS = 4


@dataclass(frozen=True)
class Data:
    """Data inside a request: its MIME type, and its bytes in base64."""

    kind: str
    base64: str


@dataclass(frozen=True)
class Part:
    """A piece of a message. ``where`` is its place in the request. ``url`` is the address as it was
    given; ``data`` what it holds, where it is a ``data:`` address."""

    kind: str
    where: str
    text: str = ""
    url: str = ""
    data: Data | None = None
    name: str = ""
    detail: str | None = None

    @property
    def audio_format(self) -> str:
        """ "mp3" or "wav"."""
        assert self.data is not None
        return _AUDIO[self.data.kind]


@dataclass(frozen=True)
class ToolCall:
    """A call the model made earlier: ``arguments`` is an object."""

    id: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Message:
    role: str
    parts: list[Part]
    tool_calls: list[ToolCall] = field(default_factory=list)
    tool_call_id: str = ""


@dataclass(frozen=True)
class Tool:
    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """A request that was checked. ``tool_choice`` is "auto", "none", "required" or empty;
    ``tool_name`` names the one tool that has to be called."""

    messages: list[Message]
    system: str
    stream: bool
    stop: list[str]
    numbers: Mapping[str, int | float]
    tools: list[Tool]
    tool_choice: str
    tool_name: str


def read(body: Mapping[str, Any]) -> Asked:
    """Raises ``BadInput`` naming the field."""
    _known(body, _FIELDS, "")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadInput("messages: must be a list with at least one message.", param="messages")
    settings = body.get("settings")
    settings = _object({} if settings is None else settings, "settings")
    _known(settings, _SETTINGS, "settings.")
    stream = settings.get("stream")
    if not isinstance(stream, bool | None):
        raise _wrong("settings.stream", "must be true or false")
    tools = _tools(settings.get("tools"))
    choice, name = _tool_choice(settings.get("tool_choice"), tools)
    return Asked(
        messages=[_message(one, f"messages[{n}]") for n, one in enumerate(messages)],
        system=_text(settings.get("system", ""), "settings.system"),
        stream=stream is not False,
        stop=_stop(settings.get("stop")),
        numbers=_numbers(settings),
        tools=tools,
        tool_choice=choice,
        tool_name=name,
    )


def _message(value: Any, where: str) -> Message:
    message = _object(value, where)
    _known(message, _MESSAGE, f"{where}.")
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise _wrong(f"{where}.role", f"must be one of {', '.join(sorted(_ROLES))}")
    calls = message.get("tool_calls")
    if calls is not None and (role != "assistant" or not isinstance(calls, list)):
        raise _wrong(f"{where}.tool_calls", "must be a list, in a message of the assistant")
    answered = message.get("tool_call_id")
    if (role == "tool") != (isinstance(answered, str) and bool(answered)):
        raise _wrong(
            f"{where}.tool_call_id", "must be the id of the call that a tool's message answers"
        )
    parts = _content(message.get("content"), f"{where}.content", optional=bool(calls))
    if role != "user" and any(part.kind != "text" for part in parts):
        raise _wrong(f"{where}.content", "may hold images, files and audio in user messages only")
    found = [_call(one, f"{where}.tool_calls[{n}]") for n, one in enumerate(calls or [])]
    return Message(role, parts, found, answered or "")


def _content(value: Any, where: str, *, optional: bool) -> list[Part]:
    if isinstance(value, str):
        return [Part("text", where, text=value)] if value or not optional else []
    if value is None and optional:
        return []
    if not isinstance(value, list):
        raise _wrong(where, "must be text, or a list of parts")
    return [_part(one, f"{where}[{n}]") for n, one in enumerate(value)]


def _part(value: Any, where: str) -> Part:
    part = _object(value, where)
    kind = part.get("type")
    if not isinstance(kind, str) or kind not in _PARTS:
        raise _wrong(f"{where}.type", f"must be one of {', '.join(_PARTS)}")
    _known(part, _PARTS[kind], f"{where}.")
    if kind == "text":
        return Part(kind, where, text=_text(part.get("text"), f"{where}.text"))
    url = _text(part.get("url"), f"{where}.url")
    data = _data(url)
    if data is None and not (kind == "image" and url.startswith("https://")):
        allowed = "a data: address in base64" + (", or an https one" if kind == "image" else "")
        raise _wrong(f"{where}.url", f"must be {allowed}")
    if data and kind == "image" and not data.kind.startswith("image/"):
        raise _wrong(f"{where}.url", "must hold an image")
    if data and kind == "audio" and data.kind not in _AUDIO:
        raise _wrong(f"{where}.url", "must hold audio/mpeg or audio/wav")
    detail = part.get("detail")
    if not isinstance(detail, str | None) or detail not in _DETAILS:
        raise _wrong(f"{where}.detail", "must be auto, low or high")
    name = _text(part.get("name", "file"), f"{where}.name")
    return Part(kind, where, url=url, data=data, name=name, detail=detail)


def _data(url: str) -> Data | None:
    head, comma, data = url.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        return None
    kind = head.removeprefix("data:").split(";")[0].lower()
    return Data(kind, data) if "/" in kind else None


def _call(value: Any, where: str) -> ToolCall:
    call = _object(value, where)
    _known(call, {"type", "id", "name", "arguments"}, f"{where}.")
    return ToolCall(
        _text(call.get("id"), f"{where}.id"),
        _text(call.get("name"), f"{where}.name"),
        _object(call.get("arguments"), f"{where}.arguments"),
    )


def _tools(value: Any) -> list[Tool]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise _wrong("settings.tools", "must be a list")
    tools = []
    for place, one in enumerate(value):
        where = f"settings.tools[{place}]"
        tool = _object(one, where)
        _known(tool, {"name", "description", "parameters"}, f"{where}.")
        parameters = tool.get("parameters", {"type": "object", "properties": {}})
        tools.append(
            Tool(
                _text(tool.get("name"), f"{where}.name"),
                _text(tool.get("description", ""), f"{where}.description"),
                _object(parameters, f"{where}.parameters"),
            )
        )
    return tools


def _tool_choice(value: Any, tools: list[Tool]) -> tuple[str, str]:
    where = "settings.tool_choice"
    if value is None:
        return "", ""
    if not tools:
        raise _wrong(where, "needs settings.tools")
    if isinstance(value, str) and value in {"auto", "none", "required"}:
        return value, ""
    name = value.get("name") if isinstance(value, dict) else None
    if not isinstance(name, str) or name not in {tool.name for tool in tools}:
        raise _wrong(where, 'must be auto, none, required, or {"name": …} of a tool')
    return "", name


def _stop(value: Any) -> list[str]:
    words = [value] if isinstance(value, str) else value
    if words is None:
        return []
    good = isinstance(words, list) and 1 <= len(words) <= _MOST_STOPS
    if not good or not all(isinstance(word, str) and word for word in words):
        raise _wrong("settings.stop", f"must be text, or a list of at most {_MOST_STOPS} texts")
    return list(words)


def _numbers(settings: Mapping[str, Any]) -> dict[str, int | float]:
    numbers: dict[str, int | float] = {}
    for name, most in (("temperature", 2), ("top_p", 1)):
        value = settings.get(name)
        if value is None:
            continue
        if type(value) not in (int, float) or not 0 <= value <= most:
            raise _wrong(f"settings.{name}", f"must be a number between 0 and {most}")
        numbers[name] = value
    tokens = settings.get("max_tokens")
    if tokens is not None:
        if type(tokens) is not int or tokens < 1:
            raise _wrong(LIMIT, "must be a whole number of at least 1")
        numbers["max_tokens"] = tokens
    return numbers


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(where, "must be an object")
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise _wrong(where, "must be text")
    return value


def _known(value: Mapping[str, Any], names: Collection[str], where: str) -> None:
    for name in value:
        if name not in names:
            raise _wrong(where + name[:100], f"is not known here; there are {_list(names)}")


def _list(names: Collection[str]) -> str:
    return ", ".join(sorted(names))


def _wrong(where: str, what: str) -> BadInput:
    return BadInput(f"{where}: {what}.", param=where)
