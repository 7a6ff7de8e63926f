"""Every option of the group `scheduler` gives the learning rates of its closed form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from fiducial.config.composition import register

FOLDER = Path(__file__).parents[1] / "conf" / "scheduler"
LR = 0.1


def load(option: str, epochs: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return an option's arguments, interpolations resolved, and its contract."""
    register()
    optimizer = {"lr": LR}
    cfg = OmegaConf.create({"epochs": epochs, "optimizer": optimizer, "it": OmegaConf.load(FOLDER / f"{option}.yaml")})
    node: Any = OmegaConf.to_container(cfg.it, resolve=True)
    return node, node.pop("contract", {})


def learning_rates(
    option: str, epochs: int, *, told: Sequence[float] | None = None, **filled: Any
) -> tuple[list[float], dict[str, Any]]:
    """Return the learning rate of each epoch (or step), and the contract."""
    node, contract = load(option, epochs)
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=LR, momentum=0.9)
    scheduler = instantiate(node)(optimizer, **filled)
    rates = []
    for epoch in range(filled.get("total_steps", epochs)):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step(*([told[epoch]] if told is not None else []))
    return rates, contract


def test_every_option_is_tested() -> None:
    tested = {"none", "multistep", "cosine", "one_cycle", "plateau", "warmup"}
    assert {file.stem for file in FOLDER.glob("*.yaml")} == tested


def test_none_has_no_scheduler() -> None:
    assert load("none", 10) == ({}, {})


@pytest.mark.parametrize(("epochs", "drops"), [(100, (50, 75)), (8, (4, 6))])
def test_multistep_drops_at_half_and_three_quarters(epochs: int, drops: tuple[int, int]) -> None:
    rates, _ = learning_rates("multistep", epochs)
    expected = [LR * 0.1 ** sum(epoch >= drop for drop in drops) for epoch in range(epochs)]
    assert rates == pytest.approx(expected)


def test_cosine() -> None:
    rates, _ = learning_rates("cosine", 8)
    assert rates == pytest.approx([LR * (1 + math.cos(math.pi * epoch / 8)) / 2 for epoch in range(8)])


def test_one_cycle_rises_for_30_percent_of_the_steps() -> None:
    """Both branches are half cosines: from 1/25 of the peak to it, then to 1/25/10,000 of it."""
    steps = 41
    rates, contract = learning_rates("one_cycle", 4, total_steps=steps)
    assert contract == {"interval": "step", "fills": {"total_steps": "total_steps"}}
    peak = 0.3 * steps - 1

    def between(start: float, end: float, share: float) -> float:
        return end + (start - end) * (1 + math.cos(math.pi * share)) / 2

    expected = [
        between(LR / 25, LR, step / peak)
        if step <= peak
        else between(LR, LR / 25 / 1e4, (step - peak) / (steps - 1 - peak))
        for step in range(steps)
    ]
    assert rates == pytest.approx(expected)
    assert max(rates) == pytest.approx(LR, rel=1e-2)


@pytest.mark.parametrize(("mode", "sign"), [("max", 1), ("min", -1)])
def test_plateau_follows_the_objective_in_its_direction(mode: str, sign: int) -> None:
    """Best in epoch 2, then 11 epochs without a better one: the rate drops once from epoch 14 on."""
    told = [sign * value for value in (0.5, 0.6, 0.7, *[0.65] * 17)]
    rates, contract = learning_rates("plateau", 20, told=told, mode=mode)
    assert contract == {"monitor": True, "fills": {"mode": "objective_mode"}}
    assert rates == pytest.approx([LR] * 14 + [LR / 10] * 6)


def test_warmup_rises_over_5_epochs() -> None:
    rates, _ = learning_rates("warmup", 8)
    assert rates == pytest.approx([LR * min(1.0, 0.1 + 0.9 * epoch / 5) for epoch in range(8)])
