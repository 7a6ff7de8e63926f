"""Values that do not suit the data, or each other, are refused before torch is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fiducial.config import compose, compose_all
from fiducial.errors import InputError

MODALITIES = "data=phantom_modalities"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("objective=val/auroq", "objective=val/auroq: there is no such metric; did you mean val/auroc? (available: va"),
        ("objective=auroc", "objective=auroc: there is no such metric; did you mean val/auroc?"),
        ("objective=null", "objective=None: there is no such metric"),
        ("objective=val/mae", "objective=val/mae: there is no such metric"),
        ("objective=test/auroc", "objective=test/auroc: there is no such metric; did you mean val/auroc?"),
        ("data=phantom_segmentation objective=val/dise", "did you mean val/dice? (available: val/dice, val/loss)"),
        ("data=phantom_segmentation data.source.organs=true objective=val/dice/lession", "did you mean val/dice/les"),
        ("data=phantom_boxes objective=train/cpm", "there is no such metric; did you mean val/cpm?"),
        ("search=tpe search.objectives=[val/auroq]", "search.objectives=val/auroq: there is no such metric"),
        ("data=breastmnist model.widths=[8,16,32,64]", "model: after block 4 nothing is left of a 28×28 image; use f"),
        ("model=lenet data.source.size=[8,8]", "model: after block 2 nothing is left of a 8×8 image"),
        (f"{MODALITIES} model=late_fusion model.backbone.widths=[4,4,4,4,4,4]", "model.backbone: after block"),
        ("model.norm=group model.widths=[12]", "model: norm=group needs widths that num_groups divides; got 12 and 8"),
        ("model.padding=same model.kernel_size=4", "model: padding=same needs an odd kernel_size; got 4"),
        ("data=phantom_sequence model=cnn_rnn model.widths=[8,8,8,8,8,8,8]", "model: norm=group is left with one"),
        ("data=phantom_sequence model=cnn_rnn model.widths=[12]", "model: norm=group needs widths that num_groups"),
        ("model=resnet18 model.widths=[8,16]", "model.widths must have one entry for each of four stages; got [8, 16]"),
        ("data.channel_dropout=0.3", "data.channel_dropout is for images of several channels"),
        (f"{MODALITIES} data.missing=[0,1]", "data.missing must be some, and not all, of the channels 0 to 1; got [0"),
        (f"{MODALITIES} data.missing=[2]", "data.missing must be some, and not all, of the channels 0 to 1; got [2]"),
        ("data=phantom_segmentation data.sampling=balanced", "is for labels; these cases have mask; for masks data.pa"),
        ("data=phantom_boxes data.sampling=balanced", "data.sampling=balanced is for labels; these cases have boxes"),
        ("data=phantom_segmentation data.patches.size=[16,16,16]", "must have 2 extents, as the images have axes"),
        ("data=phantom_segmentation data.patches.foreground=2", "data.patches.foreground must be between 0 and 1"),
        ("data=phantom_boxes task.max_boxes=0", "task.max_boxes must be at least 1; got 0"),
        ("model=renet model.patch=[2,2,2]", "model.patch must have one entry for each of 2 layers; got [2, 2, 2]"),
        ("loss.weight=[1,2,3]", "loss.weight: expected balanced or 2 numbers, got 3"),
        ("loss=bce loss.pos_weight=[1,2]", "loss.pos_weight: expected balanced or 1 numbers, got 2"),
        ("data.source.target=ordinal loss=ordinal loss.pos_weight=[1,2,3,4]", "balanced or 3 numbers, got 4"),
        ("loss=bce loss.weight=balanced", "loss.weight=balanced is for classes one of which is true"),
        ("loss=focal_sigmoid loss.weight=[2]", "of one output loss.alpha says how much the positives weigh"),
        ("data=phantom_segmentation loss=dice loss.weight=[1,2]", "expected several classes beside the background"),
        ("augment=light augment.zoom=[2,1]", "augment.zoom must be [low, high] with 0 < low <= high; got [2, 1]"),
        ("augment=strong augment.gamma=[0.5]", "augment.gamma must be [low, high] with 0 < low <= high; got [0.5]"),
        ("augment=flip augment.flip_axes=[2]", "augment.flip_axes: images have 2 axes, numbered 0 to 1, or -2 to -1"),
        ("data=phantom_sequence augment=flip augment.flip_axes=[0]", "the first axis of sequences runs over"),
        ("data.mean=[0.5,0.5,0.5]", "data.mean: expected one value or 1, one per channel; got [0.5, 0.5, 0.5]"),
        (f"{MODALITIES} data.std=[1,1,1]", "data.std: expected one value or 2, one per channel; got [1, 1, 1]"),
        ("optimizer=full_batch data.batch_size=8", "data.batch_size=8, given by the command line, has no effect"),
        ("optimizer=full_batch experiment=tutorial_lenet", "100, given by experiment=tutorial_lenet, has no effect"),
    ],
)  # fmt: skip
def test_what_does_not_suit(line: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        compose(line.split())
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "line",
    [
        "objective=train/auroc",
        "data.source.target=ordinal objective=val/quadratic_kappa",
        "data=phantom_segmentation data.source.organs=true objective=val/dice/lesion",
        "data=phantom_boxes objective=train/loss",
        "epochs=2 search=nsga2 search.objectives=[val/auroc,parameters]",
        "model.widths=[8,16,32,64,128] model.padding=same",
        "model.widths=[8,16,32,64] model.pool_after=2",
        "model=renet model.patch=[2,4,2] model.num_layers=3",
        "data.source.target=ordinal loss=ordinal loss.pos_weight=[1,2,3]",
        "augment=flip augment.flip_axes=[-2,1]",
        "data.mean=0.4 data.std=[0.2]",
        f"{MODALITIES} data.mean=[1,2] data.channel_dropout=0.3 data.missing=[1]",
        "data.sampling=balanced",
        "optimizer=full_batch data.batch_size=full",
        "optimizer=full_batch data=phantom_segmentation",
        "optimizer=full_batch experiment=tutorial_lenet ~data.batch_size",
    ],
)
def test_what_suits(line: str) -> None:
    assert compose(line.split()).overrides


def test_a_job_of_a_sweep_is_refused_likewise() -> None:
    jobs = [["optimizer=full_batch", f"data.batch_size={size}"] for size in ("full", "8")]
    with pytest.raises(InputError, match=r"data\.batch_size=8, given by the command line, has no effect"):
        compose_all(jobs)


OWN = """
from fiducial.data.augment import Augment
from fiducial.data.module import DataModule
from fiducial.models.plain_cnn import PlainCNN
from fiducial.tasks.classification import Classification
class Task(Classification): pass
class Data(DataModule): pass
class Net(PlainCNN): pass
class Changes(Augment): pass
"""


@pytest.mark.parametrize(
    "line",
    [
        "task._target_=own_classes.Task objective=val/kappa",
        "task._target_=own_classes.Task search=nsga2 search.objectives=[val/kappa]",
        "data._target_=own_classes.Data data.mean=[1,2,3]",
        "model._target_=own_classes.Net model.widths=[4,4,4,4,4,4,4]",
        "augment=flip augment._target_=own_classes.Changes augment.flip_axes=[5]",
    ],
)
def test_classes_of_others_say_so_themselves(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_classes.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert compose(line.split()).overrides


def test_to_look_at_data_asks_for_no_network_that_fits_them() -> None:
    assert compose(["data.source.size=[8,8]"], look_only=True).cfg.data.spec.size == [8, 8]


def test_what_only_training_looks_at_is_no_fault_of_a_trained_run() -> None:
    """A run is evaluated on data whose classes have other names."""
    lines: list[Any] = [
        "data=phantom_segmentation",
        "objective=val/dice/tumour",
        "optimizer=full_batch",
        "data.batch_size=8",
    ]
    assert compose(lines, trained=True).cfg.objective == "val/dice/tumour"
