from __future__ import annotations

import pytest

from fiducial.errors import InputError
from fiducial.sweeps import slots as module
from fiducial.sweeps.slots import most_demanding, slots, visible_gpus


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    def of(cores: int, gpus: str) -> None:
        monkeypatch.setattr(module, "cores", lambda: cores)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)

    return of


def threads(given: list[dict[str, str]]) -> list[int]:
    return [int(slot["OMP_NUM_THREADS"]) for slot in given]


def test_cores_are_divided_between_as_many_jobs_as_there_are(machine) -> None:
    machine(8, "")
    cpu = {"accelerator": "cpu"}
    assert threads(slots(cpu, None, None)) == [1] * 8
    assert threads(slots(cpu, 3, None)) == [2] * 3
    assert threads(slots(cpu, 1, None)) == [8]
    assert threads(slots(cpu, 20, 2)) == [4] * 2
    assert threads(slots(cpu | {"threads": 4}, 20, None)) == [4] * 2
    assert threads(slots(cpu | {"devices": 2}, 20, None)) == [2] * 4  # two processes each, one thread a process


def test_a_gpu_belongs_to_one_job(machine) -> None:
    machine(8, "GPU-a,1,2,3")
    one = slots({"accelerator": "auto"}, None, None)
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in one] == ["GPU-a", "1", "2", "3"]
    assert threads(one) == [2] * 4
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in slots({"devices": 2}, None, None)] == ["GPU-a,1", "2,3"]
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in slots({"devices": "auto"}, None, None)] == ["GPU-a,1,2,3"]
    assert "CUDA_VISIBLE_DEVICES" not in slots({"accelerator": "cpu"}, None, None)[0]
    with pytest.raises(InputError, match="4 fit at once"):
        slots({"accelerator": "gpu"}, None, 5)


@pytest.mark.parametrize(
    ("gpus", "several", "most"),
    [
        ("", ({"accelerator": "cpu"}, {"accelerator": "cpu", "devices": 2}), 1),
        ("", ({"accelerator": "cpu", "threads": 4}, {"accelerator": "cpu", "threads": 2}), 0),
        ("", ({"accelerator": "cpu", "devices": 2}, {"accelerator": "auto", "devices": "auto"}), 0),
        ("0,1", ({"accelerator": "cpu", "devices": 8}, {"accelerator": "gpu"}), 1),  # all are shown one GPU
        ("0,1", ({"accelerator": "gpu", "devices": 2}, {"accelerator": "auto", "devices": "auto"}), 1),
    ],
)
def test_slots_have_room_for_the_most_demanding_run(machine, gpus: str, several: tuple, most: int) -> None:
    machine(8, gpus)
    assert most_demanding(several) is several[most]
    assert most_demanding(several[::-1]) is several[most]


def test_no_gpu_is_seen_where_all_are_hidden(machine) -> None:
    machine(1, "-1")
    assert visible_gpus() == []
    with pytest.raises(InputError, match="at_once"):
        slots({"accelerator": "cpu"}, None, 0)
