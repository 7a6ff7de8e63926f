"""Every option of the group `optimizer` builds, and moves a parameter as its paper says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

torch.set_num_threads(1)
FOLDER = Path(__file__).parents[1] / "conf" / "optimizer"
START, GRADIENTS = 2.0, (0.5, -0.2, 0.8)


def steps(option: str, **arguments: Any) -> list[float]:
    """Return a parameter after each step, for the same gradients in each test."""
    node = OmegaConf.load(FOLDER / f"{option}.yaml")
    node.pop("contract", None)
    parameter = torch.nn.Parameter(torch.tensor(START, dtype=torch.float64))
    optimizer = instantiate(node, **arguments)([parameter])
    values = []
    for gradient in GRADIENTS:
        parameter.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
        values.append(parameter.item())
    return values


def with_momentum(lr: float, momentum: float, *, nesterov: bool) -> Iterator[float]:
    """Yield a parameter under SGD with momentum (Sutskever et al. 2013)."""
    value, velocity = START, 0.0
    for gradient in GRADIENTS:
        velocity = momentum * velocity + gradient
        value -= lr * (gradient + momentum * velocity if nesterov else velocity)
        yield value


def with_moments(lr: float, decay: float = 0.0) -> Iterator[float]:
    """Yield a parameter under Adam; decay is decoupled, as in AdamW."""
    value, first, second = START, 0.0, 0.0
    for t, gradient in enumerate(GRADIENTS, start=1):
        value -= lr * decay * value
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        value -= lr * (first / (1 - 0.9**t)) / ((second / (1 - 0.999**t)) ** 0.5 + 1e-8)
        yield value


def test_every_option_is_tested() -> None:
    assert {file.stem for file in FOLDER.glob("*.yaml")} == {"sgd", "adam", "adamw", "rmsprop", "full_batch"}


def test_sgd_has_nesterov_momentum() -> None:
    assert steps("sgd") == pytest.approx(list(with_momentum(0.01, 0.9, nesterov=True)), rel=1e-12)


def test_sgd_without_nesterov_has_plain_momentum() -> None:
    expected = list(with_momentum(0.1, 0.5, nesterov=False))
    assert steps("sgd", lr=0.1, momentum=0.5, nesterov=False) == pytest.approx(expected, rel=1e-12)


def test_adam() -> None:
    assert steps("adam") == pytest.approx(list(with_moments(0.001)), rel=1e-12)


def test_weight_decay_of_adamw_is_decoupled() -> None:
    assert steps("adamw") == pytest.approx(list(with_moments(0.001, decay=0.01)), rel=1e-12)
    assert steps("adamw", weight_decay=0.5) == pytest.approx(list(with_moments(0.001, decay=0.5)), rel=1e-12)


def test_rmsprop() -> None:
    value, mean_square, expected = START, 0.0, []
    for gradient in GRADIENTS:
        mean_square = 0.99 * mean_square + 0.01 * gradient**2
        value -= 0.001 * gradient / (mean_square**0.5 + 1e-8)
        expected.append(value)
    assert steps("rmsprop") == pytest.approx(expected, rel=1e-12)


def test_full_batch_is_plain_gradient_descent() -> None:
    assert OmegaConf.load(FOLDER / "full_batch.yaml").contract.full_batch is True
    sums = [sum(GRADIENTS[: n + 1]) for n in range(len(GRADIENTS))]
    assert steps("full_batch") == pytest.approx([START - 0.1 * total for total in sums], rel=1e-12)
