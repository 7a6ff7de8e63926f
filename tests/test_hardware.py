from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DDPStrategy, FSDPStrategy

from fiducial import ranks
from fiducial.checkpoints import AtomicCheckpointIO
from fiducial.config import compose
from fiducial.config.construction import component
from fiducial.errors import InputError
from fiducial.hardware import Hardware, build_trainer
from fiducial.runs.build import build_data, build_task
from fiducial.tasks.segmentation import Segmentation


class TrainerCall(Exception):  # noqa: N818 - carries arguments, is no error
    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self.arguments = arguments


@pytest.fixture
def arguments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Return what Lightning's trainer would be given; devices that are not here cannot be tried."""

    def trainer(**arguments: Any) -> None:
        raise TrainerCall(arguments)

    def arguments(hardware: Hardware, **own: Any) -> Mapping[str, Any]:
        monkeypatch.setattr(pl, "Trainer", trainer)
        with pytest.raises(TrainerCall) as call:
            build_trainer(
                hardware, out=tmp_path, epochs=3, logger=None, callbacks=[], checkpoint_io=AtomicCheckpointIO(),
                arguments=own,
            )  # fmt: skip
        return call.value.arguments

    return arguments


@pytest.fixture
def four_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)


def option(name: str, *overrides: str) -> Hardware:
    hardware = component(compose([f"hardware={name}", *overrides]).cfg.hardware)
    assert isinstance(hardware, Hardware)
    return hardware


@pytest.mark.usefixtures("four_gpus")
@pytest.mark.parametrize(
    ("name", "accelerator", "devices", "strategy", "precision"),
    [
        ("auto", "gpu", 1, str, "32-true"),
        ("cpu", "cpu", 1, str, "32-true"),
        ("gpu", "gpu", 1, str, "32-true"),
        ("multi_gpu", "gpu", 4, DDPStrategy, "32-true"),
        ("fsdp", "gpu", 4, FSDPStrategy, "bf16-mixed"),
        ("cpu_ddp", "cpu", 2, DDPStrategy, "32-true"),
    ],
)
def test_arguments_of_the_trainer(
    name: str, accelerator: str, devices: int, strategy: type, precision: str, arguments: Any
) -> None:
    hardware = option(name)
    hardware.check()
    given = arguments(hardware)
    assert given["accelerator"] == accelerator
    assert given["devices"] == devices
    assert isinstance(given["strategy"], strategy)
    assert given["precision"] == precision
    assert given["use_distributed_sampler"] is False
    assert hardware.starts_processes == (devices > 1)
    if strategy is DDPStrategy:
        assert given["strategy"]._process_group_backend == ("nccl" if accelerator == "gpu" else "gloo")
    assert hardware.alone().processes == 1


