"""Which cases form each batch, on one process or several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch
from torch.utils.data import Sampler

from fiducial.randomness import generator
from fiducial.types import Float, Int, Tensor

Order = Literal["listed", "shuffled", "balanced", "fixed"]


class Portion(list[int]):
    """Rows that one process takes of a batch, and what the batch is.

    Attributes:
        epoch: number of the epoch.
        step: number of the batch in it.
        size: cases in the batch, all processes together.
    """

    def __init__(
        self, rows: Sequence[int], *, epoch: int = 0, step: int = 0, size: int | None = None
    ) -> None:
        super().__init__(rows)
        self.epoch, self.step, self.size = epoch, step, len(rows) if size is None else size


def epoch_order(
    rows: Int[Tensor, " cases"],
    order: Order,
    *,
    weights: Float[Tensor, " cases"] | None = None,
    seed: int = 0,
    epoch: int = 0,
) -> Int[Tensor, " cases"]:
    """Return the rows in the order in which one epoch visits them.

    "balanced" draws with replacement, each case with a probability proportional to its weight; "fixed" is
    shuffled, and the same in every epoch.
    """
    if order == "listed":
        return rows
    draw = generator(seed, "order", 0 if order == "fixed" else epoch)
    if order == "balanced":
        assert weights is not None
        return rows[torch.multinomial(weights, len(rows), replacement=True, generator=draw)]
    return rows[torch.randperm(len(rows), generator=draw)]


def batch_sizes(cases: int, batch_size: int, world_size: int) -> list[int]:
    """Cut an epoch into batches of `batch_size`; a remainder too small for all processes joins the last.

    Every process takes part in every batch and every case occurs once, so that metrics need no correction.
    """
    full, rest = divmod(cases, batch_size)
    sizes = [batch_size] * full
    if sizes and 0 < rest < world_size:
        sizes[-1] += rest
    elif rest:
        sizes.append(rest)
    return sizes


class BatchSampler(Sampler[list[int]]):
    """Give this process its portion of each batch: rows rank, rank + world_size, …

    Args:
        rows: row numbers of the cases of one split, at least one for each process.
        batch_size: cases in a batch, all processes together, at least one for each process.
        order: "listed" as in the table, "shuffled", "balanced" by weights, or "fixed".
        weights: of each case, for "balanced".
        seed: of the run.
        epoch: tells the number of the epoch that begins.
        rank: number of this process.
        world_size: number of processes.
    """

    def __init__(
        self,
        rows: Int[Tensor, " cases"],
        batch_size: int,
        *,
        order: Order = "listed",
        weights: Float[Tensor, " cases"] | None = None,
        seed: int = 0,
        epoch: Callable[[], int] = lambda: 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        assert min(len(rows), batch_size) >= world_size
        self.rows, self.order, self.weights = rows, order, weights
        self.seed, self.epoch, self.rank, self.world_size = seed, epoch, rank, world_size
        self.sizes = batch_sizes(len(rows), batch_size, world_size)

    def __iter__(self) -> Iterator[list[int]]:
        epoch = self.epoch()
        order = epoch_order(self.rows, self.order, weights=self.weights, seed=self.seed, epoch=epoch)
        for step, batch in enumerate(order.split(self.sizes)):
            rows = batch[self.rank :: self.world_size].tolist()
            yield Portion(rows, epoch=epoch, step=step, size=len(batch))

    def __len__(self) -> int:
        return len(self.sizes)
