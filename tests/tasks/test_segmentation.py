"""The segmentation task: losses of several outputs, scores of an epoch, options that do not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from fiducial.config import compose
from fiducial.errors import InputError
from fiducial.hardware import Hardware
from fiducial.runs.build import build_data, build_task
from fiducial.tasks.segmentation import Segmentation, head_weights, heads_of, loss_target, settled

torch.set_num_threads(1)
TINY = ("data=phantom_segmentation", "data.source.num_subjects=12", "data.source.size=[16,16]", "hardware=cpu")
SMALL = ("data.patches.size=[16,16]", "model.channels=[4,8]", "model.strides=[2]", "model.num_res_units=0")


def task_of(*overrides: str) -> Segmentation:
    cfg = compose([*TINY, *SMALL, *overrides]).cfg
    task = build_task(cfg, build_data(cfg), Hardware(accelerator="cpu"))
    assert isinstance(task, Segmentation)
    return task


def batch_of(task: Segmentation, count: int = 3, num_classes: int = 2) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    mask = torch.randint(num_classes, (count, 16, 16), generator=generator)
    region = torch.rand(count, 16, 16, generator=generator) < 0.7
    image = torch.randn(count, 1, 16, 16, generator=generator)
    return {"image": image, "mask": mask, "region": region, "valid": count, "size": count}


def test_outputs_of_a_network() -> None:
    single, first, second = torch.zeros(2, 3, 8, 8), torch.ones(2, 3, 8, 8), torch.zeros(2, 3, 8, 8)
    assert [head is single for head in heads_of(single, 2)] == [True]
    stacked = heads_of(torch.stack([first, second], dim=1), 2)
    assert [torch.equal(*pair) for pair in zip(stacked, (first, second), strict=True)] == [True, True]
    assert heads_of((first, second), 2) == (first, second)


def test_weights_of_outputs() -> None:
    assert head_weights(1, "halving") == [1]
    assert head_weights(3, "halving") == pytest.approx([4 / 7, 2 / 7, 1 / 7])
    assert head_weights(2, "equal") == [0.5, 0.5]


def test_forms_of_a_target() -> None:
    mask = torch.tensor([[[0, 1], [2, 1]]])
    assert loss_target(mask, "index", 3) is mask
    assert loss_target(mask, "channel", 3).shape == (1, 1, 2, 2)
    onehot = loss_target(mask, "onehot", 3)
    assert torch.equal(onehot.argmax(1), mask)
    assert onehot.dtype == torch.float32


def test_logits_agree_with_the_truth_outside_the_region() -> None:
    mask, region = torch.tensor([[[0, 1]]]), torch.tensor([[[True, False]]])
    logits = torch.tensor([[[[-3.0, 4.0]], [[3.0, -4.0]]]])
    found = settled(logits, mask, region)
    assert found[0, :, 0, 0].tolist() == [-3, 3]
    assert float(found.softmax(1)[0, 1, 0, 1]) == pytest.approx(1, abs=1e-6)


def test_the_loss_of_several_outputs_by_hand() -> None:
    task = task_of("model=wnet", "~model.channels", "~model.strides", "~model.num_res_units", "task.supervision=equal")
    batch = batch_of(task)
    torch.manual_seed(0)
    loss, _ = task.step(batch)
    late, early = task.model(batch["image"])
    inside, parts = batch["region"], []
    for head in (late, early):  # Dice of the lesion plus cross-entropy, of the pixels that count
        chosen, truth = head.movedim(1, -1)[inside], batch["mask"][inside]
        lesion = chosen.softmax(1)[:, 1]
        dice = (2 * (lesion * truth).sum() + 1e-5) / (lesion.sum() + truth.sum() + 1e-5)
        parts.append(1 - dice + torch.nn.functional.cross_entropy(chosen, truth))
    assert float(loss.detach()) == pytest.approx(sum(float(part.detach()) for part in parts) / 2, rel=1e-5)


@pytest.mark.parametrize(
    "option", ["loss=dice_ce", "loss=dice_focal", "loss=cross_entropy", "loss=tversky", "loss=dice"]
)
def test_pixels_outside_the_region_change_nothing(option: str) -> None:
    task = task_of(option)
    batch = batch_of(task)
    logits = torch.randn(3, 2, 16, 16, generator=torch.Generator().manual_seed(1))
    other = torch.where(batch["region"][:, None], logits, 9 * logits.flip(1))
    classes = torch.where(batch["region"], batch["mask"], 1 - batch["mask"])
    assert float(task._loss(other, {**batch, "mask": classes})) == pytest.approx(
        float(task._loss(logits, batch)), abs=1e-6
    )
    nowhere = {**batch, "region": torch.zeros_like(batch["region"])}
    assert float(task._loss(logits, nowhere)) == 0


@pytest.mark.parametrize("option", ["loss=cldice", "loss=boundary", "loss.batch=false"])
def test_losses_that_see_where_pixels_lie_are_settled_outside(option: str) -> None:
    task = task_of(option)
    batch = batch_of(task)
    assert not task.pixelwise
    logits = torch.randn(3, 2, 16, 16, generator=torch.Generator().manual_seed(1))
    form = loss_target(batch["mask"], task.loss_form, 2)
    expected = task.loss(settled(logits, batch["mask"], batch["region"]), form)
    assert float(task._loss(logits, batch)) == pytest.approx(float(expected), abs=1e-6)


def test_dice_of_an_epoch_is_the_mean_over_cases_of_scikit_learns() -> None:
    task = task_of()
    batch = batch_of(task)
    predicted = torch.randint(2, (3, 16, 16), generator=torch.Generator().manual_seed(5))
    found = task.scores(task._counts(predicted, batch))
    inside = [region.numpy() for region in batch["region"]]
    expected = [
        f1_score(truth.numpy()[where], called.numpy()[where])
        for truth, called, where in zip(batch["mask"], predicted, inside, strict=True)
    ]
    assert float(found["dice"]) == pytest.approx(np.mean(expected))


def test_cases_without_a_class_are_left_out_of_an_epochs_dice() -> None:
    task = task_of("data.source.organs=true")
    counts = {
        "both": torch.tensor([[8, 0, 0], [2, 0, 0]]),
        "predicted": torch.tensor([[10, 0, 0], [4, 0, 5]]),
        "truth": torch.tensor([[10, 0, 0], [4, 0, 0]]),
    }
    found = {name: float(value) for name, value in task.scores(counts).items()}
    assert found["dice/left organ"] == pytest.approx((0.8 + 0.5) / 2)
    assert found["dice/right organ"] != found["dice/right organ"]
    assert found["dice/lesion"] == 0
    assert found["dice"] == pytest.approx((0.8 + (0.5 + 0) / 2) / 2)


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("task.scores=[dize]", "did you mean dice"),
        ("task.postprocessing=largest", "did you mean largest_component"),
        ("task.threshold=1.5", "between 0 and 1; got 1.5"),
    ],
)
def test_options_that_there_are_not(override: str, named: str) -> None:
    with pytest.raises(InputError, match=named):
        task_of(override)


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        (["data=phantom", "model=unet"], r"model=unet needs data\.spec\.target to be mask.*plain_cnn"),
        (["data=phantom_segmentation", "model=resnet18"], r"model=resnet18 needs data\.spec\.target.*unet"),
        (["data=phantom_segmentation", "loss=bce"], r"loss=bce needs.*Options of loss that fit:.*dice_ce"),
        (["data=phantom_segmentation", "task=classification"], r"task=classification needs.*segmentation"),
        (["data=phantom_segmentation", "data.patches.size=[20,20]"], r"model=unet needs data\.patches.*multiple of 8"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_anything_is_learned(overrides: list[str], named: str) -> None:
    with pytest.raises(InputError, match=named):
        compose(overrides)


def test_classes_are_balanced_by_pixels() -> None:
    overrides = ("loss=cross_entropy", "loss.weight=balanced")
    task = task_of(*overrides)
    cfg = compose([*TINY, *SMALL, *overrides]).cfg
    counts = build_data(cfg).pixel_counts().double()
    weight = task.loss.weight
    assert isinstance(weight, torch.Tensor)
    torch.testing.assert_close(weight.double(), counts.sum() / (2 * counts), rtol=1e-5, atol=0)


def test_another_test_decides_as_the_first_did() -> None:
    """What was chosen on the run's validation split is not chosen anew on other data, whatever the class is called."""
    task = task_of("task.threshold=choose")
    assert task.undecided() == ["threshold", "postprocessing"]
    chosen = {"postprocessing": {"a class of another name": "fill_holes"}, "threshold": 0.3}
    task.adopt(chosen, ["postprocessing"])
    assert (task.corrections, task.chosen_threshold) == (("fill_holes",), None)
    task.adopt(chosen, ["postprocessing", "threshold"])
    assert task.chosen_threshold == 0.3
    assert task.undecided() == []
    task.on_test_start()
    assert (task.corrections, task.chosen_threshold) == (("fill_holes",), 0.3)
    task.adopt({}, ["postprocessing"])
    assert task.corrections == ("fill_holes",)
    given = task_of("task.postprocessing=none")
    given.adopt(chosen, ["postprocessing"])
    assert given.corrections == ("none",)
    anew = task_of()
    anew.adopt(chosen, [])  # the run was trained with a correction of its own
    assert anew.undecided() == ["postprocessing"]


def test_folds_of_masked_cases() -> None:
    cfg = compose([*TINY, *SMALL, "data.fold=1", "data.num_folds=3"]).cfg
    folded, plain = build_data(cfg), build_data(compose([*TINY, *SMALL]).cfg)
    assert folded.rows("test").tolist() == plain.rows("test").tolist()
    trained = {row for batch in folded.train_dataloader() for row in batch["row"].tolist()}
    assert trained == set(folded.rows("train").tolist())
    assert trained.isdisjoint(folded.rows("val").tolist())
    assert len(trained) + len(folded.rows("val")) == len(plain.rows("train")) + len(plain.rows("val"))
