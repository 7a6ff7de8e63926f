from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from fiducial.data.leakage import LEAKS, agreement, check_allowed, find_twins, in_lots, kinds, leaks, refuse
from fiducial.data.module import DataModule
from fiducial.data.source import Cases, Source, Spec
from fiducial.errors import InputError


class Given(Source):
    """Noise images, of which some are copies of others."""

    def __init__(self, copies: Mapping[int, int], labels: Mapping[int, int] | None = None) -> None:
        self.images = np.random.default_rng(0).integers(0, 256, (30, 1, 16, 16), dtype=np.uint8)
        for to, of in copies.items():
            self.images[to] = self.images[of]
        self.labels = labels or {}

    @cached_property
    def spec(self) -> Spec:
        return Spec(1, 2, (16, 16), "binary", ("no", "yes"))

    @cached_property
    def cases(self) -> Cases:
        names = np.array([f"c{number}" for number in range(30)])
        label = np.array([self.labels.get(number, 0) for number in range(30)])
        return Cases(names, names, np.repeat(["train", "val", "test"], 10), label)

    def read(self, index: int) -> NDArray[Any]:
        return self.images[index]

    def fingerprint(self) -> Mapping[str, str]:
        return {"sha256": ""}


def found(source: Given, *, near: bool = True) -> dict[str, list[str]]:
    return leaks(source.cases, find_twins(in_lots(source.images), kinds(source.cases), near=near))


def test_equal_images_across_splits_and_labels() -> None:
    source = Given({25: 3, 7: 6, 12: 3}, labels={7: 1})
    assert found(source) == {
        "exact_duplicates": ["c3 (train) = c12 (val) = c25 (test)"],
        "conflicting_labels": ["c6 (label 0) = c7 (label 1)"],
    }


def test_masks_of_equal_images_are_compared_by_dice() -> None:
    source = Given({7: 6, 8: 6, 9: 6})
    masks = {row: np.zeros((16, 16), np.uint8) for row in (6, 7, 9)}
    masks[6][:4, :4], masks[7][:4, :2] = 1, 1  # 16 and 8 pixels, 8 in both
    masks[9][:] = masks[6]
    twins = find_twins(in_lots(source.images), kinds(source.cases), near=False)
    found = leaks(source.cases, twins, masks.get)
    assert found == {"conflicting_labels": ["c6 = c7 (Dice of their masks 0.667)"]}  # c8 has none
    masks[7][:] = masks[6]
    assert leaks(source.cases, twins, masks.get) == {}


def test_agreement_of_masks() -> None:
    first, second = np.array([[1, 1, 2, 0]], np.uint8), np.array([[1, 2, 2, 0]], np.uint8)
    assert agreement(first, second) == pytest.approx(f1_score([1, 1, 2], [1, 2, 2], average="micro"))
    assert agreement(first, first) == agreement(0 * first, 0 * first) == 1
    assert agreement(first, 0 * first) == agreement(first, first.T) == 0


def test_nearly_equal_images_are_not_told_as_equal() -> None:
    source = Given({})
    source.images[25] = (source.images[3] * 0.9).astype(np.uint8)
    assert found(source) == {"near_duplicates": ["c3 (train) ≈ c25 (test)"]}
    assert found(source, near=False) == {}


def test_equal_pixels_of_another_shape_or_type_are_other_images() -> None:
    images = np.arange(16, dtype=np.uint8)
    lots = [images.reshape(1, 1, 4, 4), images.reshape(1, 1, 2, 8), images.reshape(1, 1, 4, 4).view(np.int8)]
    assert find_twins(lots, [0, 0, 0], near=False).equal == []
    assert [group.tolist() for group in find_twins(lots + lots[:1], [0] * 4, near=False).equal] == [[0, 3]]


def test_blank_images_are_no_duplicates() -> None:
    assert find_twins([np.zeros((5, 1, 4, 4), np.uint8)], [0] * 5, near=True).equal == []


