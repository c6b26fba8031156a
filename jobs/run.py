"""One attempt at a job: each of its open items is asked, and ends or is left for the next attempt.

The token of the claim is named in every write. An attempt ends early when the job is canceled, its
lease is lost, its time is over, or the process stops; what is on its way to a provider is cut then.
"""

import asyncio
import enum
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from django.conf import settings

from accounts import events
from common.errors import (
    FareboxError,
    NotFound,
    Unavailable,
    UpstreamTimeout,
)
from jobs import losses, results, uploads, verbs, writing
from jobs.kinds import KINDS, FileKind
from jobs.verbs import Claimed, ItemFinished, Outcome, Started
from jobs.writing import AWAY
from proxy import settle, whole
from proxy.call import Call, Cut
from proxy.context import Context
from proxy.errors import for_the_record
from proxy.request import Request
from usage.models import Call as CallRecord
from usage.prices import Rates, Usage

log = structlog.get_logger(__name__)

LONGEST_PAUSE = 300.0
_PRICE = "SELECT rates, cost_rates FROM usage_price WHERE id = %s"


class Why(enum.Enum):
    """Why an attempt ends early."""

    CANCELED = "canceled"
    LOST = "its lease is lost"
    STOPPED = "the process ends"
    OVERDUE = "it took too long"


def _cut_of(why: Why) -> Cut:
    """What that is for its calls. A provider is at fault only for what takes too long."""
    return Cut.UPSTREAM_STALLED if why is Why.OVERDUE else Cut.STOPPED


