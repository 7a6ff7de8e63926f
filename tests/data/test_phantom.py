from __future__ import annotations

import hashlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline

from fiducial.data.anatomy import LESIONS, body_grid, draw_lesion, lesion_mask
from fiducial.data.checks import check
from fiducial.data.phantom import Phantom
from fiducial.errors import InputError

TINY: dict[str, Any] = {"num_subjects": 12, "size": (16, 16)}


def pixels(**options: Any) -> np.ndarray:
    array = Phantom(**{**TINY, **options}).pixels()
    assert array is not None
    return array


def test_another_process_makes_the_same_pixels() -> None:
    code = (
        "import hashlib; from fiducial.data.phantom import Phantom;"
        "print(hashlib.sha256(Phantom(num_subjects=12, size=(16, 16), seed=7).pixels().tobytes()).hexdigest())"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert told == hashlib.sha256(pixels(seed=7).tobytes()).hexdigest()
    assert told != hashlib.sha256(pixels(seed=8).tobytes()).hexdigest()


def test_a_case_made_alone_and_in_any_order_is_the_same() -> None:
    everything = pixels()
    alone = Phantom(**TINY)
    for index in (23, 0, 11):
        np.testing.assert_array_equal(alone._make(index), everything[index])
    sequences = [Phantom(**TINY | {"size": (8, 16, 16), "sequence": True}) for _ in "12"]
    assert sequences[0].pixels() is None
    forwards = [sequences[0].read(index) for index in range(24)]
    for index in reversed(range(24)):
        np.testing.assert_array_equal(sequences[1].read(index), forwards[index])


def test_more_subjects_leave_the_first_ones_as_they_are() -> None:
    np.testing.assert_array_equal(pixels(num_subjects=20)[:24], pixels())


def test_images_of_a_subject_are_alike() -> None:
    images = pixels(num_subjects=40, noise=0.02, size=(32, 32)).reshape(40, 2, -1).astype(float)
    same = [np.corrcoef(first, second)[0, 1] for first, second in images]
    others = [np.corrcoef(images[n, 0], images[(n + 1) % 40, 1])[0, 1] for n in range(40)]
    assert np.median(same) > np.median(others) + 0.05
    cases = Phantom(num_subjects=40, size=(32, 32)).cases
    assert (cases.label[::2] == cases.label[1::2]).all()
    assert (cases.subject[::2] == cases.subject[1::2]).all()
    assert (cases.split[::2] == cases.split[1::2]).all()


@pytest.mark.parametrize(
    ("target", "num_classes", "shape", "classes"),
    [
        ("binary", None, (24,), ("no lesion", "lesion")),
        ("multiclass", 3, (24,), ("no lesion", "disc", "ring")),
        ("multiclass", 10, (24,), ("no lesion", *list(LESIONS)[:9])),
        ("multilabel", 10, (24, 10), tuple(LESIONS)),
        ("ordinal", None, (24,), ("grade 0", "grade 1", "grade 2", "grade 3")),
    ],
)
def test_every_kind_of_target(target: Any, num_classes: int | None, shape: tuple[int, ...], classes: Any) -> None:
    source = Phantom(**TINY, target=target, num_classes=num_classes)
    assert source.spec.classes == classes
    assert source.cases.label.shape == shape
    check(Phantom(num_subjects=60, size=(16, 16), target=target, num_classes=num_classes).cases, source.spec)
    assert source.pixels().shape == (24, 1, 16, 16)  # type: ignore[union-attr]


@pytest.mark.parametrize("target", ["binary", "multiclass", "multilabel", "ordinal"])
def test_prior_is_respected(target: Any) -> None:
    num_subjects, prior = 400, {"binary": [0.8, 0.2]}.get(target, [0.5, 0.1, 0.4])
    classes = len(prior)
    label = Phantom(num_subjects=num_subjects, target=target, num_classes=classes, prior=prior)._labels
    counts = label.sum(0) if target == "multilabel" else np.bincount(label, minlength=classes)
    low, high = binom.interval(0.999, num_subjects, prior)
    assert ((low <= counts) & (counts <= high)).all()


def test_volumes_channels_and_lengths() -> None:
    source = Phantom(**TINY | {"size": (8, 16, 24), "channels": 3})
    assert (source.spec.spatial_dims, source.spec.size, source.spec.channels) == (3, (8, 16, 24), 3)
    image = source.read(0)
    assert (image.shape, image.dtype) == ((3, 8, 16, 24), np.uint8)
    assert image[0].mean() > image[1].mean() > image[2].mean()

    source = Phantom(**TINY | {"num_subjects": 60, "size": (9, 8, 8), "sequence": True, "min_length": 3})
    images = [source.read(index) for index in range(120)]
    assert {image.shape[1] for image in images} == set(range(3, 10))
    assert {image.shape[2:] for image in images} == {(8, 8)}
    assert source.spec.sequence


def test_lesions_have_their_size_and_place() -> None:
    grid = body_grid((101, 101), angle=0, shift=np.zeros(2), scale=1)
    lesion = draw_lesion(np.random.default_rng(0), "disc", contrast=1, radius=0.25)
    mask = lesion_mask(lesion, grid) > 0.5
    assert mask.mean() == pytest.approx(np.pi * 0.25**2 / 4, rel=0.05)  # of a field 2 wide
    centre = [axis[mask].mean() for axis in grid]
    np.testing.assert_allclose(centre, lesion.centre[:2], atol=0.02)


def auroc(**options: Any) -> float:
    """AUROC of logistic regression on principal components, as simple a classifier as learns anything."""
    source = Phantom(num_subjects=300, size=(16, 16), noise=0.03, **options)
    cases, images = source.cases, pixels(num_subjects=300, noise=0.03, **options).reshape(600, -1) / 255
    train, test = cases.where("train"), np.flatnonzero(cases.split != "train")
    model = make_pipeline(PCA(40, random_state=0), LogisticRegression(max_iter=500))
    model.fit(images[train], cases.label[train])
    return float(roc_auc_score(cases.label[test], model.predict_proba(images[test])[:, 1]))


@pytest.mark.slow
def test_more_difficult_is_harder_to_learn() -> None:
    easy, middle, hard = (auroc(difficulty=difficulty) for difficulty in (0.0, 0.5, 1.0))
    assert easy > middle + 0.03
    assert middle > hard + 0.03
    assert easy > 0.9


def test_fingerprint_is_that_of_the_options() -> None:
    first = Phantom(**TINY).fingerprint()
    assert Phantom(**TINY | {"size": [16, 16]}).fingerprint() == first
    changes: list[dict[str, Any]] = [
        {"seed": 1},
        {"noise": 0.1},
        {"num_subjects": 13},
        {"difficulty": 0.4},
        {"size": (16, 17)},
    ]
    changes += [{"channels": 2}, {"images_per_subject": 1}, {"prior": [0.6, 0.4]}, {"target": "ordinal"}]
    hashes = {Phantom(**TINY | change).fingerprint()["sha256"] for change in changes}
    assert len(hashes | {first["sha256"]}) == len(changes) + 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "multilable"}, r"target must be one of .*; got 'multilable'; did you mean multilabel\?"),
        ({"num_subjects": 2}, "num_subjects must be 3 or more; got 2"),
        ({"images_per_subject": 0}, "images_per_subject must be 1 or more"),
        ({"size": (16,)}, "size must be 2 or 3 extents of at least 8 pixels"),
        ({"size": (4, 16)}, "size must be"),
        ({"channels": 0}, "channels must be 1 or more"),
        ({"num_classes": 3}, "num_classes must be 2 to 2 for binary; got 3"),
        ({"target": "multiclass", "num_classes": 11}, "num_classes must be 2 to 10 for multiclass"),
        ({"sequence": True}, r"size must be \(frames, height, width\)"),
        ({"sequence": True, "size": (6, 16, 16), "min_length": 7}, "min_length must be 1 to 6; got 7"),
        ({"noise": -0.1}, "noise must be 0 to 1"),
        ({"difficulty": 1.1}, "difficulty must be 0 to 1"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"prior": [0.5, 0.6]}, "prior must be 2 probabilities that sum to 1"),
        ({"prior": [1.0]}, "prior must be 2 probabilities"),
        ({"target": "multilabel", "prior": [0.5, 2, 0, 0]}, "prior must be 4 probabilities each from 0 to 1"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Phantom(**options)
