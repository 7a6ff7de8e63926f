"""Scores of masks against scikit-learn, brute force, MONAI, SimpleITK and hand-computed values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its own name for itself
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.metrics import f1_score, jaccard_score, precision_score, recall_score, roc_auc_score

from fiducial.metrics.segmentation import SCORES, auroc, case_scores, columns, diagonal
from fiducial.metrics.surface import SurfaceDistances, border

SPACING = (0.7, 1.3, 2.5)


def blob(seed: int, size: tuple[int, ...] = (18, 16, 12), threshold: float = 0.1) -> NDArray[np.bool_]:
    """Return a smooth random mask."""
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(seed).normal(size=size)
    smooth = gaussian_filter(noise, 2)
    return np.asarray(smooth / smooth.std() > threshold)


def scored(predicted: Any, truth: Any, *, names: tuple[str, ...] = SCORES, **options: Any) -> dict[str, float]:
    called, true = np.asarray(predicted, np.uint8), np.asarray(truth, np.uint8)
    options = {"classes": ("background", "lesion"), "spacing": (1.0,) * true.ndim, **options}
    probabilities = np.stack([called == number for number in range(len(options["classes"]))]).astype(np.float32)
    return case_scores(called, true, options.pop("probabilities", probabilities), names=names, **options)


@pytest.mark.parametrize("seed", range(3))
def test_overlap_is_scikit_learns(seed: int) -> None:
    predicted, truth = blob(seed), blob(seed + 10)
    found = scored(predicted, truth)
    flat = truth.ravel(), predicted.ravel()
    assert found["dice"] == pytest.approx(f1_score(*flat))
    assert found["iou"] == pytest.approx(jaccard_score(*flat))
    assert found["recall"] == pytest.approx(recall_score(*flat))
    assert found["precision"] == pytest.approx(precision_score(*flat))
    assert found["volume_error"] == pytest.approx(predicted.sum() / truth.sum() - 1)


def test_only_the_region_counts() -> None:
    predicted, truth, region = blob(0), blob(1), blob(2, threshold=-0.5)
    probability = np.random.default_rng(0).random((2, *truth.shape)).astype(np.float32)
    found = scored(predicted, truth, region=region, probabilities=probability)
    assert found["dice"] == pytest.approx(f1_score(truth[region], predicted[region]))
    assert found["auroc"] == pytest.approx(roc_auc_score(truth[region], probability[1][region]))
    outside = np.where(region, predicted, ~predicted)
    assert scored(outside, truth, region=region, names=("dice", "hd95")) == scored(
        predicted, truth, region=region, names=("dice", "hd95")
    )


@pytest.mark.parametrize("levels", [1000, 3])
def test_auroc_is_scikit_learns_with_ties(levels: int) -> None:
    rng = np.random.default_rng(levels)
    probability = (rng.integers(0, levels, 500) / levels).astype(np.float32)
    truth = rng.random(500) < 0.2 + 0.5 * probability
    assert auroc(probability, truth) == pytest.approx(roc_auc_score(truth, probability))


def brute(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both directed distances between border voxels, from all pairs."""
    points = [np.argwhere(border(mask)) * SPACING for mask in (first, second)]
    pairs = cdist(*points)
    return pairs.min(1), pairs.min(0)


@pytest.mark.parametrize("seed", range(4))
def test_surface_distances_are_those_of_all_pairs(seed: int) -> None:
    predicted, truth = blob(seed), blob(seed + 10)
    forth, back = brute(predicted, truth)
    found = SurfaceDistances.between(predicted, truth, SPACING)
    assert sorted(found.forth) == pytest.approx(sorted(forth))
    assert sorted(found.back) == pytest.approx(sorted(back))
    assert found.hausdorff() == pytest.approx(max(np.percentile(forth, 95), np.percentile(back, 95)))
    near = (forth < 1.31).sum() + (back < 1.31).sum()  # the spacing itself is within
    assert found.dice(1.3) == pytest.approx(near / (len(forth) + len(back)))


