from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_sample_weight

from fiducial.data.balance import balancing_weights, class_counts
from fiducial.data.dataset import CaseDataset, pad
from fiducial.data.module import DataModule, in_unit_range, standardise
from fiducial.data.patches import Patches
from fiducial.data.phantom import Phantom
from fiducial.data.preparation import Preparation
from fiducial.data.source import Cases, Source, Spec
from fiducial.errors import InputError


class Listed(Source):
    """Images that are given, read one at a time."""

    def __init__(self, images: list[np.ndarray[Any, Any]], *, size: tuple[int, ...], sequence: bool = False) -> None:
        self.images, self.size, self.sequence = images, size, sequence

    @cached_property
    def spec(self) -> Spec:
        return Spec(1, len(self.size), self.size, "binary", ("no", "yes"), self.sequence)

    @cached_property
    def cases(self) -> Cases:
        names = np.array([f"case{number}" for number in range(len(self.images))])
        split = np.array(["train", "val", "test"])[np.arange(len(names)) % 3]
        return Cases(names, names, split, np.arange(len(names)) // 3 % 2)

    def read(self, index: int) -> np.ndarray[Any, Any]:
        return self.images[index]

    def fingerprint(self) -> Mapping[str, str]:
        return {"sha256": ""}


def phantom(**options: Any) -> DataModule:
    module = DataModule(Phantom(num_subjects=30, size=[8, 8]), **options)
    module.prepare_data()
    return module


@pytest.mark.parametrize("given", [{"prepare": Preparation()}, {"patches": Patches(size=[8, 8])}])
def test_what_is_for_masks_is_refused_without_them(given: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=rf"data\.{next(iter(given))} is for cases with masks"):
        phantom(**given)


def test_uint8_becomes_float32_by_the_formula() -> None:
    module = phantom(mean=0.3, std=0.2, batch_size=9)
    batch = next(iter(module.train_dataloader()))
    pixels = batch["image"].numpy().astype(np.float64)
    assert batch["image"].dtype == torch.uint8, "bytes travel, floats are made on the device"
    result = module.on_after_batch_transfer(batch, 0)["image"]
    assert result.dtype == torch.float32
    np.testing.assert_allclose(result.numpy(), (pixels / 255 - 0.3) / 0.2, atol=1e-5)


def test_float_sources_keep_their_values() -> None:
    images = [np.full((1, 4, 4), 0.1 * number, dtype=np.float32) for number in range(6)]
    module = DataModule(Listed(images, size=(4, 4)), mean=0.5, std=0.25, num_workers=0)
    module.prepare_data()
    batch = next(iter(module.test_dataloader()))
    assert batch["row"].tolist() == [2, 5]
    values = module.on_after_batch_transfer(batch, 0)["image"][:, 0, 0, 0]
    torch.testing.assert_close(values, torch.tensor([(0.2 - 0.5) / 0.25, 0.0]))


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ((np.int16, np.int16), "case case2: expected pixels of uint8, or of float32 in 0..1; got int16"),
        ((np.float64, np.float64), "got float64"),
        ((np.uint8, np.float32), "case case5: expected uint8, as case case2 is; got float32"),
    ],
)
def test_pixels_of_a_type_that_is_not_agreed_on_are_refused(kinds: tuple[Any, Any], message: str) -> None:
    images = [np.zeros((1, 4, 4), kinds[number // 3]) for number in range(6)]
    module = DataModule(Listed(images, size=(4, 4)), num_workers=0)
    module.prepare_data()
    with pytest.raises(InputError, match=message):
        module.on_before_batch_transfer(next(iter(module.test_dataloader())), 0)


def test_each_channel_has_its_own_mean() -> None:
    image = torch.rand(2, 3, 4, 4)
    result = standardise(image, [0.1, 0.2, 0.3], [1.0, 2.0, 4.0])
    for channel, (mean, std) in enumerate(((0.1, 1.0), (0.2, 2.0), (0.3, 4.0))):
        torch.testing.assert_close(result[:, channel], (image[:, channel] - mean) / std)
    with pytest.raises(InputError, match="one value or 1"):
        phantom(mean=[0.1, 0.2, 0.3])


def test_bytes_cover_the_unit_range() -> None:
    assert in_unit_range(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_loaders_give_every_case_of_their_split_once(split: str) -> None:
    module = phantom(batch_size=7)
    loader = getattr(module, f"{split}_dataloader")()
    batches = list(loader)
    rows = torch.cat([batch["row"] for batch in batches])
    assert sorted(rows.tolist()) == np.flatnonzero(module.cases.split == split).tolist()
    labels = torch.cat([batch["label"] for batch in batches])
    assert labels.tolist() == module.cases.label[rows.numpy()].tolist()
    pixels = torch.cat([batch["image"] for batch in batches])
    np.testing.assert_array_equal(pixels.numpy(), module.source.pixels()[rows.numpy()])


def test_full_batch() -> None:
    module = phantom(batch_size="full")
    (batch,) = list(module.train_dataloader())
    assert len(batch["row"]) == (module.cases.split == "train").sum() == batch["size"]


@pytest.mark.parametrize("workers", [0, 2])
def test_sequences_are_padded_and_their_lengths_told(workers: int) -> None:
    source = Phantom(num_subjects=12, size=[6, 8, 8], sequence=True, min_length=2)
    module = DataModule(source, batch_size=5, num_workers=workers)
    module.prepare_data()
    for batch in module.val_dataloader():
        for image, length, row in zip(batch["image"], batch["length"], batch["row"], strict=True):
            expected = source.read(int(row))
            assert length == expected.shape[1]
            np.testing.assert_array_equal(image[:, :length].numpy(), expected)
            assert not image[:, length:].any()
        assert batch["image"].shape[2] == batch["length"].max()


def test_pad_keeps_the_type() -> None:
    joined = pad([np.ones((2, 3, 4, 4), np.float32), np.ones((2, 1, 4, 4), np.float32)])
    assert joined["image"].dtype == torch.float32
    assert joined["image"].sum(dim=(1, 3, 4)).tolist() == [[32, 32, 32], [32, 0, 0]]


def error_of(module: DataModule) -> str:
    """Read all training batches, as a trainer would; return what is said."""
    module.prepare_data()

    def read() -> None:
        for batch in module.train_dataloader():
            module.on_before_batch_transfer(batch, 0)

    with pytest.raises(InputError) as caught:
        read()
    return str(caught.value)


@pytest.mark.parametrize("workers", [0, 1])
def test_bad_images_are_named(workers: int) -> None:
    images = [np.zeros((1, 4, 4), np.float32) for _ in range(9)]
    images[3][0, 1, 2] = np.nan
    module = DataModule(Listed(images, size=(4, 4)), num_workers=workers)
    assert error_of(module).startswith("case case3: 1 of 16 pixels are NaN or infinite")
    images[3] = np.zeros((1, 5, 4), np.float32)
    module = DataModule(Listed(images, size=(4, 4)), num_workers=workers)
    assert error_of(module) == "case case3: expected an image of shape (1, 4, 4), got (1, 5, 4)"


def test_frames_of_another_size_are_named() -> None:
    images = [np.zeros((1, frames + 1, 4, 4), np.uint8) for frames in range(9)]
    images[6] = np.zeros((1, 2, 4, 5), np.uint8)
    dataset = CaseDataset(Listed(images, size=(9, 4, 4), sequence=True))
    assert isinstance(dataset.__getitems__([0, 3]), dict)
    assert "case case6" in str(dataset.__getitems__([3, 6]))


@pytest.mark.parametrize("target", ["binary", "multiclass", "ordinal"])
def test_balancing_weights_equal_those_of_scikit_learn(target: str) -> None:
    prior = [0.9, 0.1] if target == "binary" else [0.5, 0.3, 0.15, 0.05]
    cases = Phantom(num_subjects=200, size=[8, 8], target=target, prior=prior).cases
    label = cases.label[cases.split == "train"]
    ours = balancing_weights(cases, len(prior)).numpy()
    expected = compute_sample_weight("balanced", label)
    np.testing.assert_allclose(ours / ours.sum(), expected / expected.sum())
    np.testing.assert_array_equal(class_counts(cases, len(prior)), np.bincount(label, minlength=len(prior)))


def test_balancing_weights_of_several_labels_follow_the_rarest() -> None:
    label = np.array([[1, 0], [1, 0], [1, 1], [0, 0], [0, 0], [0, 0]])
    names = np.array([f"c{i}" for i in range(6)])
    cases = Cases(names, names, np.array(["train"] * 6), label)
    assert balancing_weights(cases, 2).tolist() == pytest.approx([1 / 3, 1 / 3, 1, 1 / 3, 1 / 3, 1 / 3])


def test_balanced_sampling_shows_classes_alike_often() -> None:
    source = Phantom(num_subjects=300, size=[8, 8], target="multiclass", num_classes=3, prior=[0.8, 0.15, 0.05])
    module = DataModule(source, sampling="balanced", batch_size=64)
    module.prepare_data()
    label = torch.cat([batch["label"] for batch in module.train_dataloader()])
    assert len(label) == len(module.rows("train")), "an epoch is as long as ever"
    share = np.bincount(label.numpy(), minlength=3) / len(label)
    assert share == pytest.approx([1 / 3] * 3, abs=0.06)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"batch_size": "half"}, "batch_size must be at least 1"),
        ({"sampling": "balancd"}, "did you mean balanced"),
    ],
)
def test_bad_options(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        phantom(**options)


def test_loaders_leave_the_global_generator_alone() -> None:
    module = phantom()
    state = torch.get_rng_state()
    next(iter(module.train_dataloader()))
    assert torch.equal(torch.get_rng_state(), state)


def test_missing_channels_are_their_mean_in_validation_and_test() -> None:
    source = Phantom(num_subjects=12, size=[8, 8], channels=3)
    data = DataModule(source, missing=[0, 2], batch_size=4, mean=[0.5, 0.4, 0.3], std=0.2)
    data.prepare_data()
    batch = data.on_after_batch_transfer(next(iter(data.test_dataloader())), 0)
    pixels = source.pixels()
    assert pixels is not None
    train = pixels[source.cases.where("train")] / 255
    for channel, mean in ((0, 0.5), (2, 0.3)):
        wanted = (train[:, channel].mean() - mean) / 0.2
        assert batch["image"][:, channel].unique().tolist() == [pytest.approx(wanted, abs=1e-6)]
    assert batch["present"].tolist() == [[False, True, False]] * 4
    assert float(batch["image"][:, 1].std()) > 0


@pytest.mark.parametrize(
    ("options", "named"),
    [({"missing": [0, 1]}, "not all"), ({"missing": [5]}, "0 to 1"), ({"channel_dropout": 1.0}, "below 1")],
)
def test_channels_that_cannot_be_missing_are_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        DataModule(Phantom(num_subjects=12, size=[8, 8], channels=2), **options)
