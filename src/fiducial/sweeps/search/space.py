"""What is searched: the values that each setting may take. No torch, no Optuna."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from fiducial.config import compose
from fiducial.errors import InputError

MAX_COMPOSED = 40  # of the configurations that are checked beforehand, at about 0.2 s each


@dataclass(frozen=True)
class Choice:
    """A setting that takes one of some values.

    Attributes:
        key: the setting ("model", "optimizer.lr").
        values: as they are written in an override.
    """

    key: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        return f"choice({', '.join(self.values)})"

    @property
    def points(self) -> tuple[str, ...]:
        """All values."""
        return self.values

    @property
    def ends(self) -> tuple[str, ...]:
        """The values that must be tried to know that all can be run: each of them."""
        return self.values


@dataclass(frozen=True)
class Interval:
    """A setting that takes a number between two others, both included.

    Attributes:
        key: the setting.
        low: least value.
        high: greatest value.
        log: whether its logarithm counts.
        step: between neighbours; None for any real number.
    """

    key: str
    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __str__(self) -> str:
        step = "" if self.step is None else f", step {self.step:g}"
        return f"{'log ' if self.log else ''}interval({self.low:g}, {self.high:g}{step})"

    @property
    def whole(self) -> bool:
        """Whether only integers are meant."""
        return isinstance(self.low, int)

    @property
    def points(self) -> tuple[str, ...] | None:
        """All values, as they are written in an override; None where there are too many to be listed."""
        if self.step is None:
            return None
        return tuple(self.text(self.low + number * self.step) for number in range(self._num_steps + 1))

    @property
    def ends(self) -> tuple[str, ...]:
        """The values that must be tried to know that all can be run: the least and the greatest."""
        return self.text(self.low), self.text(self.high)

    @property
    def _num_steps(self) -> int:
        assert self.step is not None
        return round((self.high - self.low) / self.step)

    def text(self, value: float) -> str:
        """Return a value as it is written in an override."""
        return str(int(value)) if self.whole else repr(rounded(value) if self.step else float(value))


Dimension = Choice | Interval


@dataclass(frozen=True)
class Space:
    """The settings that are searched, in the order given.

    Attributes:
        dimensions: one for each setting.
    """

    dimensions: tuple[Dimension, ...]

    @property
    def keys(self) -> list[str]:
        """Names of the settings."""
        return [one.key for one in self.dimensions]

    def described(self) -> dict[str, str]:
        """Return what each setting may be, as text."""
        return {one.key: str(one) for one in self.dimensions}

    def grid(self) -> list[dict[str, str]]:
        """Return every combination, the last setting changing first.

        Raises:
            InputError: an interval has no steps.
        """
        columns = []
        for one in self.dimensions:
            if one.points is None:
                raise InputError(
                    f"{one.key}: a grid needs values to go through, got {one}; "
                    f"give {one.key}=a,b,c or {one.key}=range(low,high,step), or another search"
                )
            columns.append(one.points)
        return [dict(zip(self.keys, values, strict=True)) for values in product(*columns)]

    def samples(self) -> Iterator[dict[str, str]]:
        """Yield combinations in which every value of a choice, and both ends of every interval, come up."""
        first = {one.key: one.ends[0] for one in self.dimensions}
        yield first
        yield {one.key: one.ends[-1] for one in self.dimensions}
        for one in self.dimensions:
            if isinstance(one, Choice):
                yield from ({**first, one.key: value} for value in one.values[1:])

    def check(self, base: Sequence[str], config_dir: str | None) -> None:
        """Compose a configuration for every value of a choice and both ends of every interval.

        Raises:
            InputError: one of them cannot be run.
        """
        seen: list[dict[str, str]] = []
        for sample in self.samples():
            if sample in seen or len(seen) == MAX_COMPOSED:
                continue
            seen.append(sample)
            compose([*base, *(f"{key}={value}" for key, value in sample.items())], config_dir)


def rounded(value: float) -> float:
    """Return a number without the noise of adding up steps."""
    return float(f"{value:.12g}")
