"""Losses of masks against hand-computed values; every option for masks takes what its contract says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from scipy import ndimage
from torch import Tensor

from fiducial.losses.boundary import DiceBoundary, signed_distance
from fiducial.losses.overlap import DiceFocal, soft_dice
from fiducial.losses.topology import SoftDiceClDice, soft_cldice, soft_skeleton
from fiducial.metrics.skeleton import skeleton
from fiducial.tasks.segmentation import loss_target, settled

torch.set_num_threads(1)
FOLDER = Path(__file__).parents[2] / "conf" / "loss"
NODES = {file.stem: OmegaConf.load(file) for file in sorted(FOLDER.glob("*.yaml"))}
OPTIONS = [name for name, node in NODES.items() if "mask" in node.contract.requires["data.spec.target"]]


def loss_of(option: str, logits: Tensor, mask: Tensor) -> Tensor:
    node: Any = NODES[option].copy()
    contract = node.pop("contract")
    value: Tensor = instantiate(node)(logits, loss_target(mask, contract.target, logits.shape[1]))
    return value


def test_there_are_options() -> None:
    assert {"dice", "dice_ce", "dice_focal", "tversky", "cldice", "boundary", "cross_entropy"} <= set(OPTIONS)


@pytest.mark.parametrize("size", [(12, 14), (8, 9, 10)])
@pytest.mark.parametrize("option", OPTIONS)
def test_option_falls_towards_the_truth(option: str, size: tuple[int, ...]) -> None:
    """Sure and right is the least, sure and wrong the most; a step along the gradient helps."""
    generator = torch.Generator().manual_seed(0)
    mask = torch.zeros(2, *size, dtype=torch.long)
    mask[:, 2:7, 3:6], mask[:, 4:6, 5:8] = 1, 2
    flags = torch.nn.functional.one_hot(mask, 3).movedim(-1, 1).float()
    logits = torch.randn(2, 3, *size, generator=generator, requires_grad=True)
    value = loss_of(option, logits, mask)
    assert value.shape == ()
    (gradient,) = torch.autograd.grad(value, logits)
    assert bool(gradient.isfinite().all())
    right, wrong = (float(loss_of(option, scale * (flags - 0.5), mask)) for scale in (30, -30))
    before, after = float(value.detach()), loss_of(option, logits.detach() - gradient / gradient.abs().max(), mask)
    assert right < before < wrong
    assert float(after) < before
    if option != "boundary":  # which goes on falling inside the truth
        assert right == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("option", OPTIONS)
def test_an_empty_truth_gives_a_finite_loss_and_gradient(option: str) -> None:
    logits = torch.zeros(1, 2, 8, 8, requires_grad=True)
    value = loss_of(option, logits, torch.zeros(1, 8, 8, dtype=torch.long))
    value.backward()
    assert bool(value.isfinite())
    assert logits.grad is not None
    assert bool(logits.grad.isfinite().all())


@pytest.mark.parametrize("option", OPTIONS)
def test_nothing_comes_from_outside_the_region(option: str) -> None:
    mask = torch.zeros(1, 10, 10, dtype=torch.long)
    mask[0, 2:5, 2:8] = 1
    region = torch.zeros(1, 10, 10, dtype=torch.bool)
    region[0, :, :5] = True
    logits = torch.randn(1, 2, 10, 10, generator=torch.Generator().manual_seed(1), requires_grad=True)
    value = loss_of(option, settled(logits, mask, region), mask)
    (gradient,) = torch.autograd.grad(value, logits)
    assert float(gradient[..., 5:].abs().max()) == 0
    assert float(gradient[..., :5].abs().max()) > 0
    other = logits.detach().clone()
    other[..., 5:] = 3
    assert float(loss_of(option, settled(other, mask, region), mask)) == pytest.approx(float(value.detach()))


def test_soft_dice_by_hand() -> None:
    probability, truth = torch.tensor([[[0.5, 1.0, 0.0]]]), torch.tensor([[[1.0, 1.0, 0.0]]])
    assert float(soft_dice(probability, truth)) == pytest.approx(2 * 1.5 / 3.5, rel=1e-4)


def test_the_soft_skeleton_of_a_mask_is_that_of_its_openings() -> None:
    """On 0 and 1 the algorithm of the paper is Lantuéjoul's, computed here with SciPy."""
    rng = np.random.default_rng(0)
    mask = np.pad(ndimage.gaussian_filter(rng.normal(size=(40, 40)), 3) > 0.05, 2)
    found = soft_skeleton(torch.from_numpy(mask)[None, None].float(), 12)[0, 0].numpy() > 0.5
    cross, square = ndimage.generate_binary_structure(2, 1), np.ones((3, 3))
    expected, eroded = np.zeros_like(mask), mask
    while eroded.any():
        smaller = ndimage.binary_erosion(eroded, cross)
        expected |= eroded & ~ndimage.binary_dilation(smaller, square)
        eroded = smaller
    np.testing.assert_array_equal(found, expected)


