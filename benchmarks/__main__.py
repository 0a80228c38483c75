"""`make bench [ONLY=name]`: run the benchmarks and print the rows that docs/benchmarks.md shows."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from benchmarks import idle, importing, jitter, loading, loading_memory, overhead, startup, stopping
from benchmarks.report import print_header


def _measure_inference() -> None:
    # Here, because the others measure processes that start beside this one and have no use for torch.
    from benchmarks import inference  # noqa: PLC0415

    inference.measure()


def _measure_exports() -> None:
    from benchmarks import exports  # noqa: PLC0415

    exports.measure()


def _measure_training() -> None:
    from benchmarks import training  # noqa: PLC0415

    training.measure()


def _measure_insight() -> None:
    from benchmarks import insight  # noqa: PLC0415

    insight.measure()


def _measure_sroie() -> None:
    from benchmarks import sroie  # noqa: PLC0415

    sroie.measure()


ALL: dict[str, Callable[[], None]] = {
    "importing": importing.measure,
    "startup": startup.measure,
    "overhead": overhead.measure,
    "jitter": jitter.measure,
    "stopping": stopping.measure,
    "idle": idle.measure,
    "loading": loading.measure,
    "insight": _measure_insight,
    "loading_memory": loading_memory.measure,
    "inference": _measure_inference,
    "exports": _measure_exports,
    "training": _measure_training,
    "sroie": _measure_sroie,
}


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all."""
    unknown = set(names) - set(ALL)
    if unknown:
        print(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(ALL)}", file=sys.stderr)
        return 64
    # What starts here shall find its modules compiled, as it does wherever that variable is not set.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    print_header()
    for name in names or list(ALL):
        ALL[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
