"""OpenTelemetry spans, where the extra is installed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

    from workers.settings import Settings
    from workers.sqs.queue import Received


EXPORT_SECONDS = 5.0
"""For one sending, retries included: a stopping daemon waits for it, and its host may have little time."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Tracing:
    """Makes the spans of one worker; without a tracer it makes none.

    Attributes:
        tracer: what makes them.
        worker: our name in them.
    """

    tracer: Tracer | None = None
    worker: str = ""

    @contextmanager
    def message(self, kind: str, message: Received) -> Iterator[None]:
        """A span around the handling of one message, in the sender's trace where the message names one."""
        if self.tracer is None:
            yield
            return
        from opentelemetry.trace import SpanKind  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

        sender = TraceContextTextMapPropagator().extract(message.attributes)
        about = {"message_id": message.message_id, "worker": self.worker}
        with self.tracer.start_as_current_span(
            f"layoutlm.{kind}", context=sender, kind=SpanKind.CONSUMER, attributes=about
        ):
            yield

    @contextmanager
    def child(self) -> Iterator[dict[str, str]]:
        """A span around a child process; the block gets the variables that hand the trace to the child."""
        if self.tracer is None:
            yield {}
            return
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

        with self.tracer.start_as_current_span("layoutlm.child"):
            carrier: dict[str, str] = {}
            TraceContextTextMapPropagator().inject(carrier)
            yield {name.upper(): value for name, value in carrier.items()}

    def note(self, **attributes: str | int) -> None:
        """Put attributes on the span that we are in."""
        if self.tracer is not None:
            from opentelemetry.trace import get_current_span  # noqa: PLC0415

            get_current_span().set_attributes(attributes)


@asynccontextmanager
async def open_tracing(settings: Settings, kind: str, worker: str) -> AsyncIterator[Tracing]:
    """Send the spans of a worker to the collector that the settings name; at the end, those that are left."""
    provider = None if settings.otel_endpoint is None else _exporting(settings.otel_endpoint, kind)
    if provider is None:
        yield Tracing()
        return
    complaints = _Complaints(logging.WARNING)
    logger = logging.getLogger("opentelemetry")
    logger.addHandler(complaints)
    logger.propagate = False  # else the log says each of them twice
    try:
        yield Tracing(provider.get_tracer("workers"), worker)
    finally:
        await asyncio.to_thread(provider.shutdown)
        logger.removeHandler(complaints)
        logger.propagate = True


def _exporting(endpoint: str, kind: str) -> TracerProvider | None:
    """The provider that sends spans to the collector; None without the extra."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        log.warning("no spans: OTEL_EXPORTER_OTLP_ENDPOINT needs the extra `otel`", error=str(error))
        return None
    # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES, where they are set, know better.
    resource = Resource({"service.name": f"layoutlm-{kind}-worker"}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource)
    exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


class _Complaints(logging.Handler):
    """Says what OpenTelemetry complains of in our own log, where each line is JSON."""

    def emit(self, record: logging.LogRecord) -> None:
        log.warning("spans were not sent", error=record.getMessage())
