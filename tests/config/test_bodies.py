"""What Django reads of a body is bounded, said before or sent in chunks."""

import json

import pytest

from config.bodies import BoundedBodies

MOST, LESS, FORM = 100, 10, 200


class App:
    """Reads a body as Django does, and answers its length."""

    async def __call__(self, scope, receive, send):
        self.read = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            self.read += len(message.get("body", b""))
            if not message.get("more_body"):
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % self.read})


async def ask(path, pieces, declared=None, kind=None, method="POST"):
    """The status, the body, and how many pieces were taken from the client."""
    app, sent, given = App(), [], iter(pieces)
    taken = 0

    async def receive():
        nonlocal taken
        taken += 1
        piece = next(given)
        return {"type": "http.request", "body": piece, "more_body": taken < len(pieces)}

    async def send(message):
        sent.append(message)

    headers = [] if declared is None else [(b"content-length", declared)]
    headers += [] if kind is None else [(b"content-type", kind)]
    less = {"/less": LESS, "/beneath/": LESS}
    bounded = BoundedBodies(app, most=MOST, less=less, forms={"/form": FORM})
    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    await bounded(scope, receive, send)
    start, body = sent
    return start["status"], body["body"], taken


async def test_what_fits_is_read():
    assert await ask("/", [b"x" * 60, b"x" * 40], b"100") == (200, b"100", 2)
    assert await ask("/less", [b"x" * 10]) == (200, b"10", 1)
    assert await ask("/less/x", [b"x" * 100]) == (200, b"100", 1)
    assert await ask("/", [b""]) == (200, b"0", 1)


@pytest.mark.parametrize(
    ("path", "declared"),
    [("/", b"101"), ("/less", b"11"), ("/beneath/x/", b"11"), ("/", b"9" * 40)],
)
async def test_what_says_it_is_too_long_is_refused_unread(path, declared):
    status, body, taken = await ask(path, [b"x"], declared)
    assert (status, taken) == (413, 0)
    assert json.loads(body)["error"]["code"] == "request_too_large"


async def test_chunks_are_refused_where_they_pass_the_bound():
    status, body, taken = await ask("/less", [b"x" * 6] * 9)
    assert (status, taken) == (413, 2)
    assert "10 bytes" in json.loads(body)["error"]["message"]


async def test_a_length_that_is_none_is_not_believed():
    assert (await ask("/less", [b"x" * 6] * 9, b"-5"))[0] == 413


async def test_a_form_that_may_hold_files_may_be_longer():
    form = b"Multipart/Form-Data; boundary=x"
    assert await ask("/form", [b"x" * 200], b"200", form) == (200, b"200", 1)
    assert (await ask("/form", [b"x"], b"201", form))[0] == 413
    assert (await ask("/form", [b"x" * 80] * 3, None, form))[0] == 413
    for path, kind, method in [
        ("/form", b"application/json", "POST"),
        ("/form", None, "POST"),
        ("/form", form, "PUT"),
        ("/form/x", form, "POST"),
        ("/", form, "POST"),
    ]:
        assert (await ask(path, [b"x"], b"101", kind, method))[0] == 413, (path, kind, method)
