"""Runs on a CUDA GPU, as a user starts them; each is held against the CPU, or against itself.

pytest -m gpu
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from fiducial.cli.command import main, run
from fiducial.runs import outcome
from fiducial.tasks.base import Task
from fiducial.tracking.system import sample

Train = Callable[..., Path]
Weights = Callable[..., dict[str, torch.Tensor]]
Points = Callable[[Path], list[tuple[str, int, float]]]

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device"),
    # The run itself says so; torch has no other kernel for the gradient of some resampling.
    pytest.mark.filterwarnings("ignore:.*does not have a deterministic implementation:UserWarning"),
    pytest.mark.filterwarnings("ignore:FSDP is switching to use `NO_SHARD`:UserWarning"),  # with one GPU
]

QUICK = ("hardware.threads=1", "tracking=none", "tracking.system_metrics_seconds=0", "debug=fast")
TINY_VOLUMES = ("data=phantom_3d", "data.source.size=[16,16,16]", "data.source.num_subjects=12")
TINY_MASKS = ("data=phantom_segmentation", "data.source.num_subjects=12", "data.patches.size=[32,32]")
TINY_MASK_VOLUMES = (
    "data=phantom_segmentation_3d", "data.source.num_subjects=10", "data.source.size=[16,32,32]",
    "data.patches.size=[16,32,32]",
)  # fmt: skip
COMBINATIONS: dict[str, tuple[str, ...]] = {
    **{name: (f"model={name}",) for name in ("plain_cnn", "lenet", "resnet18", "seresnet50", "efficientnet_b0")},
    "densenet121": ("model=densenet121", "data.source.size=[32,32]"),
    "vit": ("model=vit",),
    "row_rnn": ("model=row_rnn",),
    "renet": ("model=renet",),
    "volumes": (*TINY_VOLUMES, "model=resnet18"),
    "augmented volumes": (*TINY_VOLUMES, "model=plain_cnn", "augment=volume"),
    "augmented": ("augment=strong",),
    "balanced": ("loss.weight=balanced", "data.sampling=balanced"),
    "sequences": ("data=phantom_sequence", "model=cnn_rnn"),
    "late fusion": ("data=phantom_modalities", "model=late_fusion", "data.fill=learned", "data.channel_dropout=0.4"),
    "learned filling": ("data=phantom_modalities", "data.fill=learned", "data.channel_dropout=0.4"),
    "columns": ("data=phantom_table", "model=image_table"),
    **{f"masks by {name}": (*TINY_MASKS, f"model={name}") for name in ("unet", "dynunet", "attention_unet", "r2unet")},
    "masks by wnet": (*TINY_MASKS, "model=wnet", "augment=fundus"),
    **{f"masks, loss {name}": (*TINY_MASKS, f"loss={name}") for name in ("dice", "tversky", "cldice", "boundary")},
    "mask volumes by unet": (*TINY_MASK_VOLUMES, "augment=volume"),
    "mask volumes by dynunet": (*TINY_MASK_VOLUMES, "model=dynunet", "model.filters=[4,8,8,8]"),
    "modality masks": ("data=phantom_modality_masks", "data.fill=learned", "data.channel_dropout=0.4"),
    "boxes": ("data=phantom_boxes", "augment=light"),
    "box volumes": ("data=phantom_boxes_3d", "model.backbone.widths=[4,8]"),
}


@contextmanager
def killed_in(epoch: int, step: int = 3) -> Iterator[None]:
    """End the process in the middle of an epoch."""
    original = Task.on_train_batch_end

    class KilledError(BaseException):
        pass

    def on_train_batch_end(self: Task, outputs: Any, batch: Any, batch_idx: int) -> None:
        original(self, outputs, batch, batch_idx)
        if (self.current_epoch, batch_idx) == (epoch, step):
            raise KilledError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Task, "on_train_batch_end", on_train_batch_end)
        with pytest.raises(KilledError):
            yield


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name].cpu(), other[name].cpu()) for name in one)


@pytest.mark.parametrize("overrides", COMBINATIONS.values(), ids=COMBINATIONS.keys())
def test_everything_runs_on_the_gpu(
    overrides: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcome, "draw", lambda *args, **options: {})
    torch.cuda.reset_peak_memory_stats()
    assert run("train", [*overrides, *QUICK, "hardware=gpu", f"outputs={tmp_path}"]) == 0
    assert torch.cuda.max_memory_allocated() > 0, "it was computed there"
    (out,) = tmp_path.glob("runs/*/*")
    assert (out / "scores.json").is_file()


def test_agrees_with_the_cpu(train: Train, weights: Weights, points: Points) -> None:
    """In full precision the two devices differ by rounding alone."""
    exact = ("epochs=4", "model.norm=batch", "hardware.channels_last=false")
    torch.backends.cudnn.allow_tf32 = False
    try:
        cpu, gpu = train(*exact, outputs="cpu"), train(*exact, "hardware=gpu", outputs="gpu")
    finally:
        torch.backends.cudnn.allow_tf32 = True
    for name, values in weights(cpu).items():
        torch.testing.assert_close(weights(gpu)[name].cpu(), values, rtol=1e-2, atol=1e-4)
    for (name, step, one), (_, _, other) in zip(points(cpu), points(gpu), strict=True):
        if "loss" in name:
            assert one == pytest.approx(other, rel=1e-3), f"{name} at {step}"


@pytest.mark.parametrize("augment", ["none", "strong"])
def test_same_seed_same_weights(augment: str, train: Train, weights: Weights) -> None:
    given = ("hardware=gpu", f"augment={augment}", "model.dropout=0.5", "model.norm=batch")
    assert same(weights(train(*given, outputs="one")), weights(train(*given, outputs="other")))


def test_killed_and_resumed_equals_uninterrupted(
    train: Train, weights: Weights, points: Points, tmp_path: Path
) -> None:
    given = ("hardware=gpu", "augment=strong", "model.dropout=0.5", "scheduler=one_cycle")
    whole = train(*given)
    with killed_in(epoch=2):
        train(*given, outputs="killed")
    out = train("resume=auto", *given, outputs="killed")
    assert same(weights(whole), weights(out))
    assert points(whole) == points(out)


OPTIONS: dict[str, tuple[str, ...]] = {
    "auto": ("hardware=auto",),
    "bfloat16": ("hardware=gpu", "hardware.precision=bf16-mixed"),
    "float16": ("hardware=gpu", "hardware.precision=16-mixed"),
    "fastest": ("hardware=gpu", "hardware.precision=fastest"),
    "accumulated and clipped": ("hardware=gpu", "hardware.accumulate=2", "hardware.clip_norm=0.5"),
    "ddp": ("hardware=multi_gpu", "hardware.devices=1"),
    "fsdp": ("hardware=fsdp", "hardware.devices=1"),
}


@pytest.mark.parametrize("overrides", OPTIONS.values(), ids=OPTIONS.keys())
def test_what_was_trained_on_the_gpu_is_scored_on_the_cpu(
    overrides: tuple[str, ...], train: Train, points: Points
) -> None:
    """Learns, and its checkpoint gives the same predictions without the GPU."""
    longer = ("epochs=12", "data.source.num_subjects=120", "optimizer.lr=0.005", "model.widths=[8,16]")
    out = train(*longer, *overrides)
    assert min(value for name, _, value in points(out) if name == "train/loss") < 0.45, "that of guessing is 0.69"
    assert run("evaluate", [str(out), "hardware=cpu", "hardware.threads=1"]) == 0
    (again,) = (out / "evaluations").iterdir()
    one, other = (pd.read_csv(place / "predictions.csv") for place in (out, again))
    assert one["case"].tolist() == other["case"].tolist()
    probabilities = [column for column in one if column.startswith("p_")]
    assert probabilities
    np.testing.assert_allclose(one[probabilities], other[probabilities], atol=0.03)


def test_a_compiled_network_learns_the_same(train: Train, points: Points, tmp_path: Path) -> None:
    """In a process of its own, in which shapes are not checked: the compiler cannot see through the checks."""
    plain = train("hardware=gpu", "epochs=3")
    given = json.loads((plain / "run.json").read_text())["overrides"]
    given += ["hardware.compile=true", f"outputs={tmp_path / 'compiled'}"]
    subprocess.run([sys.executable, "-m", "fiducial", "train", *given], check=True)
    (compiled,) = (tmp_path / "compiled").glob("runs/*/*")
    losses = [[value for name, _, value in points(out) if name == "val/loss"] for out in (plain, compiled)]
    assert len(losses[0]) == 3
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)


def test_predictions_of_files_are_those_of_the_cpu(train: Train, tmp_path: Path) -> None:
    from PIL import Image

    out = train("hardware=gpu")
    draw = np.random.default_rng(0)
    for number in range(3):
        Image.fromarray(draw.integers(0, 255, (16, 16), np.uint8)).save(tmp_path / f"{number}.png")
    tables = []
    for hardware in ("gpu", "cpu"):
        to = tmp_path / f"{hardware}.csv"
        assert run("predict", [str(out), str(tmp_path), "--to", str(to), f"hardware={hardware}"]) == 0
        tables.append(pd.read_csv(to).select_dtypes("number"))
    np.testing.assert_allclose(*tables, atol=1e-3)


def test_a_full_gpu_is_one_message(train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.cuda.set_per_process_memory_fraction(64 * 2**20 / torch.cuda.get_device_properties(0).total_memory)
    torch.cuda.empty_cache()
    try:
        large = ("data.source.size=[256,256]", "model.widths=[128]", "data.batch_size=full", "hardware.threads=1")
        with pytest.raises(SystemExit) as ended:
            main(["train", "hardware=gpu", "tracking=none", "epochs=1", *large, f"outputs={tmp_path}"])
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert "the GPU's memory is full" in said
    assert "data.batch_size" in said
    assert "Traceback" not in said


def test_the_load_of_the_gpu_is_sampled(tmp_path: Path) -> None:
    import psutil

    kept = torch.ones(2**20, device="cuda")
    values = sample(psutil.Process(), tmp_path)
    free, total = torch.cuda.mem_get_info()
    assert values["system/gpu_0_memory_gib"] == pytest.approx((total - free) / 2**30, abs=0.5)
    assert values["system/gpu_0_allocated_gib"] >= kept.nbytes / 2**30
