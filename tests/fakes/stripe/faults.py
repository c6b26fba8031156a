"""Faults told by a test: a wrong status, a delay, a cut connection, for the next few calls."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from .store import Object, Store


def add(store: Store, told: Any) -> None:
    """Take a fault, or several in a list; an empty list clears all.

    ``method`` and ``path`` (a prefix) say which calls, ``times`` how many (1). ``delay`` seconds
    pass first; then ``status`` with ``body`` is answered, or with ``drop`` the connection is cut.
    With ``after`` the call is done all the same, and only its answer is lost.
    """
    if told == []:
        store.faults.clear()
        return
    for fault in told if isinstance(told, list) else [told]:
        store.faults.append({"times": 1, "path": "/", **fault})


def _take(store: Store, method: str, path: str) -> Object | None:
    for fault in store.faults:
        wanted = fault.get("method")
        if (not wanted or wanted.upper() == method) and path.startswith(fault["path"]):
            fault["times"] -= 1
            if fault["times"] <= 0:
                store.faults.remove(fault)
            return fault
    return None


def fault_middleware(store: Store) -> Middleware:
    """Spoils calls of the API; controls and pages always work."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        fault = _take(store, request.method, request.path) if _is_api(request) else None
        if fault is None:
            return await handler(request)
        if fault.get("delay"):
            await asyncio.sleep(fault["delay"])
        done = await handler(request) if fault.get("after") else None
        if fault.get("drop"):
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError
        if fault.get("status") or fault.get("body") is not None:
            return _spoiled(fault)
        return done or await handler(request)

    return middleware


def _is_api(request: web.Request) -> bool:
    return request.path.startswith("/v1/")


def _spoiled(fault: Object) -> web.Response:
    status, body = fault.get("status") or 200, fault.get("body")
    if isinstance(body, str):
        return web.Response(status=status, text=body)
    if body is None:
        message = "An unknown error occurred" if status >= 500 else "Refused by a fault"
        body = {"error": {"type": "api_error", "message": message}}
    return web.json_response(body, status=status)
