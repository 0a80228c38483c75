"""Spans of a worker, and no cost for a worker without a collector."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs

from workers.errors import SettingsError
from workers.settings import Settings
from workers.sqs.queue import Received
from workers.telemetry.tracing import Tracing, open_tracing

ROOT = Path(__file__).parent.parent.parent.parent
TRACE, SENDER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracing(spans: InMemorySpanExporter) -> Tracing:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    return Tracing(provider.get_tracer("test"), "host:1")


def received(**attributes: str) -> Received:
    typed: Any = {name: {"DataType": "String", "StringValue": text} for name, text in attributes.items()}
    return Received("m-1", "", "", typed_attributes=typed)


def test_a_message_has_one_span_with_what_was_noted_and_its_child_one_below(
    tracing: Tracing, spans: InMemorySpanExporter
) -> None:
    with tracing.message("export", received()):
        tracing.note(job_id="j-1")
        with tracing.child():
            pass
        tracing.note(attempt=2, ending="DONE")
    child, message = spans.get_finished_spans()
    assert (child.name, message.name, message.parent) == ("layoutlm.child", "layoutlm.export", None)
    assert child.parent == message.get_span_context()
    assert message.attributes == {
        "message_id": "m-1",
        "worker": "host:1",
        "job_id": "j-1",
        "attempt": 2,
        "ending": "DONE",
    }


def test_a_message_goes_on_with_its_senders_trace(tracing: Tracing, spans: InMemorySpanExporter) -> None:
    with tracing.message("train", received(traceparent=f"00-{TRACE}-{SENDER}-01")):
        pass
    [span] = spans.get_finished_spans()
    assert span.parent is not None
    assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, SENDER)


@pytest.mark.parametrize("wrong", ["", "nonsense", f"00-{'0' * 32}-{SENDER}-01", f"00-{TRACE}-{SENDER}"])
def test_a_traceparent_that_cannot_be_read_begins_a_trace_of_our_own(
    tracing: Tracing, spans: InMemorySpanExporter, wrong: str
) -> None:
    with tracing.message("train", received(traceparent=wrong)):
        pass
    [span] = spans.get_finished_spans()
    assert span.parent is None


def test_the_childs_variables_name_the_childs_span(tracing: Tracing, spans: InMemorySpanExporter) -> None:
    sender = received(traceparent=f"00-{TRACE}-{SENDER}-01", tracestate="vendor=1")
    with tracing.message("train", sender), tracing.child() as environ:
        pass
    child, _ = spans.get_finished_spans()
    assert child.context is not None
    assert environ == {
        "TRACEPARENT": f"00-{TRACE}-{child.context.span_id:016x}-01",
        "TRACESTATE": "vendor=1",
    }


def test_messages_that_are_not_nested_share_no_trace(tracing: Tracing, spans: InMemorySpanExporter) -> None:
    for _ in range(2):
        with tracing.message("train", received()):
            pass
    assert len({span.context.trace_id for span in spans.get_finished_spans() if span.context}) == 2


def test_without_a_collector_nothing_is_imported_and_a_child_gets_no_variables() -> None:
    code = (
        "import asyncio, sys, workers.daemon\n"
        "from workers.sqs.queue import Received\n"
        "from workers.settings import Settings\n"
        "from workers.telemetry.tracing import open_tracing\n"
        "async def main():\n"
        "    async with open_tracing(Settings.from_environ({}), 'train', 'w') as tracing:\n"
        "        with tracing.message('train', Received('m', '', '')), tracing.child() as environ:\n"
        "            tracing.note(ending='DONE')\n"
        "            print(environ)\n"
        "asyncio.run(main())\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'requests', 'google'))])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert answer.stdout.split() == ["{}", "[]"]


async def test_without_the_extra_a_worker_works_and_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with capture_logs() as lines:
        async with open_tracing(Settings.from_environ(ENDPOINT), "train", "w") as tracing:
            assert tracing.tracer is None
    [line] = lines
    assert "extra `otel`" in line["event"]


def test_an_endpoint_that_is_no_http_address_is_named() -> None:
    with pytest.raises(SettingsError, match="OTEL_EXPORTER_OTLP_ENDPOINT"):
        Settings.from_environ({"OTEL_EXPORTER_OTLP_ENDPOINT": "127.0.0.1:4317"})
