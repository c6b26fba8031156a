"""How a page is asked for, and how its buttons act: a refusal is shown as a page."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from aiohttp import web

from ..errors import StripeError
from ..store import Object, Store
from .html import page

View = Callable[[Store, str], web.Response]
Form = dict[str, str]
Act = Callable[[Store, str, Form], str | web.Response]  # an address to go to, or a page


def get(path: str, store: Store, view: View) -> web.RouteDef:
    """``view(store, id)`` answers the page; ``id`` is empty where the path names none."""

    async def handle(request: web.Request) -> web.Response:
        try:
            return view(store, request.match_info.get("id", ""))
        except StripeError as error:
            return refusal(error)

    return web.get(path, handle)


def post(path: str, store: Store, act: Act) -> web.RouteDef:
    """``act(store, id, form)`` does what a button says and answers where to go next."""

    async def handle(request: web.Request) -> web.Response:
        # Another site's page must not press buttons here, toy or not.
        if request.headers.get("Origin", store.base_url) != store.base_url:
            return page("Refused", "<h1>This button is not of this site</h1>", status=403)
        form = {name: str(value).strip() for name, value in (await request.post()).items()}
        try:
            done = act(store, request.match_info.get("id", ""), form)
        except StripeError as error:
            return refusal(error)
        if isinstance(done, web.Response):
            return done
        return web.Response(status=303, headers={"Location": done, "Cache-Control": "no-store"})

    return web.post(path, handle)


def refusal(error: StripeError) -> web.Response:
    """A page that says what went wrong."""
    body = (
        f'<h1>That did not work</h1><p class="error" role="alert">{escape(error.message)}</p>'
        '<p><a href="/">All customers</a></p>'
    )
    return page("That did not work", body, narrow=True, status=error.status)


def success_address(session: Object) -> str:
    """Where Checkout leads when it is done: success_url, with the session's id filled in."""
    return str(session["success_url"] or "/").replace("{CHECKOUT_SESSION_ID}", session["id"])
