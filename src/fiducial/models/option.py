"""Checks of a model's options."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fiducial.errors import InputError, nearest


def check_choice(option: str, value: str, choices: Iterable[str]) -> None:
    """Refuse a name that is none of the choices.

    Raises:
        InputError: naming the choices, and the nearest.
    """
    names = list(choices)
    if value not in names:
        raise InputError(f"{option} must be one of {', '.join(names)}; got {value!r}{nearest(str(value), names)}")


def check_positive(option: str, *values: int) -> None:
    """Refuse a width, an extent or a number of layers below 1.

    Raises:
        InputError: a value is below 1.
    """
    if any(value < 1 for value in values):
        raise InputError(f"{option} must be at least 1; got {', '.join(map(str, values))}")


def check_dropout(option: str, value: float) -> None:
    """Refuse a probability of dropping that is not in [0, 1).

    Raises:
        InputError: it is outside.
    """
    if not 0 <= value < 1:
        raise InputError(f"{option} must be at least 0 and below 1; got {value}")


def check_size(size: Sequence[int], spatial_dims: int, *, fits: Sequence[int]) -> None:
    """Refuse a number of spatial dimensions that a model does not take, or a size of another number.

    Raises:
        InputError: the model does not take `spatial_dims`, or `size` has another number of entries.
    """
    if spatial_dims not in fits:
        raise InputError(f"spatial_dims must be {' or '.join(map(str, fits))}; got {spatial_dims}")
    if len(size) != spatial_dims:
        raise InputError(f"size must have {spatial_dims} entries, as spatial_dims says; got {list(size)}")