@pytest.mark.usefixtures("four_gpus")
def test_fastest_on_a_gpu() -> None:
    assert Hardware(accelerator="gpu", precision="fastest").lightning_precision() == "bf16-mixed"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("hardware.precision=16-mixed", "bf16-mixed is the half precision"),
        ("hardware.sync_batchnorm=true", "CUDA GPUs"),
    ],
)
def test_what_a_cpu_has_not_is_refused(given: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        option("cpu", given).check()


def test_options_reach_the_trainer(arguments: Any) -> None:
    hardware = option("cpu", "hardware.accumulate=4", "hardware.clip_norm=0.5", "hardware.num_nodes=3")
    given = arguments(hardware, max_epochs=7)
    assert given["accumulate_grad_batches"] == 4
    assert given["gradient_clip_val"] == 0.5
    assert given["num_nodes"] == 3
    assert given["max_epochs"] == 7, "what the user says of the trainer wins"


@pytest.mark.parametrize(("accumulate", "static"), [(1, True), (2, False)])
def test_graph_is_static_unless_gradients_are_accumulated(accumulate: int, static: bool, arguments: Any) -> None:
    options = arguments(option("cpu_ddp", f"hardware.accumulate={accumulate}"))["strategy"]._ddp_kwargs
    assert options == {"static_graph": static, "find_unused_parameters": not static}


@pytest.mark.usefixtures("four_gpus")
def test_more_gpus_than_there_are() -> None:
    with pytest.raises(InputError, match=r"hardware.devices=8 .* sees 4 CUDA devices"):
        option("multi_gpu", "hardware.devices=8").check()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, False),
        ({"LOCAL_RANK": "0"}, True),
        ({"SLURM_NTASKS": "4", "SLURM_STEP_NUM_TASKS": "4"}, True),  # srun
        ({"SLURM_NTASKS": "4", "SLURM_STEP_NUM_TASKS": "1"}, False),
        ({"SLURM_NTASKS": "4"}, False),  # a batch script that runs the command by itself
    ],
)
def test_launchers_are_recognised(variables: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOCAL_RANK", "SLURM_NTASKS", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert ranks.launched() == expected
    assert Hardware(accelerator="cpu", devices=2).starts_processes != expected


@pytest.mark.parametrize("tasks", ["1", "4"])
def test_a_batch_script_of_slurm_may_run_the_command_by_itself(
    tasks: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {"SLURM_NTASKS": tasks, "SLURM_JOB_NAME": "train", "SLURM_NODEID": "0", "SLURM_LOCALID": "0"}
    for name, value in {**variables, "SLURM_PROCID": "0", "SLURM_JOB_ID": "17", "SLURM_NNODES": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SLURM_STEP_NUM_TASKS", raising=False)
    trainer = build_trainer(
        option("cpu"),
        out=tmp_path,
        epochs=1,
        logger=None,
        callbacks=[],
        checkpoint_io=AtomicCheckpointIO(),
        arguments={},
    )
    assert (trainer.world_size, trainer.global_rank) == (1, 0)


PREPARE = """
import ctypes, torch
calls = []
class Libc:
    def mallopt(self, option, value):
        calls.append((option, value))
ctypes.CDLL = lambda name: Libc()
from fiducial.hardware import Hardware
for options in OPTIONS:
    calls.clear()
    Hardware(accelerator="cpu", **options).prepare()
    print(torch.get_num_threads(), calls)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is glibc's")
def test_prepare_sets_threads_and_memory() -> None:
    cores = len(os.sched_getaffinity(0))
    expected: list[tuple[dict[str, Any], int, list[tuple[int, int]]]] = [
        ({"threads": 1}, 1, [(-3, 2**31 - 1), (-1, 2**31 - 1)]),
        ({"keep_memory": False}, cores, []),
        ({"devices": 2, "keep_memory": False}, max(1, cores // 2), []),
    ]
    script = PREPARE.replace("OPTIONS", repr([options for options, _, _ in expected]))
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    said = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.splitlines() == [f"{threads} {calls}" for _, threads, calls in expected]


def test_fastest_follows_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    hardware = option("cpu_fast")
    for flags, expected in (("fpu avx512f", "32-true"), ("fpu amx_bf16", "bf16-mixed"), ("asimd bf16", "bf16-mixed")):
        monkeypatch.setattr(Path, "read_text", lambda self, encoding, flags=flags: f"flags : {flags}")
        assert hardware.lightning_precision() == expected
    assert hardware.memory_format is torch.channels_last


def test_layout_of_pictures_and_volumes() -> None:
    """A network may have both, as one that reads slices does."""
    parts = [torch.nn.Conv2d(4, 8, 3), torch.nn.Conv3d(4, 8, 3), torch.nn.Linear(4, 8), torch.nn.LSTM(4, 8)]
    network = torch.nn.ModuleList(parts)
    before = {name: weight.clone() for name, weight in network.named_parameters()}
    option("cpu_fast").lay_out(network)
    assert parts[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert not parts[0].weight.is_contiguous()
    assert all(weight.is_contiguous() for part in parts[1:] for weight in part.parameters())
    assert all(torch.equal(weight, before[name]) for name, weight in network.named_parameters())


@pytest.mark.parametrize(("data", "model"), [("phantom", "plain_cnn"), ("phantom_segmentation", "unet")])
def test_greyscale_images_are_in_the_layout(data: str, model: str, tmp_path: Path) -> None:
    """One channel is contiguous in either layout: only its strides say which is meant."""
    cfg = compose(
        [f"data={data}", f"model={model}", "data.source.num_subjects=6", "hardware=cpu_fast", f"outputs={tmp_path}"]
    ).cfg
    task = build_task(cfg, build_data(cfg), component(cfg.hardware))
    made: list[torch.Tensor] = []
    first = next(layer for layer in task.modules() if isinstance(layer, torch.nn.Conv2d))
    first.register_forward_hook(lambda layer, given, output: made.append(output))
    batch = {"image": torch.rand(2, 1, *cfg.data.spec.size)}
    network = task._network(batch) if isinstance(task, Segmentation) else lambda image: task(batch)
    network(batch["image"])
    assert not made[0].is_contiguous()
    assert made[0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"accelerator": "gpo"}, "did you mean gpu"), ({"strategy": "dpp"}, "did you mean ddp")],
)
def test_bad_options(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Hardware(**options)
