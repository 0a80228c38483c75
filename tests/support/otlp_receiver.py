"""An OpenTelemetry collector on 127.0.0.1 that decodes what it is sent and keeps it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

TRACES = "/v1/traces"


@dataclass(frozen=True)
class SentSpan:
    """A span as it came over the wire; ids in hexadecimal."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    seconds: float
    attributes: dict[str, str | int]


@dataclass
class Collector:
    """Where spans go.

    Attributes:
        url: what OTEL_EXPORTER_OTLP_ENDPOINT names.
        spans: those that came, in the order in which they ended.
        status: what it answers with.
    """

    url: str
    spans: list[SentSpan] = field(default_factory=list)
    status: int = 200

    def named(self, name: str) -> SentSpan:
        """The only span of that name."""
        [span] = [span for span in self.spans if span.name == name]
        return span


def decoded(body: bytes) -> Iterator[SentSpan]:
    """The spans of one request."""
    for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        named = {pair.key: pair.value.string_value for pair in of_resource.resource.attributes}
        for span in (span for of_scope in of_resource.scope_spans for span in of_scope.spans):
            values = {pair.key: pair.value for pair in span.attributes}
            yield SentSpan(
                named["service.name"],
                span.name,
                span.trace_id.hex(),
                span.span_id.hex(),
                span.parent_span_id.hex(),
                (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                {key: value.string_value or value.int_value for key, value in values.items()},
            )


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector while the block runs."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = collector.status if self.path == TRACES else 404
            if status == 200:
                collector.spans.extend(decoded(body))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_port}")
        serving = threading.Thread(target=server.serve_forever, args=(0.02,))
        serving.start()
        try:
            yield collector
        finally:
            server.shutdown()
            serving.join()