def test_lots_hold_every_image_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fiducial.data.leakage.CHUNK_BYTES", 256 * 7)
    lots = list(in_lots(Given({}).images))
    assert [len(lot) for lot in lots] == [7, 7, 7, 7, 2]
    np.testing.assert_array_equal(np.concatenate(lots), Given({}).images)


def test_a_run_stops_with_the_list_unless_it_is_allowed_by_name() -> None:
    source = Given({25: 3, 12: 4}, labels={12: 1})
    with pytest.raises(InputError, match=r"c3 \(train\) = c25 \(test\)") as stopped:
        DataModule(source).prepare_data()
    assert str(stopped.value).endswith("data.allow=[exact_duplicates,conflicting_labels]")
    with pytest.raises(InputError, match=r"c4 \(label 0\) = c12 \(label 1\)"):
        DataModule(source, allow=["exact_duplicates"]).prepare_data()
    allowed = DataModule(source, allow=["exact_duplicates", "conflicting_labels"])
    allowed.prepare_data()
    assert allowed.gate.leaks is not None
    assert {kind: len(texts) for kind, texts in allowed.gate.leaks.items()} == {
        "exact_duplicates": 2,
        "conflicting_labels": 1,
    }


def test_a_shared_subject_can_be_allowed_by_name() -> None:
    source = Given({})
    subject = source.cases.subject.copy()
    subject[25] = subject[3]
    source.cases = Cases(source.cases.case, subject, source.cases.split, source.cases.label)
    with pytest.raises(InputError, match=r"c3 \(train, test\)"):
        DataModule(source).prepare_data()
    allowed = DataModule(source, allow=["shared_subjects"])
    allowed.prepare_data()
    assert allowed.gate.leaks == {"shared_subjects": ["c3 (train, test)"]}


def test_near_duplicates_among_many_cases_need_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fiducial.data.gate.NEAR_LIMIT", 29)
    source = Given({})
    source.images[25] = (source.images[3] * 0.9).astype(np.uint8)
    quick = DataModule(source)
    quick.prepare_data()
    assert quick.gate.looked_for == "exact duplicates"
    with pytest.raises(InputError, match=r"nearly equal images in different splits \(1\)"):
        DataModule(source, check="full").prepare_data()


def test_images_that_take_long_to_read_need_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fiducial.data.gate.VALUES_LIMIT", 30 * 256 - 1)
    skipped = DataModule(Given({25: 3}))
    skipped.prepare_data()
    assert skipped.gate.looked_for == "nothing"
    with pytest.raises(InputError, match="equal images in different splits"):
        DataModule(Given({25: 3}), check="full").prepare_data()


def test_a_misspelt_leak_is_answered_with_the_nearest() -> None:
    assert check_allowed(LEAKS) == LEAKS
    with pytest.raises(InputError, match="got near_duplicate; did you mean near_duplicates"):
        DataModule(Given({}), allow=["near_duplicate"])


def test_the_message_names_five_and_counts_the_rest() -> None:
    with pytest.raises(InputError, match=r"\(7\): p0, p1, p2, p3, p4 and 2 more\. Leave"):
        refuse({"near_duplicates": [f"p{number}" for number in range(7)]}, [])


@pytest.mark.data
@pytest.mark.skipif("FIDUCIAL_DATA" not in os.environ, reason="needs $FIDUCIAL_DATA/medmnist")
def test_breastmnist_holds_an_image_twice_with_both_labels() -> None:
    file = Path(os.environ["FIDUCIAL_DATA"]) / "medmnist" / "breastmnist.npz"
    with np.load(file) as arrays:
        train, test = arrays["train_images"], arrays["test_images"]
        labels = arrays["train_labels"][115, 0], arrays["test_labels"][76, 0]
    np.testing.assert_array_equal(train[115], test[76])
    assert labels == (0, 1)
    twins = find_twins([np.concatenate([train, test])[:, None]], [0] * (len(train) + len(test)), near=False)
    assert [group.tolist() for group in twins.equal] == [[115, len(train) + 76]]
