from __future__ import annotations

import numpy as np
import pytest

from fiducial.data.columns import Columns
from fiducial.data.phantom_modalities import PhantomModalities, PhantomModalityMasks, showing
from fiducial.data.phantom_table import PhantomTable
from fiducial.errors import InputError

OPTIONS = {"num_subjects": 40, "images_per_subject": 1, "size": [32, 32], "noise": 0.0, "difficulty": 0.0}


def test_a_lesion_is_seen_in_one_modality_only() -> None:
    """Where the mask is, the channel that shows the lesion differs from the same phantom without it; no other does."""
    source = PhantomModalityMasks(**OPTIONS, prior=[0.0, 1.0])
    shown = [showing(source, row) for row in range(40)]
    assert 10 < sum(shown) < 30
    for row in range(40):
        sample = source.sample(row)
        assert sample.mask is not None
        inside = sample.mask > 0
        values = sample.image.astype(float) / 255
        linear = np.stack([values[0], values[1] ** (1 / 1.5)])  # the second modality is the first, darker
        difference = np.abs(linear[0] - linear[1])
        assert difference[inside].mean() > 5 * difference[~inside].mean()


def test_labels_and_options_are_the_phantoms() -> None:
    source = PhantomModalities(**OPTIONS)
    assert source.spec.channels == 2
    assert source.read(3).shape == (2, 32, 32)
    np.testing.assert_array_equal(source.read(3), PhantomModalities(**OPTIONS).read(3))
    assert source.fingerprint() != PhantomModalities(**{**OPTIONS, "channels": 3}).fingerprint()


def test_the_marker_tells_of_the_lesion_and_age_does_not() -> None:
    columns = Columns(names=["age", "marker", "sex"], categorical=["sex"], missing="mean")
    source = PhantomTable(num_subjects=2000, images_per_subject=1, size=[8, 8], columns=columns, effect=2.0, blank=0.25)
    covariates, label = source.covariates, source.cases.label
    assert covariates is not None
    for name, effect in (("marker", 2.0), ("age", 0.0)):
        values = covariates.numbers[name]
        ill, well = (values[(label == number) & np.isfinite(values)] for number in (1, 0))
        assert (ill.mean() - well.mean()) / well.std() == pytest.approx(effect, abs=0.15)
    assert np.mean([covariates.absent[name].mean() for name in columns.names]) == pytest.approx(0.25, abs=0.02)
    assert source.spec.columns == ("age", "marker", "sex=f", "sex=m")


def test_bad_options() -> None:
    with pytest.raises(InputError, match="has the columns age, marker, sex, day; got psa"):
        PhantomTable(columns=Columns(names=["psa"]))
    with pytest.raises(InputError, match="it is binary"):
        PhantomTable(target="ordinal")
    with pytest.raises(InputError, match="blank must be"):
        PhantomTable(blank=1.0)
    with pytest.raises(InputError, match="none is left out"):
        PhantomTable(columns=Columns(missing="drop"))
