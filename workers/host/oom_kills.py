"""Counts the kernel's out-of-memory kills."""

from __future__ import annotations

from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUP = Path("/proc/self/cgroup")
_UNIFIED = ("", "", "memory.events")
_OLDER = ("memory", "memory", "memory.oom_control")
"""Controller, its folder and the file that counts: of today's control groups, and of the older kind."""
_COUNTER = "oom_kill "


def count_memory_kills(groups: Path = _GROUPS, own_group: Path = _OWN_GROUP) -> int | None:
    """Count processes of this control group, children included, that the kernel has killed for memory.

    Returns:
        None where the kernel does not count them: no Linux, or the host's root control group.
    """
    try:
        lines = own_group.read_text().splitlines()
    except OSError:
        return None
    group_of = {controller: name for _, controller, name in (line.split(":", 2) for line in lines)}
    # A host may have both kinds at once; memory then belongs to the older one, and only that one counts.
    for controller, folder, file in (_UNIFIED, _OLDER):
        if controller in group_of:
            count = _read_counter(groups / folder / group_of[controller].lstrip("/") / file)
            if count is not None:
                return count
    return None


def _read_counter(file: Path) -> int | None:
    try:
        events = file.read_text().splitlines()
    except OSError:
        return None
    return next((int(event.removeprefix(_COUNTER)) for event in events if event.startswith(_COUNTER)), None)


def memory_kills_since(before: int | None) -> int | None:
    """Kills since an earlier count; None where the kernel does not count them."""
    after = count_memory_kills()
    return None if before is None or after is None else after - before