def test_soft_cldice_of_a_bar_by_hand() -> None:
    """Half of a line one pixel wide is met, and all that is called is right: 2 * 0.5 / 1.5."""
    truth = torch.zeros(1, 1, 9, 400)
    truth[:, :, 4] = 1
    half = truth.clone()
    half[..., 200:] = 0
    assert float(soft_cldice(half, truth, 3)) == pytest.approx(2 / 3, abs=0.01)


def test_cldice_sees_a_gap_that_dice_hardly_sees() -> None:
    truth = torch.zeros(1, 30, 60, dtype=torch.long)
    truth[0, 4:9], truth[0, 20] = 1, 1
    flags = torch.nn.functional.one_hot(truth, 2).movedim(-1, 1).float()
    thin, thick = flags.clone(), flags.clone()
    thin[:, 1, 20, 10:50] = 0  # 40 pixels of the thin line
    thick[:, 1, 4, 10:50] = 0  # 40 pixels off the thick one's edge
    thin[:, 0], thick[:, 0] = 1 - thin[:, 1], 1 - thick[:, 1]
    plain = [float(SoftDiceClDice(alpha=0)(30 * (each - 0.5), truth)) for each in (thin, thick)]
    topological = [float(SoftDiceClDice(alpha=1)(30 * (each - 0.5), truth)) for each in (thin, thick)]
    assert plain[0] == pytest.approx(plain[1], rel=1e-3)
    assert topological[0] > 5 * topological[1]
    assert skeleton(truth[0].numpy() > 0).any()


def test_signed_distances_by_hand() -> None:
    mask = torch.zeros(1, 1, 1, 7, dtype=torch.bool)
    mask[..., 2:5] = True
    assert signed_distance(mask).flatten().tolist() == [1.5, 0.5, -0.5, -1.5, -0.5, 0.5, 1.5]
    assert float(signed_distance(mask & False).abs().max()) == 0


def test_the_boundary_loss_counts_distance() -> None:
    """Two false pixels of the same Dice: the one farther from the border costs more."""
    mask = torch.zeros(1, 12, 12, dtype=torch.long)
    mask[0, :4] = 1

    def value(row: int) -> float:
        flags = torch.nn.functional.one_hot(mask, 2).movedim(-1, 1).float()
        flags[0, :, row, 6] = torch.tensor([0.0, 1.0])
        return float(DiceBoundary()(40 * (flags - 0.5), mask))

    assert value(4) < value(7) < value(11)
    assert value(11) - value(4) == pytest.approx(0.05 * 7 / 144, rel=1e-3)


def test_dice_and_focal_loss_are_of_one_softmax() -> None:
    """By the formulas; a constant added to all logits changes nothing."""
    generator = torch.Generator().manual_seed(2)
    logits, mask = torch.randn(2, 3, 6, 7, generator=generator), torch.randint(3, (2, 6, 7), generator=generator)
    p, truth = logits.softmax(1).double().numpy(), np.eye(3)[mask.numpy()].transpose(0, 3, 1, 2)
    own = (p * truth).sum(1)
    weight = np.array([1.0, 2.0, 0.5])
    weights = weight[mask.numpy()]
    focal = (weights * (1 - own) ** 1.5 * -np.log(own)).sum() / weights.sum()
    both, total = (p * truth).sum((0, 2, 3))[1:], (p + truth).sum((0, 2, 3))[1:]
    expected = 0.3 * (1 - (2 * both / total).mean()) + 2 * focal
    loss = DiceFocal(gamma=1.5, lambda_dice=0.3, lambda_focal=2, weight=torch.tensor(weight).float())
    assert float(loss(logits, mask)) == pytest.approx(expected, rel=1e-5)
    assert float(loss(logits + 5, mask)) == pytest.approx(expected, rel=1e-5)
    assert float(loss(logits.log_softmax(1), mask)) == pytest.approx(expected, rel=1e-5)
