"""Columns beside the image: filled, scaled and encoded as pandas and scikit-learn do, by the training split alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fiducial.data.assignment import assigned
from fiducial.data.columns import Columns, Covariates, Encoding
from fiducial.data.module import DataModule
from fiducial.data.table import Table
from fiducial.errors import InputError

Write = Callable[..., Table]
HOLES = [(1, "age"), (4, "age"), (5, "psa"), (8, "sex"), (14, "age"), (17, "psa")]


def frame(count: int = 20) -> pd.DataFrame:
    """Two visits of each subject, with some values missing in every split."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "path": [f"{n}.png" for n in range(count)],
            "label": ["ill" if n % 4 < 2 else "well" for n in range(count)],
            "subject": [f"s{n // 4}" for n in range(count)],
            "split": ["train"] * 12 + ["val"] * 4 + ["test"] * (count - 16),
            "age": rng.normal(60, 10, count).round(1),
            "psa": rng.exponential(5, count).round(2),
            "sex": rng.choice(["f", "m"], count, p=[0.3, 0.7]),
            "day": [f"2024-{1 + n % 4:02d}-1{n % 7}" for n in range(count)],
        }
    )
    for row, name in HOLES:
        table.loc[row, name] = None if name == "sex" else np.nan
    return table


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(table: pd.DataFrame, **options: Any) -> Table:
        for number, path in enumerate(table["path"]):
            pixels = np.random.default_rng(number).integers(0, 255, (8, 8), np.uint8)
            Image.fromarray(pixels).save(tmp_path / path)
        table.to_csv(tmp_path / "cases.csv", index=False)
        return Table(path=tmp_path / "cases.csv", columns=Columns(**options))

    return write


def features(source: Table) -> np.ndarray[Any, Any]:
    covariates, cases = source.covariates, source.cases
    assert covariates is not None
    return Encoding.of(covariates, cases.where("train"))(covariates, cases.case.tolist())


@pytest.mark.parametrize("missing", ["mean", "median"])
def test_numbers_as_scikit_learn_fills_and_scales_them(write: Write, missing: Any) -> None:
    table = frame()
    pipeline = make_pipeline(SimpleImputer(strategy=missing, add_indicator=False), StandardScaler())
    pipeline.fit(table.loc[:11, ["age", "psa"]])
    source = write(table, names=["age", "psa"], missing=missing)
    assert source.spec.columns == ("age", "psa")
    np.testing.assert_allclose(features(source), pipeline.transform(table[["age", "psa"]]), rtol=1e-5)
    plain = write(table, names=["age", "psa"], missing=missing, standardise=False)
    np.testing.assert_allclose(features(plain), pipeline[0].transform(table[["age", "psa"]]), rtol=1e-6)


def test_categories_as_scikit_learn_encodes_them_and_indicators(write: Write) -> None:
    table = frame()
    sex = table[["sex"]].astype(object)
    imputer = SimpleImputer(strategy="most_frequent")
    encoder = make_pipeline(imputer, OneHotEncoder(sparse_output=False)).fit(sex[:12])
    source = write(table, names=["sex", "age"], categorical=["sex"], missing="mean", indicator=True)
    assert source.spec.columns == ("sex=f", "sex=m", "age", "sex is missing", "age is missing")
    found = features(source)
    np.testing.assert_array_equal(found[:, :2], encoder.transform(sex))
    np.testing.assert_array_equal(found[:, 3:], table[["sex", "age"]].isna())


def test_gaps_as_pandas_interpolates_them(write: Write) -> None:
    table = frame()
    table.loc[table["subject"] == "s4", "psa"] = np.nan  # a subject that was never measured
    source = write(table, names=["age", "psa"], missing="interpolate", time_column="day", standardise=False)
    by_time = table.assign(day=pd.to_datetime(table["day"])).sort_values("day").set_index("day")
    for place, name in enumerate(("age", "psa")):
        parts = by_time.groupby("subject")[["path", name]]
        joined = pd.concat(
            [part.assign(**{name: part[name].interpolate("time", limit_direction="both")}) for _, part in parts]
        )
        wanted = joined.set_index("path")[name].reindex(table["path"])
        wanted = wanted.fillna(wanted[(table["split"] == "train").to_numpy()].mean())
        np.testing.assert_allclose(features(source)[:, place], wanted, rtol=1e-6)


def test_a_line_in_time_by_hand(write: Write) -> None:
    table = frame(20).assign(day=range(20))
    table.loc[:3, "age"] = [10.0, np.nan, np.nan, 40.0]
    source = write(table, names=["age"], missing="interpolate", time_column="day", standardise=False)
    assert features(source)[:4, 0].tolist() == [10, 20, 30, 40]


def test_cases_without_a_value_are_dropped_from_every_split(write: Write) -> None:
    source = write(frame(), names=["age", "psa", "sex"], categorical=["sex"], missing="drop")
    kept = [n for n in range(20) if n not in {row for row, _ in HOLES}]
    assert source.cases.case.tolist() == [f"{n}.png" for n in kept]
    assert source.fingerprint()["cases_left_out"] == "6"
    assert len(features(source)) == 14
    assert int(source.read(1).sum()) == int(np.asarray(Image.open(source.root / "2.png")).sum())  # rows moved up