class Run:
    """An attempt. ``work`` does it; ``end`` ends it early, from the same loop."""

    def __init__(
        self, context: Context, claimed: Claimed, room: uploads.Room | None = None
    ) -> None:
        self.claimed = claimed
        self.kind = KINDS.get(claimed.kind)
        self.why: Why | None = None
        self._context = context
        self._room = room or uploads.Room()
        self._job, self._token = claimed.id, claimed.token
        self._calls: set[Call] = set()
        self._left = 0
        self._unbooked = False
        self._error: FareboxError | None = None

    def end(self, why: Why) -> None:
        """End the attempt, for the first reason that is given."""
        if self.why is None:
            self.why = why
            for call in list(self._calls):
                call.end_early(_cut_of(why))

    async def work(self) -> float | None:
        """Do what can be done. Answers in how many seconds to look for the job again, if it is to
        be tried again by then."""
        kind, claimed = self.kind, self.claimed
        if kind is None:  # a later version's, or one that was taken out
            problem = {"code": "bad_request", "message": "There is no such kind of job here."}
            return await self._give_back(state="failed", problem=problem)
        self._tell("running")
        over = asyncio.get_running_loop().call_later(
            min(kind.seconds, claimed.seconds), self.end, Why.OVERDUE
        )
        try:
            places = iter(claimed.places)
            many = min(kind.at_once, len(claimed.places))
            await asyncio.gather(*(self._take(places) for _ in range(many)))
        finally:
            over.cancel()
        if self.why is Why.LOST or self._unbooked:
            return None  # another's by now, or the sweep's when the lease has run out
        if self.why is Why.CANCELED:
            return await self._give_back(state="canceled")
        if not claimed.places:
            return await self._give_back(state="done")
        if self.why is Why.STOPPED:
            return await self._give_back(counted=False)
        return await self._give_back(self._pause()) if self._left else None

    async def _take(self, places: Any) -> None:
        for place in places:
            if self.why is not None:
                self._left += 1
                return
            # A task of its own, which can be cut off without the others.
            await asyncio.create_task(self._item(place))

    async def _item(self, place: int) -> None:
        try:
            begin = verbs.start_item.build(job=self._job, token=self._token, place=place)
            item = await writing.once(self._context.pool, begin)
            if item is None:  # it is to be canceled, or is another's: giving it back tells
                self._left += 1
            else:
                await self._begun(place, item)
        except AWAY as error:
            log.warning("a job waits for the database", **self._name(error))
            self._left += 1
        except FareboxError as error:  # taken over, or deleted with its owner
            log.warning("an item is left alone", **self._name(error))

    async def _begun(self, place: int, item: Started) -> None:
        try:
            request = await self._request(item)
        except Unavailable:
            raise
        except FareboxError as error:  # the model is gone, say
            await self._refused(place, item, error)
            return
        await self._ask(place, item, request)

    async def _ask(self, place: int, item: Started, request: Request) -> None:
        meter = request.protocol.meter()
        call = Call(item.call, request, meter, settings.UPSTREAM_TOTAL_SECONDS)
        call.held, call.absorbed = item.held, item.absorbed
        call.task = asyncio.current_task()
        self._calls.add(call)
        try:
            if self.why is not None:
                call.end_early(_cut_of(self.why))
            async with self._with_file(item, request):
                body = await whole.ask(self._context, call, item.output_tokens)
        except asyncio.CancelledError:
            if call.cut is None:  # the loop itself is at its end
                raise
            call.task.uncancel()  # type: ignore[union-attr]
            call.task = None
            await self._was_cut(place, item, call)
        except FareboxError as error:
            call.task = None
            await self._failed(place, item, call, error)
        except Exception:
            call.task = None
            log.exception("job failed", job=str(self.claimed.id))
            problem = FareboxError("Something went wrong here; it has been noted.")
            await self._failed(place, item, call, problem)
        else:
            call.task = None
            await self._answered(place, item, call, body)
        finally:
            self._calls.discard(call)

    async def _request(self, item: Started) -> Request:
        """What the item asks, at the price that it was held by."""
        assert self.kind is not None
        request = self.kind.request(item.input, await self._context.ready())
        if item.price != request.model.price:
            async with self._context.pool.lease() as conn:
                row = await (await conn.execute(_PRICE, [item.price])).fetchone()
            if row is not None:
                own, asked = Rates.from_json(row[0]), Rates.from_json(row[1])
                request.model = replace(
                    request.model, price=item.price, rates=own, cost_rates=asked
                )
        return request

    @asynccontextmanager
    async def _with_file(self, item: Started, request: Request) -> AsyncIterator[None]:
        """The job's file is the request's within, where it has one, as soon as there is room."""
        if isinstance(self.kind, FileKind):
            audio = self.kind.audio_of(item.input)
            async with self._room.take(audio.bytes):
                self.kind.attach(request, audio, await uploads.fetch(self._job))
                yield
        else:
            yield

    # --- How an item ends ------------------------------------------------------------------------

    async def _answered(self, place: int, item: Started, call: Call, body: bytes) -> None:
        """What attempts cost that a worker died at, nobody knows; as much as this one, likely."""
        usage, _ = call.usage(self._context.ratios)
        cost = call.request.model.cost_rates.amount(usage)
        try:
            kept = await results.keep(self.claimed, place, body)
        except OSError as error:
            log.error("a result can't be stored", job=str(self.claimed.id), error=str(error))
            problem = Unavailable("The result could not be stored.")
            call.absorbed += cost
            await self._failed(place, item, call, problem)
            return
        call.absorbed += item.lost * cost
        await self._book(place, call, Outcome("done", **kept), CallRecord.Status.COMPLETED)

    async def _was_cut(self, place: int, item: Started, call: Call) -> None:
        match self.why:
            case Why.LOST:
                return
            case Why.CANCELED:
                call.absorbed += losses.on_its_way(call, self._context.ratios) + losses.lost(
                    item, call, self._context.ratios
                )
                problem = {"code": "canceled", "message": "The job was canceled."}
                outcome = Outcome("canceled", problem=problem)
                await self._book(place, call, outcome, CallRecord.Status.FAILED, "canceled")
            case Why.OVERDUE:
                call.absorbed += losses.on_its_way(call, self._context.ratios)
                error = UpstreamTimeout("The job took too long.")
                await self._failed(place, item, call, error)
            case _:
                await self._stop(place, item, call, losses.on_its_way(call, self._context.ratios))

    async def _failed(self, place: int, item: Started, call: Call, error: FareboxError) -> None:
        """Leave the item for the next attempt, where there is one and the error may pass."""
        if losses.may_pass(error) and self.claimed.attempts < settings.JOB_ATTEMPTS:
            self._error = error
            await self._stop(place, item, call)
            return
        call.absorbed += losses.lost(item, call, self._context.ratios)
        outcome = Outcome("failed", problem=losses.problem(error))
        record = for_the_record(error)
        await self._book(place, call, outcome, CallRecord.Status.FAILED, record)

    async def _refused(self, place: int, item: Started, error: FareboxError) -> None:
        """An item that can't be asked at all any more."""
        end = verbs.finish_item.build(
            job=self._job,
            token=self._token,
            place=place,
            outcome=Outcome("failed", problem=losses.problem(error)),
            call=item.call,
            status=CallRecord.Status.FAILED,
            charge=0,
            cost=item.absorbed,
            usage=Usage(),
            estimated=False,
            error=for_the_record(error),
        )
        finished = await writing.patiently(self._context.pool, end)
        events.hint(finished.user)
        self._tell_finished(finished)

    async def _stop(self, place: int, item: Started, call: Call, more: int = 0) -> None:
        self._left += 1
        cost = call.absorbed - item.absorbed + more
        stop = verbs.stop_item.build(job=self._job, token=self._token, place=place, absorbed=cost)
        try:
            await writing.patiently(self._context.pool, stop)
        except AWAY as error:
            log.warning("an item is left to the sweep", **self._name(error))

    async def _book(
        self, place: int, call: Call, outcome: Outcome, status: str, error: str = ""
    ) -> None:
        """End the item with its call, as every call ends (``proxy.settle``)."""
        book: Any = partial(
            verbs.finish_item.build, job=self._job, token=self._token, place=place, outcome=outcome
        )
        work = settle.finish(self._context.pool, self._context.ratios, call, status, error, book)
        finished = await self._context.detach(work)
        if finished is None:
            self._unbooked = True
            await results.drop(outcome.file)
        else:
            self._tell_finished(finished)

    # --- How the job goes on ---------------------------------------------------------------------

    def _pause(self) -> float:
        """Ever longer, and never the same for two; not before the provider wants it."""
        pause = settings.JOB_RETRY_SECONDS * 2 ** (self.claimed.attempts - 1)
        pause = min(pause, LONGEST_PAUSE) * random.uniform(0.5, 1.0)
        asked = self._error.retry_after if self._error is not None else None
        return max(pause, float(asked or 0))

    async def _give_back(self, pause: float = 0.0, **how: Any) -> float | None:
        give_back = verbs.give_back.build(
            job=self._job, token=self._token, pause=timedelta(seconds=pause), **how
        )
        try:
            state = await writing.patiently(self._context.pool, give_back)
        except (*AWAY, NotFound) as error:
            log.warning("a job is left to the sweep", **self._name(error))
            return None
        if state is not None:
            events.hint(self.claimed.user)
            self._tell(state)
        return pause if state == "queued" else None

    def _name(self, error: Exception) -> dict[str, str]:
        return {"job": str(self._job), "error": type(error).__name__}

    def _tell(self, state: str, **more: Any) -> None:
        about = {"id": str(self.claimed.id), "kind": self.claimed.kind, "state": state}
        events.tell(self.claimed.user, "job", about | more)
        if uploads.is_over(self.claimed.kind, state):
            self._context.detach(uploads.drop_soon(self.claimed.id))

    def _tell_finished(self, finished: Any) -> None:
        assert isinstance(finished, ItemFinished)
        self._tell(finished.state, done=finished.done, failed=finished.failed)
