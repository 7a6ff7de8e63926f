"""What predicting masks takes from a run: what was set, or what its test chose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from fiducial.data.augment import Sides
from fiducial.errors import InputError
from fiducial.runs import folder
from fiducial.runs.predict_masks import _decided, _windows


def decided(out: Path, **task: Any) -> tuple[float, tuple[str, ...]]:
    cfg = OmegaConf.create({"task": task, "data": {"spec": {"classes": ["background", "a", "b"]}}})
    return _decided(cfg, out)


def test_what_was_set_counts_before_the_test(tmp_path: Path) -> None:
    assert decided(tmp_path, threshold=0.3, postprocessing="largest") == (0.3, ("largest", "largest"))


@pytest.mark.parametrize(
    ("task", "named"),
    [
        ({"threshold": "choose", "postprocessing": "none"}, "task.threshold is chosen"),
        ({"threshold": 0.3, "postprocessing": "choose"}, "task.postprocessing is chosen"),
        ({"threshold": "choose"}, "task.threshold and task.postprocessing are chosen"),
    ],
)
def test_what_the_test_has_not_chosen_is_not_made_up(task: dict[str, Any], named: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{named} in the run's test, which has not been"):
        decided(tmp_path, **task)


def test_what_the_test_chose_counts(tmp_path: Path) -> None:
    folder.write_scores(tmp_path, {"threshold": 0.7, "postprocessing": {"a": "fill_holes", "b": "none"}})
    assert decided(tmp_path, threshold="choose") == (0.7, ("fill_holes", "none"))


@pytest.mark.parametrize(("dims", "across"), [(2, 1), (3, 0)])
def test_pictures_are_mirrored_from_side_to_side_along_their_last_axis(dims: int, across: int) -> None:
    """As in training: the orientation of volumes, which `prepare` states by default, says nothing about them."""
    prepare = {"_target_": "fiducial.data.preparation.Preparation"}
    spec = {"spatial_dims": dims, "classes": ["background", "left lung", "right lung"]}
    data = {"spec": spec, "prepare": prepare, "patches": {"window": [8] * dims}}
    windows = _windows(OmegaConf.create({"task": {"flips": list(range(dims))}, "data": data}))
    assert windows.sides == Sides(across, (0, 2, 1))


def test_the_classes_that_are_exchanged_are_those_of_the_run() -> None:
    data = {"spec": {"spatial_dims": 2, "classes": ["background", "a", "b"]}, "patches": {"window": [8, 8]}}
    cfg = OmegaConf.create({"task": {"flips": [1]}, "data": {**data, "sides": ["a", "b"]}})
    assert _windows(cfg).sides == Sides(1, (0, 2, 1))
