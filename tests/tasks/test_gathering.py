from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

import forked
from fiducial.tasks.gathering import Gathered, Mean

CPU = torch.device("cpu")


def test_batches_are_joined_in_order_and_forgotten() -> None:
    gathered = Gathered()
    gathered.add(2, row=torch.tensor([4, 1]), value=torch.tensor([[0.5], [0.25]], requires_grad=True))
    gathered.add(1, row=torch.tensor([7, 9]), value=torch.tensor([[1.0], [8.0]]))
    joined = gathered.join(CPU)
    assert joined["row"].tolist() == [4, 1, 7], "the row that does not count is left out"
    assert joined["value"].tolist() == [[0.5], [0.25], [1.0]]
    assert not joined["value"].requires_grad
    assert gathered.join(CPU) == {}


def test_mean_weighs_batches_by_their_size() -> None:
    mean = Mean()
    mean.add(torch.tensor(1.0), 30)
    mean.add(torch.tensor(4.0), 10)
    assert mean.compute(CPU).item() == pytest.approx((30 * 1 + 10 * 4) / 40)
    mean.add(torch.tensor(2.0), 1)
    assert mean.compute(CPU).item() == 2.0


def process(rank: int, store: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"file://{store}", rank=rank, world_size=2)
    gathered, mean = Gathered(), Mean()
    count = [3, 0][rank]
    gathered.add(count, row=torch.arange(max(count, 1)) + 10 * rank, p=torch.full((max(count, 1), 2), float(rank)))
    gathered.add(1, row=torch.tensor([50 + rank]), p=torch.full((1, 2), float(rank)))
    joined = gathered.join(CPU)
    assert sorted(joined["row"].tolist()) == [0, 1, 2, 50, 51]
    assert joined["p"].shape == (5, 2)
    assert joined["p"][joined["row"] == 51].tolist() == [[1.0, 1.0]]
    mean.add(torch.tensor([1.0, 0.0][rank]), 3)  # batch of 3, all on the first process; its mean is 1
    mean.add(torch.tensor([0.5, 2.5][rank]), 2)  # batch of 2; the parts sum to its mean, 3
    assert mean.compute(CPU).item() == pytest.approx((3 * 1 + 2 * 3) / 5)
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_processes_with_different_numbers_of_cases(tmp_path: Path) -> None:
    here = Path(__file__).parent
    code = f"import sys; sys.path += {[str(here), str(here.parent)]}; from test_gathering import process; "
    command = [sys.executable, "-c", code + "process(int(sys.argv[1]), sys.argv[2])"]
    processes = [forked.Popen([*command, str(rank), str(tmp_path / "store")]) for rank in range(2)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
