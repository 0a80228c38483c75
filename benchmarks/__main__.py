"""`make bench [ONLY=name]`: run the benchmarks and print one line a figure."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable

from benchmarks import idle, loading, startup

ALL: dict[str, Callable[[], None]] = {
    "startup": startup.measure,
    "idle": idle.measure,
    "loading": loading.measure,
}


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all."""
    unknown = set(names) - set(ALL)
    if unknown:
        print(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(ALL)}", file=sys.stderr)
        return 64
    print(f"machine: {platform.processor() or platform.machine()}, Python {platform.python_version()}")
    for name in names or list(ALL):
        ALL[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
