"""Who asks for something that is free. Of a paid call, ``begin`` finds that out."""

from collections.abc import Mapping

import psycopg
from psycopg_pool import PoolTimeout

from proxy import credentials, settle
from proxy.context import Context
from usage.callers import Caller, caller


async def caller_of(context: Context, headers: Mapping[bytes, bytes]) -> Caller:
    """Raises ``NotAuthenticated`` and ``Unavailable``."""
    credential = credentials.read(headers)
    try:
        async with context.pool.connection() as conn:
            return await caller.aio(conn, credential=credential)
    except (psycopg.OperationalError, PoolTimeout):
        raise settle.unavailable() from None
