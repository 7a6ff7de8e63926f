from __future__ import annotations

import pickle

import pytest
import torch

from fiducial.data.sampler import BatchSampler, Portion, epoch_order

ROWS = torch.arange(100, 153)  # 53 cases, the row numbers of which do not start at 0


@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
@pytest.mark.parametrize("batch_size", [1, 3, 4, 7, 10, 13, 52, 53, 60])
@pytest.mark.parametrize("order", ["listed", "shuffled", "fixed"])
def test_every_case_counts_once(world_size: int, batch_size: int, order: str) -> None:
    samplers = [
        BatchSampler(ROWS, batch_size, order=order, rank=rank, world_size=world_size) for rank in range(world_size)
    ]
    portions = [list(sampler) for sampler in samplers]
    joined = order != "listed" and batch_size in (4, 13, 52)  # one case would be left over
    expected = -(-53 // batch_size) - joined
    assert {len(part) for part in portions} | {len(sampler) for sampler in samplers} == {expected}
    rows = [row for part in portions for portion in part for row in portion[: portion.valid]]
    assert sorted(rows) == ROWS.tolist()
    for step, batch in enumerate(zip(*portions, strict=True)):
        assert min(len(portion) for portion in batch) >= 1, "every process takes part in every batch"
        counts = [portion.valid for portion in batch]
        assert max(counts) - min(counts) <= 1
        assert {(portion.step, portion.size) for portion in batch} == {(step, sum(counts))}


def test_a_single_case_left_over_trains_with_the_batch_before_it_and_is_validated_alone() -> None:
    def sizes(batch_size: int, order: str) -> list[int]:
        return [len(batch) for batch in BatchSampler(ROWS, batch_size, order=order)]

    assert sizes(13, "shuffled") == [13, 13, 13, 14]
    assert sizes(13, "listed") == [13, 13, 13, 13, 1]
    assert sizes(17, "shuffled") == [17, 17, 17, 2]
    assert sizes(52, "fixed") == [53]
    assert sizes(1, "shuffled") == [1] * 53


@pytest.mark.parametrize("world_size", [2, 3, 4])
@pytest.mark.parametrize("batch_size", [1, 4, 13, 52])
def test_batches_hold_the_same_cases_on_any_number_of_processes(world_size: int, batch_size: int) -> None:
    def batches(rank: int, world_size: int) -> BatchSampler:
        return BatchSampler(ROWS, batch_size, order="shuffled", seed=3, rank=rank, world_size=world_size)

    several = zip(*(batches(rank, world_size) for rank in range(world_size)), strict=True)
    for whole, parts in zip(batches(0, 1), several, strict=True):
        assert sorted(whole) == sorted(row for part in parts for row in part[: part.valid])


def test_order_follows_from_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return epoch_order(ROWS, "shuffled", seed=seed, epoch=epoch).tolist()

    assert order(0, 0) == order(0, 0)
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


def test_fixed_order_is_shuffled_and_the_same_in_every_epoch() -> None:
    orders = [epoch_order(ROWS, "fixed", seed=1, epoch=epoch).tolist() for epoch in range(3)]
    assert orders[0] == orders[1] == orders[2]
    assert orders[0] != ROWS.tolist()


def test_balanced_draws_by_weight() -> None:
    weights = torch.tensor([1.0] * 50 + [9.0] * 3)
    drawn = torch.cat([epoch_order(ROWS, "balanced", weights=weights, epoch=epoch) for epoch in range(200)])
    expected = 27 / (50 + 27)
    assert (drawn >= 150).float().mean().item() == pytest.approx(expected, abs=0.02)


def test_portions_survive_the_way_to_a_worker() -> None:
    portion = pickle.loads(pickle.dumps(Portion([3, 4], epoch=5, step=6, size=7, valid=2)))
    assert list(portion) == [3, 4]
    assert vars(portion) == {"epoch": 5, "step": 6, "size": 7, "valid": 2}


def test_epoch_is_asked_for_when_it_begins() -> None:
    epochs = iter([4, 5])
    sampler = BatchSampler(ROWS, 53, order="shuffled", epoch=lambda: next(epochs))
    first, second = next(iter(sampler)), next(iter(sampler))
    assert isinstance(first, Portion)
    assert isinstance(second, Portion)
    assert (first.epoch, second.epoch) == (4, 5)
    assert first == epoch_order(ROWS, "shuffled", epoch=4).tolist()
