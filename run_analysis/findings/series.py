"""A metric over epochs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from statistics import fmean, linear_regression, median

from run_analysis.findings.finding import Evidence, MetricPoint
from run_records.epoch_record import EpochFacts

# The median of |x| of a normal variable is 0.6745 of its deviation; of a second difference, that has 6 times
# the variance.
_DEVIATION = 1 / (0.6745 * math.sqrt(6))
_LEAST_FOR_NOISE = 5


@dataclass(frozen=True)
class Series:
    """A metric by epoch, without the evaluations that have not recorded it."""

    name: str
    epochs: tuple[float, ...]
    values: tuple[float, ...]

    @classmethod
    def of(cls, name: str, evaluations: Iterable[EpochFacts]) -> Series:
        """The series of a field of the evaluations."""
        known = [(one.epoch, value) for one in evaluations if (value := getattr(one, name)) is not None]
        return cls(name, tuple(epoch for epoch, _ in known), tuple(value for _, value in known))

    def __len__(self) -> int:
        return len(self.values)

    @property
    def last(self) -> float:
        """The last value."""
        return self.values[-1]

    @property
    def lowest(self) -> int:
        """The index of the first of the least values."""
        return self.values.index(min(self.values))

    @property
    def highest(self) -> int:
        """The index of the first of the greatest values."""
        return self.values.index(max(self.values))

    @cached_property
    def end(self) -> float:
        """Mean of the last two values: one alone may be luck."""
        return fmean(self.values[-2:])

    @cached_property
    def smooth(self) -> Series:
        """Each value replaced by the median of it and its neighbours, so that one outlier changes nothing."""
        values = self.values
        smoothed = [median(values[max(at - 1, 0) : at + 2]) for at in range(len(values))]
        return Series(self.name, self.epochs, tuple(smoothed))

    @cached_property
    def noise(self) -> float | None:
        """Deviation of one evaluation from a smooth course; None where the evaluations are too few to tell.

        From second differences in the second half: in the first, the course itself bends.
        """
        values = self.values[len(self) // 2 :]
        if len(values) < _LEAST_FOR_NOISE:
            return None
        bends = [
            abs(after - 2 * at + before)
            for before, at, after in zip(values, values[1:], values[2:], strict=False)
        ]
        return median(bends) * _DEVIATION

    def tail(self, count: int) -> Series:
        """The last so many values."""
        return Series(self.name, self.epochs[-count:], self.values[-count:])

    def slope(self, places: Sequence[float], noise: float) -> tuple[float, float] | None:
        """Slope of the straight line through the values at these places, and its standard error.

        Args:
            places: where the values stand.
            noise: deviation of one value.

        Returns None where all stand at one place.
        """
        spread = math.sqrt(sum((at - fmean(places)) ** 2 for at in places))
        if len(self) < 2 or not spread:  # noqa: PLR2004 - a line takes two points
            return None
        return linear_regression(places, self.values).slope, noise / spread

    def steps(self) -> list[tuple[int, float, float]]:
        """Each value with its place and the one before it: (place, before, value)."""
        return [(at, before, value) for at, (before, value) in enumerate(pairwise(self.values), start=1)]

    def evidence(self, *places: int) -> Evidence:
        """The values at these places, in their order; without places, all of them."""
        chosen = sorted({at % len(self) for at in places}) if places else range(len(self))
        return Evidence(
            name=self.name,
            points=tuple(MetricPoint(epoch=self.epochs[at], value=self.values[at]) for at in chosen),
        )


def show_recorded(*metrics: Series) -> tuple[Evidence, ...]:
    """All values of each metric; those that were not recorded are no evidence."""
    return tuple(one.evidence() for one in metrics if one.values)
