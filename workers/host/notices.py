"""What each notice of EC2 and Auto Scaling means for a worker: one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic_core import from_json

from receipt_dynamo.clock import read_time
from workers.settings import Settings

NOTICE_SECONDS = 120.0
"""EC2 gives a Spot instance two minutes, and by whatever clock never more."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that the host says.

    Attributes:
        text: for log, record and `worker-status`; the same for as long as the notice stands.
        drain_seconds: how long a running child may take to reach a checkpoint; None lets it end its work.
        terminating: whether Auto Scaling is about to end the instance, and a lifecycle hook may hold it.
    """

    text: str
    drain_seconds: float | None = None
    terminating: bool = False


def _read_interruption(body: str, settings: Settings, now: datetime) -> Notice:
    """`{"action": "terminate", "time": "2026-11-21T08:22:00Z"}`; an unreadable one still is a notice."""
    margin = settings.spot_margin_seconds
    at = _read_moment(body, "time")
    if at is None:
        return Notice("Spot interruption notice without a time", max(1.0, NOTICE_SECONDS - margin))
    # A host whose clock is wrong would see no time left, or hours.
    left = min(max(0.0, (at - now).total_seconds()), NOTICE_SECONDS)
    return Notice(f"Spot interruption notice for {at:%Y-%m-%dT%H:%M:%SZ}", max(1.0, left - margin))


def _read_target_state(body: str, settings: Settings, _now: datetime) -> Notice | None:
    """`InService`, `Standby`, `Detached` and so on until it is `Terminated`: then the group wants us gone."""
    if body != "Terminated":
        return None
    return Notice("Auto Scaling ends this instance", settings.drain_seconds, terminating=True)


def _read_rebalance(body: str, _settings: Settings, _now: datetime) -> Notice:
    """`{"noticeTime": "2026-11-21T08:22:00Z"}`: the risk of an interruption is high, nothing more."""
    at = _read_moment(body, "noticeTime")
    return Notice(f"Rebalance recommendation {f'of {at:%Y-%m-%dT%H:%M:%SZ}' if at else 'without a time'}")


def _read_moment(body: str, name: str) -> datetime | None:
    """The moment that a JSON object names; None where it names none, or is no such object."""
    try:
        # Not the json module, which ends in a RecursionError where brackets are nested deeply.
        return read_time(from_json(body)[name])
    except (ValueError, KeyError, TypeError, IndexError):
        return None


def find_doubt(settings: Settings) -> str | None:
    """Why a child may not reach a checkpoint on a Spot host; None where it may."""
    left = NOTICE_SECONDS - settings.spot_margin_seconds
    if settings.drain_seconds <= left:
        return None
    return (
        f"LAYOUTLM_DRAIN_SECONDS ({settings.drain_seconds:g}) is longer than the {left:g} s that a Spot "
        f"notice leaves with LAYOUTLM_SPOT_MARGIN_SECONDS ({settings.spot_margin_seconds:g}): a child may be "
        "ended before its checkpoint then."
    )


NOTICES: dict[str, Callable[[str, Settings, datetime], Notice | None]] = {
    "spot/instance-action": _read_interruption,
    "autoscaling/target-lifecycle-state": _read_target_state,
    "events/recommendations/rebalance": _read_rebalance,
}
"""Each path of the metadata service with the reader of what it holds; most of the time it holds nothing."""


def read_notice(path: str, body: str, settings: Settings, now: datetime | None = None) -> Notice | None:
    """What the value at one of these paths says; None when it says nothing to act on."""
    return NOTICES[path](body, settings, now or datetime.now(UTC))
