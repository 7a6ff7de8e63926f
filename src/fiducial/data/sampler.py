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
        valid: how many of the rows count; 0 where a batch has too few cases for all processes, and this one
            takes part with a row that does not count.
    """

    def __init__(self, rows: Sequence[int], *, epoch: int = 0, step: int = 0, size: int = 0, valid: int = 0) -> None:
        super().__init__(rows)
        self.epoch, self.step, self.size, self.valid = epoch, step, size, valid

    @classmethod
    def of(cls, batch: Int[Tensor, " cases"], *, epoch: int, step: int, rank: int, world_size: int) -> Portion:
        """Return what process `rank` takes of a batch: each `world_size`-th row, from number `rank` on."""
        rows = batch[rank::world_size].tolist()
        return cls(rows or batch[:1].tolist(), epoch=epoch, step=step, size=len(batch), valid=len(rows))


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


class BatchSampler(Sampler[list[int]]):
    """Give this process its portion of each batch.

    Batches are the same on any number of processes; every process takes part in each, and each case counts once in the
    loss. In the statistics of a batch normalisation, a process without a case of its own counts the batch's first.
    A single case that is left over is no training batch of its own: it joins the one before it. Batch normalisation of
    one value a channel, where a network ends in 1x1 maps, has no variance to divide by.

    Args:
        rows: row numbers of the cases of one split.
        batch_size: cases in a batch, all processes together.
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
        self.rows, self.batch_size, self.order, self.weights = rows, batch_size, order, weights
        self.seed, self.epoch, self.rank, self.world_size = seed, epoch, rank, world_size

    def __iter__(self) -> Iterator[list[int]]:
        epoch = self.epoch()
        order = epoch_order(self.rows, self.order, weights=self.weights, seed=self.seed, epoch=epoch)
        for step, batch in enumerate(torch.split(order, self.sizes)):
            yield Portion.of(batch, epoch=epoch, step=step, rank=self.rank, world_size=self.world_size)

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def sizes(self) -> list[int]:
        """Cases in each batch of an epoch."""
        full, left = divmod(len(self.rows), self.batch_size)
        sizes = [self.batch_size] * full
        if left == 1 and full and self.order != "listed":
            sizes[-1] += left
        elif left:
            sizes.append(left)
        return sizes
