"""One spelling of time for the table: keys sort as text, so every writer must spell alike."""

from __future__ import annotations

from datetime import UTC, datetime


def write_time(moment: datetime) -> str:
    """Return ISO 8601 in UTC with microseconds and `+00:00`; raise `ValueError` for a naive moment."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone. Make it with datetime.now(UTC).")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def read_time(text: str) -> datetime:
    """Return an aware UTC moment from `+00:00`, `Z` or no zone, which in OCR jobs means UTC.

    Raises:
        ValueError: it is no moment, or one that UTC has no year from 1 to 9999 for.
    """
    moment = datetime.fromisoformat(text)
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text} is not within the years 1 to 9999 of UTC.") from error


def now() -> str:
    """Return the present moment as the table spells it."""
    return write_time(datetime.now(UTC))