@pytest.mark.parametrize("seed", range(3))
def test_the_hausdorff_distance_is_simpleitks(seed: int) -> None:
    """SimpleITK measures from any voxel of one mask to the other mask; borders are never nearer than that."""
    predicted, truth = blob(seed, threshold=0.5), blob(seed + 10, threshold=0.5)
    images = [sitk.GetImageFromArray(mask.astype(np.uint8)) for mask in (predicted, truth)]
    for image in images:
        image.SetSpacing(SPACING[::-1])  # SimpleITK counts axes from the last
    measure = sitk.HausdorffDistanceImageFilter()
    measure.Execute(*images)
    inside = [
        cdist(np.argwhere(a) * SPACING, np.argwhere(b) * SPACING).min(1)
        for a, b in ((predicted, truth), (truth, predicted))
    ]
    assert measure.GetHausdorffDistance() == pytest.approx(max(part.max() for part in inside), rel=1e-5)
    assert SurfaceDistances.between(predicted, truth, SPACING).hausdorff(100) >= measure.GetHausdorffDistance() - 1e-4


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")  # MONAI's own call of MONAI
@pytest.mark.parametrize("seed", range(3))
def test_hd95_is_monais(seed: int) -> None:
    from monai.metrics.hausdorff_distance import compute_hausdorff_distance

    predicted, truth = blob(seed), blob(seed + 10)
    tensors = [torch.from_numpy(np.stack([~mask, mask])[None].astype(np.float32)) for mask in (predicted, truth)]
    theirs = compute_hausdorff_distance(*tensors, percentile=95, spacing=list(SPACING))
    ours = SurfaceDistances.between(predicted, truth, SPACING).hausdorff()
    assert ours == pytest.approx(float(theirs[0, 0]), rel=1e-4)


def test_distance_of_two_planes_by_hand() -> None:
    first, second = np.zeros((12, 4, 4), bool), np.zeros((12, 4, 4), bool)
    first[2], second[7] = True, True
    found = SurfaceDistances.between(first, second, (0.5, 1, 1))
    assert found.hausdorff() == pytest.approx(2.5)
    assert found.dice(2.5) == 1
    assert found.dice(2.49) == 0


NOTHING, SOME = np.zeros((6, 8), np.uint8), np.pad(np.ones((2, 3), np.uint8), ((2, 2), (2, 3)))


@pytest.mark.parametrize(
    ("predicted", "truth", "expected"),
    [
        (NOTHING, NOTHING, dict.fromkeys(SCORES)),
        (
            NOTHING,
            SOME,
            {"dice": 0, "iou": 0, "recall": 0, "precision": None, "volume_error": -1, "auroc": 0.5, "hd95": 10.0}
            | {"surface_dice": 0, "cldice": 0},
        ),
        (
            SOME,
            NOTHING,
            {"dice": 0, "iou": 0, "recall": None, "precision": 0, "volume_error": None, "auroc": None, "hd95": 10.0}
            | {"surface_dice": 0, "cldice": 0},
        ),
        (
            SOME,
            SOME,
            {"dice": 1, "iou": 1, "recall": 1, "precision": 1, "volume_error": 0, "auroc": 1, "hd95": 0}
            | {"surface_dice": 1, "cldice": 1},
        ),
    ],
    ids=["in neither", "missed", "false alarm", "found"],
)
def test_what_a_missing_class_gives(predicted: Any, truth: Any, expected: dict[str, float | None]) -> None:
    """The table at the top of the module; the diagonal of 6 by 8 pixels is 10."""
    found = scored(predicted, truth)
    assert {name: None if value != value else pytest.approx(value) for name, value in found.items()} == expected
    assert diagonal((6, 8), (1, 1)) == 10


def test_a_class_that_is_nowhere_is_left_out_of_the_mean() -> None:
    truth = np.where(blob(0), 1, 0)
    predicted = np.where(blob(1), 1, 0)
    classes = ("background", "liver", "spleen", "kidney")
    found = scored(predicted, truth, classes=classes, names=("dice",))
    assert found["dice"] == pytest.approx(found["dice/liver"])
    assert found["dice/spleen"] != found["dice/spleen"]
    invented = np.where(np.indices(truth.shape).sum(0) == 0, 3, predicted)
    assert scored(invented, truth, classes=classes, names=("dice",))["dice"] == pytest.approx(
        f1_score(truth.ravel() == 1, invented.ravel() == 1) / 2
    )


def test_columns_of_several_classes() -> None:
    assert columns(("background", "a", "b"), ("dice", "iou")) == ["dice", "dice/a", "dice/b", "iou", "iou/a", "iou/b"]
    assert columns(("background", "a"), ("dice", "iou")) == ["dice", "iou"]
