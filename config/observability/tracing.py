"""Traces to OpenTelemetry, over OTLP/HTTP: paid calls, Django's requests, Celery's tasks.

The SDK reads its own standard variables (``OTEL_EXPORTER_OTLP_…``, ``OTEL_TRACES_SAMPLER``,
``OTEL_RESOURCE_ATTRIBUTES``). A client's ``traceparent`` is continued; none is sent to providers.

Attributes that leave are an allow-list, since libraries tell addresses with their queries, and
exceptions in words; of these the kind is kept.
"""

import time
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from proxy import tracing

_KEPT = {
    "celery.action", "celery.state", "celery.task_name", "error.type", "exception.type",
    "http.method", "http.request.method", "http.response.status_code", "http.route",
    "http.status_code", "messaging.destination", "messaging.message.id", "messaging.message_id",
}  # fmt: skip
_OURS = ("farebox.", "gen_ai.")
_BROKEN = {"failed", "interrupted"}


class Discreet(BatchSpanProcessor):
    """Hands on spans with those attributes only that may leave."""

    def on_end(self, span: ReadableSpan) -> None:
        super().on_end(
            ReadableSpan(
                name=span.name,
                context=_plain(span.context),
                parent=_plain(span.parent),
                resource=span.resource,
                attributes=_kept(span.attributes),
                events=[
                    Event(event.name, _kept(event.attributes), event.timestamp)
                    for event in span.events
                ],
                kind=span.kind,
                status=Status(span.status.status_code),
                start_time=span.start_time,
                end_time=span.end_time,
                instrumentation_scope=span.instrumentation_scope,
            )
        )


def start() -> None:
    """Send traces to ``OTEL_EXPORTER_OTLP_ENDPOINT`` from now on."""
    if tracing.tell is not None:
        return
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: settings.OTEL_SERVICE_NAME}))
    provider.add_span_processor(Discreet(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    propagate.set_global_textmap(TraceContextTextMapPropagator())
    DjangoInstrumentor().instrument(
        tracer_provider=provider, excluded_urls="/healthz$,/readyz$,/metrics$"
    )
    CeleryInstrumentor().instrument(tracer_provider=provider)
    tracing.tell = Teller(provider.get_tracer("farebox")).tell


class Teller:
    """Makes the spans of a call when it has ended."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._propagator = TraceContextTextMapPropagator()

    def tell(self, call: tracing.Ended) -> None:
        """One span for the call; under it begin, upstream and finish."""
        now, here = time.time_ns(), time.monotonic()

        def at(moment: float) -> int:
            return now - int((here - moment) * 1_000_000_000)

        span = self._tracer.start_span(
            f"call {call.route}",
            self._propagator.extract(call.carrier),
            SpanKind.SERVER,
            _attributes(call),
            start_time=at(call.started),
        )
        if span.is_recording():
            inside = trace.set_span_in_context(span)
            steps = (
                ("begin", SpanKind.CLIENT, call.started, call.begun),
                ("upstream", SpanKind.CLIENT, call.begun, call.finishing),
                ("finish", SpanKind.CLIENT, call.finishing, call.finished),
            )
            for name, kind, first, last in steps:
                step = self._tracer.start_span(name, inside, kind, start_time=at(first))
                if name == "upstream" and call.first_event is not None:
                    step.add_event("first event", timestamp=at(call.first_event))
                step.end(at(last))
            if call.facts["status"] in _BROKEN:
                span.set_status(StatusCode.ERROR)
        span.end(at(call.finished))


def _attributes(call: tracing.Ended) -> dict[str, Any]:
    facts = call.facts
    return {
        "farebox.call": str(call.call),
        "farebox.user": facts["user"],
        "farebox.route": call.route,
        "farebox.streamed": call.streamed,
        "farebox.status": facts["status"],
        "farebox.held": facts["held"],
        "farebox.spent": facts["spent"],
        "farebox.estimated": facts["estimated"],
        # The names of OpenTelemetry's conventions for generative AI.
        "gen_ai.request.model": facts["model"],
        "gen_ai.provider.name": facts["provider"],
        "gen_ai.usage.input_tokens": facts["input_tokens"],
        "gen_ai.usage.output_tokens": facts["output_tokens"],
    }


def _plain(context: SpanContext | None) -> SpanContext | None:
    """Without its state: a client may write there what it likes."""
    if context is None:
        return None
    return SpanContext(context.trace_id, context.span_id, context.is_remote, context.trace_flags)


def _kept(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        name: value
        for name, value in (attributes or {}).items()
        if name in _KEPT or name.startswith(_OURS)
    }
