"""What is left of an image after blocks of convolution and pooling, by arithmetic alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

from fiducial.errors import InputError

Extent = tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """One block.

    Attributes:
        pooling: how it pools; "none" if it does not.
        stride: of its convolution.
        border: that its convolution adds on each side.
        extent: what it leaves of each spatial axis.
    """

    pooling: str
    stride: int
    border: int
    extent: Extent


def blocks(
    size: Sequence[int],
    *,
    widths: Sequence[int],
    kernel_size: int,
    pooling: str,
    pool_after: Sequence[bool] | int | None,
    padding: str,
    norm: str,
    num_groups: int,
) -> Iterator[Step]:
    """Yield what each block does to an image's extent; the arguments are those of `fiducial.models.plain_cnn.PlainCNN`.

    Raises:
        InputError: the image is too small for the blocks, or options do not fit each other.
    """
    if padding == "same" and kernel_size % 2 == 0:
        raise InputError(f"padding=same needs an odd kernel_size; got {kernel_size}")
    extent, border = tuple(size), kernel_size // 2 if padding == "same" else 0
    pooled = _pooled(pool_after, num_blocks=len(widths), pooling=pooling)
    for number, (width, pools) in enumerate(zip(widths, pooled, strict=True), start=1):
        stride = 2 if pools and pooling == "strided" else 1
        convolved = tuple((n + 2 * border - kernel_size) // stride + 1 for n in extent)
        _check_norm(norm, width, convolved, num_groups)
        extent = tuple(n // 2 for n in convolved) if pools and pooling in ("max", "average") else convolved
        if min(extent) < 1:
            less = "a smaller kernel_size, or padding=same" if padding == "valid" else "or less pooling"
            raise InputError(
                f"after block {number} nothing is left of a {'×'.join(map(str, size))} image; use fewer widths, {less}"
            )
        yield Step(pooling if pools else "none", stride, border, extent)


def _pooled(pool_after: Sequence[bool] | int | None, *, num_blocks: int, pooling: str) -> list[bool]:
    """Return for each block whether it pools."""
    if pool_after is None or pooling == "none":
        return [pooling != "none"] * num_blocks
    if isinstance(pool_after, Sequence):
        if len(pool_after) != num_blocks:
            raise InputError(f"pool_after must have one value for each of {num_blocks} widths; got {list(pool_after)}")
        return [bool(pool) for pool in pool_after]
    if isinstance(pool_after, bool) or not 0 <= pool_after <= num_blocks:
        raise InputError(
            f"pool_after must be a list of truth values or a number of blocks from 0 to {num_blocks}; got {pool_after}"
        )
    return [number < pool_after for number in range(num_blocks)]


def _check_norm(norm: str, width: int, extent: Extent, num_groups: int) -> None:
    if norm in ("none", "batch"):
        return
    groups = {"layer": 1, "group": num_groups, "instance": width}[norm]
    if groups < 1 or width % groups:
        raise InputError(f"norm=group needs widths that num_groups divides; got {width} and {num_groups}")
    if width // groups * prod(extent) == 1:
        raise InputError(f"norm={norm} is left with one value to normalise over; use fewer widths, or norm=layer")