def test_nothing_is_learned_from_validation_and_test(write: Write) -> None:
    """Other values in the two splits change no feature of a training case, and their own by the same map."""
    table, other = frame(), frame()
    later = other["split"] != "train"
    other.loc[later, ["age", "psa"]] = 1e6 * (1 + other.loc[later, ["age", "psa"]].fillna(3))
    options: dict[str, Any] = {"names": ["age", "psa"], "missing": "median"}
    before, after = features(write(table, **options)), features(write(other, **options))
    np.testing.assert_array_equal(before[:12], after[:12])
    values = write(other, **options)
    covariates = values.covariates
    assert covariates is not None
    learned = Encoding.of(covariates, values.cases.where("train"))
    np.testing.assert_allclose(after[15, 0], (other["age"][15] - learned.centre["age"]) / learned.scale["age"])


def test_statistics_follow_the_split_that_is_used(write: Write) -> None:
    """With folds another part of the table trains: the data module's features are of mean 0 there."""
    source = write(frame(), names=["psa"], missing="mean")
    for fold in (0, 1):
        data = DataModule(source, fold=fold, num_folds=4, allow=["near_duplicates"], batch_size=4)
        data.prepare_data()
        train = assigned(source, fold=fold, num_folds=4).where("train")
        assert float(data.columns[train].mean()) == pytest.approx(0, abs=1e-6)
        batch = data.on_before_batch_transfer(next(iter(data.val_dataloader())), 0)
        assert torch.equal(batch["columns"], data.columns[batch["row"]])


def test_what_was_learned_is_kept_for_other_data(write: Write) -> None:
    source = write(frame(), names=["age", "sex"], categorical=["sex"], missing="mean")
    data = DataModule(source, allow=["near_duplicates"])
    data.prepare_data()
    stored = data.state_dict()
    other = frame()
    other["age"] += 100
    elsewhere = DataModule(
        write(other, names=["age", "sex"], categorical=["sex"], missing="mean"), allow=["near_duplicates"]
    )
    elsewhere.prepare_data()
    assert float((elsewhere.columns[2, 0] - data.columns[2, 0]).abs()) < 1e-4  # its own training split's mean moved too
    elsewhere.load_state_dict({**stored, "epoch": 0})
    scale = stored["encoding"]["scale"]["age"]
    assert float(elsewhere.columns[2, 0] - data.columns[2, 0]) == pytest.approx(100 / scale, rel=1e-4)


def _with(column: str, row: int, value: Any) -> pd.DataFrame:
    table = frame().astype({column: object})
    table.loc[row, column] = value
    return table


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (frame(), {"names": ["age"]}, r"values are missing \(line 3: age, line 6: age, .*missing=drop\|mean"),
        (_with("age", 3, "old"), {"names": ["age"], "missing": "mean"}, r"line 5: age must be a number; got 'old'"),
        (_with("age", 3, "inf"), {"names": ["age"], "missing": "mean"}, r"line 5: age must be a number; got 'inf'"),
        (frame(), {"names": ["ages"]}, r"no column 'ages'; did you mean age"),
        (
            _with("sex", 3, "x"),
            {"names": ["sex"], "categories": {"sex": ["f", "m"]}, "missing": "mean"},
            r"line 5: sex must be of f, m; got 'x'",
        ),
        (
            frame().drop(columns="subject"),
            {"names": ["age"], "missing": "interpolate", "time_column": "day"},
            "needs a column of subjects",
        ),
        (
            _with("day", 3, "soon"),
            {"names": ["age"], "missing": "interpolate", "time_column": "day"},
            r"line 5: day must be a number or a date such as 2024-03-31; got 'soon'",
        ),
    ],
)
def test_what_cannot_be_used_is_named(write: Write, table: pd.DataFrame, options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        _ = write(table, **options).spec


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (
            _with("sex", 17, "x"),
            {"names": ["sex"], "categorical": ["sex"], "missing": "mean"},
            r"column sex: no training case has the category of 17\.png: x \(seen in training: f, m\)",
        ),
        (
            frame().assign(age=[np.nan] * 12 + [1.0] * 8),
            {"names": ["age"], "missing": "mean"},
            "column age: no training case has a value",
        ),
    ],
)
def test_what_training_does_not_tell_is_named(write: Write, table: pd.DataFrame, options: Any, message: str) -> None:
    source = write(table, **options)
    with pytest.raises(InputError, match=message):
        DataModule(source).prepare_data()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": ["a"], "categorical": ["b"]}, "'b' is none of"),
        ({"names": ["a", "a"]}, "named twice"),
        ({"names": ["a"], "missing": "mode"}, "must be drop, mean, median, interpolate; got mode"),
        ({"names": ["a"], "missing": "interpolate"}, "need each other"),
        ({"names": ["a"], "missing": "mean", "time_column": "t"}, "need each other"),
    ],
)
def test_options_that_exclude_each_other(options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Columns(**options)


def test_a_constant_column_is_zero() -> None:
    values = {"a": np.array([5.0, 5, 5, 7])}
    covariates = Covariates(Columns(names=["a"]), values, {}, {"a": np.zeros(4, bool)})
    assert Encoding.of(covariates, np.arange(3))(covariates, list("wxyz"))[:, 0].tolist() == [0, 0, 0, 2]
