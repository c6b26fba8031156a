"""A plan's bytes as they stand on the wire, made once and sent often. No I/O."""

from __future__ import annotations

from .http11 import LAST_CHUNK, chunk, header_lines, status_line
from .script import Plan


def answer_head(
    plan: Plan, protocol: str, length: int | None, can_chunk: bool, keep_alive: bool
) -> bytes:
    """The head of an answer, but for its number, which `%` fills in."""
    behaviour = plan.behaviour
    headers = [("content-type", behaviour.content_type or plan.content_type)]
    if plan.streamed:
        headers.append(("cache-control", "no-cache"))
    if behaviour.gzip:
        headers.append(("content-encoding", "gzip"))
    if length is not None:
        headers.append(("content-length", str(length)))
    elif can_chunk:
        headers.append(("transfer-encoding", "chunked"))
    if not keep_alive or (length is None and not can_chunk):
        headers.append(("connection", "close"))
    headers += [*plan.headers, *behaviour.headers]
    if protocol == "openai":
        headers += [("openai-organization", "operator-org"), ("openai-processing-ms", "12")]
        name = b"x-request-id"
    else:
        headers.append(("anthropic-organization-id", "00000000-0000-4000-8000-000000000000"))
        name = b"request-id"
    fixed = status_line(plan.status) + header_lines(headers)
    return fixed.replace(b"%", b"%%") + name + b": req_%024d\r\n\r\n"


def writes_of(plan: Plan, *, chunked: bool) -> list[tuple[bytes, int]]:
    """Each write as it stands on the wire, with the number of frames sent after it."""
    writes = []
    for first, end in plan.groups():
        data = b"".join(frame.data for frame in plan.frames[first:end])
        writes.append((chunk(data) if chunked else data, end))
    if chunked:
        writes[-1] = (writes[-1][0] + LAST_CHUNK, writes[-1][1])
    return writes
