"""Whether the kernel killed a process around us for the memory it took: our control group counts them."""

from __future__ import annotations

from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUP = Path("/proc/self/cgroup")
_UNIFIED = "0::/"
_COUNTER = "oom_kill "


def count_memory_kills(groups: Path = _GROUPS, own_group: Path = _OWN_GROUP) -> int | None:
    """How many processes of our control group, children included, the kernel has killed for memory so far.

    Returns:
        None where nobody counts: no Linux, an older kind of control groups, or the host's own root.
    """
    try:
        names = own_group.read_text().splitlines()
        group = next(name.removeprefix(_UNIFIED) for name in names if name.startswith(_UNIFIED))
        events = (groups / group / "memory.events").read_text().splitlines()
        return next(int(event.removeprefix(_COUNTER)) for event in events if event.startswith(_COUNTER))
    except (OSError, StopIteration):
        return None


def memory_kills_since(before: int | None) -> int | None:
    """How many since an earlier count; None where nobody counts."""
    after = count_memory_kills()
    return None if before is None or after is None else after - before
