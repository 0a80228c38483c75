"""Structured logs on standard error: JSON for journald and CloudWatch, readable lines on a terminal."""

from __future__ import annotations

import sys

import structlog

from workers.metrics import EmbeddedMetrics


def configure_logging(*, verbose: bool = False, metrics_of: str | None = None) -> None:
    """Set structlog up for a daemon.

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
    if metrics_of is not None:
        processors.append(EmbeddedMetrics(metrics_of))
    if not on_terminal:
        processors.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger("DEBUG" if verbose else "INFO"),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        # A cached logger keeps its first configuration for the life of the process.
        cache_logger_on_first_use=False,
    )
