"""The names of scores that a configuration is held against are those that training and validation give."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fiducial.config import compose
from fiducial.hardware import Hardware
from fiducial.objective import SCORES, epoch_metrics
from fiducial.runs.build import build_data, build_task, trainer_for
from fiducial.runs.quiet import quiet

CNN = ("data.source.size=[8,8]", "model.widths=[4]", "model.dense=[]", "data.source.num_subjects=40")
UNET = (
    *("data=phantom_segmentation", "data.source.num_subjects=12", "data.source.size=[16,16]"),
    *("data.patches.size=[16,16]", "model.channels=[4,8]", "model.strides=[2]", "model.num_res_units=0"),
)
BOXES = (
    *("data=phantom_boxes", "data.source.num_subjects=12", "data.source.size=[32,32]"),
    *("model.backbone.widths=[6,8]", "model.num_features=8", "model.head_width=8"),
)
LEARNED = {
    "binary": CNN,
    "multiclass": (*CNN, "data.source.target=multiclass"),
    "multilabel": (*CNN, "data.source.target=multilabel", "loss=bce"),
    "ordinal": (*CNN, "data.source.target=ordinal"),
    "mask": UNET,
    "mask of several classes": (*UNET, "data.source.organs=true"),
    "boxes": BOXES,
}


@pytest.mark.parametrize("case", LEARNED)
def test_names_are_those_of_an_epoch(case: str, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    quiet()
    cfg = compose([*LEARNED[case], "debug=fast", "hardware=cpu"]).cfg
    data, hardware = build_data(cfg), Hardware(accelerator="cpu")
    trainer = trainer_for(cfg, tmp_path, hardware, logger=None, callbacks=[])
    trainer.fit(build_task(cfg, data, hardware), datamodule=data)
    spec = cfg.data.spec
    assert spec.target == case.partition(" ")[0]
    assert sorted(trainer.callback_metrics) == sorted(epoch_metrics(spec.target, spec.classes))


def test_every_kind_of_label_is_tried() -> None:
    assert {case.partition(" ")[0] for case in LEARNED} == set(SCORES)


def test_kinds_of_others_are_not_known() -> None:
    assert epoch_metrics("regression", ()) == []
