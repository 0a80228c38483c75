"""Formats numbers, sizes, times and money for reports and pages."""

from __future__ import annotations

import json
from typing import Any

from receipt_dynamo.clock import read_time

NOT_KNOWN = "–"  # noqa: RUF001 - the sign that people read as nothing
_SI = ("B", "kB", "MB", "GB", "TB")
_STEP = 1000
_MINUTE, _HOUR = 60, 3600


def score(value: float | None) -> str:
    """A ratio with three decimals."""
    return NOT_KNOWN if value is None else f"{value:.3f}"


def number(value: float | None) -> str:
    """Four digits, thousands apart; very small and very large ones as powers of ten."""
    if value is None:
        return NOT_KNOWN
    if value == int(value) and abs(value) < 1e15:  # noqa: PLR2004 - what a float holds exactly
        return f"{int(value):,}"
    return f"{value:.4g}"


def seconds(value: float | None) -> str:
    """`45 s`, `12 min 5 s`, `3 h 20 min`."""
    if value is None:
        return NOT_KNOWN
    if value < _MINUTE:
        return f"{value:.3g} s"
    whole = round(value)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"


def size(value: float | None) -> str:
    """Bytes in thousands: `1.35 GB`."""
    if value is None:
        return NOT_KNOWN
    unit = 0
    while value >= _STEP and unit < len(_SI) - 1:
        value, unit = value / _STEP, unit + 1
    return f"{value:.3g} {_SI[unit]}"


def dollars(value: float | None) -> str:
    """US dollars and cents."""
    return NOT_KNOWN if value is None else f"${value:,.2f}"


def moment(value: str | None) -> str:
    """A time to the second, in UTC; every table says so."""
    return NOT_KNOWN if value is None else f"{read_time(value):%Y-%m-%d %H:%M:%S}"


def anything(value: Any) -> str:
    """A setting or a count of any type; what has parts as JSON."""
    if value is None or value == "":
        return NOT_KNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
