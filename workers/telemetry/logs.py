"""Configures JSON logging."""

from __future__ import annotations

import logging
import sys
import threading
from types import TracebackType

import structlog

from workers.telemetry.emf_metrics import EmbeddedMetrics

log = structlog.get_logger(__name__)


def configure_logging(*, verbose: bool = False, metrics_of: str | None = None) -> None:
    """Set structlog up for a daemon, and send through it what else would be text on standard error.

    That is the records of other libraries from WARNING on, Python's warnings, and the stack of an exception
    that nothing catches: one line of another form, and whoever reads the log by `jq` gets no further.

    Args:
        verbose: whether the lines that its children write are added.
        metrics_of: the kind of worker whose lines are metrics, too; None makes none.
    """
    on_terminal = sys.stderr.isatty()
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if on_terminal else structlog.processors.JSONRenderer()
    )
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    if not on_terminal:
        processors.append(structlog.processors.format_exc_info)
    metrics = [] if metrics_of is None else [EmbeddedMetrics(metrics_of)]
    structlog.configure(
        processors=[*processors, *metrics, renderer],
        wrapper_class=structlog.make_filtering_bound_logger("DEBUG" if verbose else "INFO"),
        # Each line is one write, so that no other thread's comes between it and its end.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        # A cached logger keeps its first configuration for the life of the process.
        cache_logger_on_first_use=False,
    )
    _take_other_lines(processors, renderer)


def _take_other_lines(
    processors: list[structlog.typing.Processor], renderer: structlog.typing.Processor
) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *processors],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def _log_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    log.critical("ends by a defect", error=repr(error), exc_info=(kind, error, traceback))


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None:
        log.critical(
            "a thread ended by a defect",
            thread=args.thread and args.thread.name,
            error=repr(args.exc_value),
            exc_info=(args.exc_type, args.exc_value, args.exc_traceback),
        )
