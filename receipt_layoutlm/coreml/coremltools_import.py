"""Imports coremltools without its warnings."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_HARMLESS_LOG_LINES = (
    # It names the newest torch that Apple ran; the parity check and the static check stand in for that.
    "has not been tested with coremltools",
    # Only its converter for scikit-learn's models is switched off.
    "Disabling scikit-learn conversion API",
    # Predicting needs macOS; converting and saving do not.
    "No module named 'coremltools.libcoremlpython'",
    # The ignored inputs are padding_idx and two training options.
    "Core ML embedding (gather) layer does not support any inputs besides the weights and indices",
)
_HARMLESS_WARNINGS: tuple[tuple[str, type[Warning]], ...] = (
    # torch announces another way to record graphs; what this one records is compared with the model.
    (r"`torch\.jit\.trace(_method)?` is deprecated", DeprecationWarning),
    # The range of int32 is compared with float16's, while it decides whether two casts may become one.
    (r"overflow encountered in cast", RuntimeWarning),
    # A row of zeros, such as [PAD]'s, has scale 0; zero times whatever 0/0 became is the row again.
    (r"invalid value encountered in (divide|cast)", RuntimeWarning),
    # coremltools reads an exported program by a function that it tells others not to use.
    (r"Function _TORCH_OPS_REGISTRY\.", DeprecationWarning),
    # coremltools leaves its folder of weights to the garbage collector.
    (r"Implicitly cleaning up <TemporaryDirectory", ResourceWarning),
)


class _Harmless(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        return not any(line in message for line in _HARMLESS_LOG_LINES)


_library_log = logging.getLogger("coremltools")
_library_log.addFilter(_Harmless())
_library_log.setLevel(logging.WARNING)  # below that it tells of every constant it drops

import coremltools as ct  # noqa: E402 - the filter has to be there first: the lines come while it is imported
from coremltools.converters.mil.frontend.milproto.load import load as load_milproto  # noqa: E402
from coremltools.optimize import coreml as compression  # noqa: E402

__all__ = ["compression", "ct", "load_milproto", "quiet"]


@contextmanager
def quiet() -> Iterator[None]:
    """Drop the harmless warnings of tracing, converting and compressing; every other one passes."""
    with warnings.catch_warnings():
        for message, category in _HARMLESS_WARNINGS:
            warnings.filterwarnings("ignore", message, category)
        yield
