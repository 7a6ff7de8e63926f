"""The four tutorial networks, as their presets compose them: counted by hand, with their optimizers, and trained."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

from fiducial.config import compose
from fiducial.config.construction import component
from fiducial.runs.build import build_data, build_task


class Tutorial(NamedTuple):
    """What a tutorial prescribes. Weights are counted as kernel × inputs × outputs + outputs, layer by layer."""

    shape: tuple[int, ...]
    batch_size: int | None
    epochs: int
    weights: int
    optimizer: dict[str, Any]
    loss: type[nn.Module]


ADAM = {"betas": (0.9, 0.999)}
TUTORIALS = {
    "tutorial_digits_cnn": Tutorial(
        (1, 28, 28), None, 5,
        (9 * 1 * 32 + 32) + (9 * 32 * 64 + 64) + (9 * 64 * 64 + 64)
        + (3 * 3 * 64 * 64 + 64) + (64 * 10 + 10),  # 28 → 26 → 13 → 11 → 5 → 3
        ADAM, nn.CrossEntropyLoss,
    ),
    "tutorial_large_cnn": Tutorial(
        (3, 224, 224), 32, 10,
        (9 * 3 * 32 + 32) + (9 * 32 * 64 + 64) + (9 * 64 * 128 + 128)
        + (26 * 26 * 128 * 1024 + 1024) + (1024 * 10 + 10),  # 224 → 222 → 111 → 109 → 54 → 52 → 26
        ADAM, nn.CrossEntropyLoss,
    ),
    "tutorial_lenet": Tutorial(
        (3, 32, 32), 100, 10,
        (25 * 3 * 6 + 6) + (25 * 6 * 16 + 16)
        + (5 * 5 * 16 * 120 + 120) + (120 * 84 + 84) + (84 * 10 + 10),  # 32 → 28 → 14 → 10 → 5
        {"lr": 0.001, "momentum": 0.9, "nesterov": False}, nn.CrossEntropyLoss,
    ),
    "tutorial_nodule_cnn": Tutorial(
        (3, 64, 64), 32, 10,
        (9 * 3 * 32 + 32) + (9 * 32 * 64 + 64) + (14 * 14 * 64 * 128 + 128) + (128 * 1 + 1),  # 64 → 62 → 31 → 29 → 14
        ADAM, nn.BCEWithLogitsLoss,
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if "large" in name else ()) for name in TUTORIALS]
)
def test_tutorial_is_as_prescribed_and_trains(name: str) -> None:
    tutorial = TUTORIALS[name]
    cfg = compose([f"experiment={name}", "data.source.num_subjects=24", "hardware=cpu"]).cfg
    data = build_data(cfg)
    task = build_task(cfg, data, component(cfg.hardware))
    optimizer = task.configure_optimizers()

    assert cfg.epochs == tutorial.epochs
    assert tutorial.batch_size in (None, cfg.data.get("batch_size"))
    assert sum(weight.numel() for weight in task.model.parameters()) == tutorial.weights
    assert type(optimizer) is (torch.optim.SGD if "lenet" in name else torch.optim.Adam)
    assert {key: optimizer.param_groups[0][key] for key in tutorial.optimizer} == tutorial.optimizer
    assert type(task.loss) is tutorial.loss

    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert batch["image"].shape[1:] == tutorial.shape
    losses = []
    for _ in range(2):
        optimizer.zero_grad()
        loss, _ = task.step(batch)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert math.isfinite(losses[0])
    assert losses[1] != losses[0]


def test_lenet_sees_inputs_from_minus_one_to_one() -> None:
    source = ["data.source.num_subjects=24", "hardware=cpu"]
    data = build_data(compose(["experiment=tutorial_lenet", *source]).cfg)
    raw = build_data(compose(["experiment=tutorial_lenet", "data.mean=0", "data.std=1", *source]).cfg)
    found, pixels = (one.on_after_batch_transfer(next(iter(one.val_dataloader())), 0)["image"] for one in (data, raw))
    torch.testing.assert_close(found, (pixels - 0.5) / 0.5)
