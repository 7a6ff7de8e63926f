from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from fiducial.reports.figures.settings import settings as draw
from fiducial.statistics import mean_interval
from fiducial.sweeps.summary import points, summarise


def finished(
    folder: Path, name: str, objective: float, auroc: float, loss: float = 0.5, subjects: int = 40, **settings: int
) -> Path:
    out = folder / name
    out.mkdir()
    record = {"identity": name, "choices": {}, "overrides": [], "settings": settings}
    (out / "run.json").write_text(json.dumps(record))
    interval = {"value": auroc, "low": auroc - 0.1, "high": auroc + 0.05, "num_resamples_used": 2000}
    other = {"value": loss, "low": loss, "high": loss, "num_resamples_used": 2000}
    scores = {"mae": other, "auroc": interval}
    content = {"objective": {"name": "val/auroc", "value": objective}, "scores": scores, "subjects": subjects}
    (out / "scores.json").write_text(json.dumps(content))
    return out


VALUES = {"a": [(0.90, 0.80), (0.94, 0.82), (0.92, 0.87)], "b": [(0.95, 0.85)], "c": [(0.1, 0.99), (0.2, 0.98)]}


@pytest.fixture
def summary(tmp_path: Path):
    runs = [
        (f"{setting} seed={seed}", setting, finished(tmp_path, f"{setting}{seed}", *values))
        for setting, several in VALUES.items()
        for seed, values in enumerate(several)
    ]
    (tmp_path / "unfinished").mkdir()
    return summarise([*runs, ("d", "d", tmp_path / "unfinished")])


def test_settings_are_ranked_by_the_validation_split_and_never_by_the_test_split(summary) -> None:
    assert list(summary.settings) == ["b", "a", "c"]
    assert summary.best.title == "b seed=0"
    assert summary.shown() == ["auroc", "mae"]


Costly = list[tuple[str, str, Path]]


@pytest.fixture
def costly(tmp_path: Path) -> Costly:
    """Runs with several objectives: c is behind b in all of them."""
    runs = []
    for name, auroc, loss, parameters in (("a", 0.9, 0.5, 12345), ("b", 0.8, 0.4, 1), ("c", 0.7, 0.6, 1)):
        out = finished(tmp_path, name, auroc, 0.7)
        scores = json.loads((out / "scores.json").read_text())
        (out / "scores.json").write_text(json.dumps(scores | {"epoch": 1}))
        (out / "tracking").mkdir()
        events = [
            {"event": "params", "values": {"parameters": str(parameters)}},
            {"event": "metrics", "points": [["val/loss", loss + 1, 0, 0], ["val/loss", loss, 1, 1]]},
        ]
        (out / "tracking" / "journal.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
        runs.append((name, name, out))
    return runs


def test_a_search_ranks_by_what_it_searches_for(costly: Costly) -> None:
    by = {name: summarise(costly, [name]) for name in ("val/auroc", "val/loss", "parameters")}
    assert {name: list(one.settings) for name, one in by.items()} == {
        "val/auroc": ["a", "b", "c"], "val/loss": ["b", "a", "c"], "parameters": ["b", "c", "a"],
    }  # fmt: skip
    assert by["val/loss"].best is not None
    assert by["val/loss"].best.objective == ("val/loss", 0.4)
    console = Console(file=io.StringIO(), width=80)
    console.print(by["parameters"].table())
    assert " 12345 " in console.file.getvalue()  # type: ignore[attr-defined]


def test_settings_with_different_objectives_are_not_ranked(tmp_path: Path) -> None:
    runs = []
    for name, objective, value in (("a", "val/loss", 0.4), ("b", "val/auroc", 0.9)):
        out = finished(tmp_path, name, value, 0.7)
        content = json.loads((out / "scores.json").read_text())
        (out / "scores.json").write_text(json.dumps(content | {"objective": {"name": objective, "value": value}}))
        runs.append((name, name, out))
    summary = summarise(runs[::-1])
    assert list(summary.settings) == ["b", "a"]
    assert summary.best is None
    assert summary.objective == ""
    console = Console(file=io.StringIO(), width=120)
    console.print(summary.table())
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "val/loss 0.400" in said
    assert "val/auroc 0.900" in said
    assert "no best one: the objectives are different" in " ".join(said.split())
    rows = {(row["setting"], row["score"]) for row in csv.DictReader(io.StringIO(summary.csv()))}
    assert {("a", "val/loss"), ("b", "val/auroc")} <= rows
    assert not {("a", "val/auroc"), ("b", "val/loss")} & rows


def test_several_objectives_are_all_shown_and_what_is_beaten_in_none_is_marked(costly: Costly) -> None:
    summary = summarise(costly, ["val/auroc", "parameters"])
    assert summary.front == ["a", "b"]
    assert summarise(costly, ["val/auroc"]).front == []
    console = Console(file=io.StringIO(), width=100)
    console.print(summary.table())
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    shown = {line.split()[0]: line.split() for line in lines if line.split()[1:2] in (["*"], ["1"])}
    assert [shown[name][:5] for name in "ab"] == [["a", "*", "1", "0.900", "12345"], ["b", "*", "1", "0.800", "1.000"]]
    assert shown["c"][:4] == ["c", "1", "0.700", "1.000"]
    assert "* no other setting beats it in all objectives" in " ".join(" ".join(lines).split())
    rows = {(row["setting"], row["score"]): row["mean"] for row in csv.DictReader(io.StringIO(summary.csv()))}
    assert [rows["a", name] for name in ("val/auroc", "parameters")] == ["0.9", "12345"]
    assert list(points(summary, "parameters")) == ["a", "b", "c"]


def test_mean_deviation_and_interval_over_repetitions(summary) -> None:
    values = np.array([auroc for _, auroc in VALUES["a"]])
    interval = summary.of(summary.settings["a"], "auroc")
    low, high = stats.t.interval(0.95, len(values) - 1, loc=values.mean(), scale=stats.sem(values))
    assert (interval.value, interval.low, interval.high) == pytest.approx((values.mean(), low, high))
    assert summary.deviation(summary.settings["a"], "auroc") == pytest.approx(values.std(ddof=1))
    single = summary.of(summary.settings["b"], "auroc")
    assert (single.low, single.high) == pytest.approx((0.75, 0.90))  # its own, over subjects


def test_seeds_of_a_fold_are_one_value_of_the_interval(tmp_path: Path) -> None:
    """Three seeds on each of five folds that differ: five values, not fifteen."""
    draw = np.random.default_rng(0)
    scores = 0.8 + draw.normal(0, 0.05, (5, 1)) + draw.normal(0, 0.01, (5, 3))
    runs = {
        (fold, seed): (
            f"{fold} {seed}",
            "a",
            finished(tmp_path, f"{fold} {seed}", score, score, seed=seed, **{"data.fold": fold}),
        )
        for (fold, seed), score in np.ndenumerate(scores)
    }
    summary = summarise(runs.values())
    of_folds = scores.mean(axis=1)
    expected = (scores.mean(), *stats.t.interval(0.95, 4, loc=of_folds.mean(), scale=stats.sem(of_folds)))
    interval = summary.of(summary.settings["a"], "auroc")
    assert (interval.value, interval.low, interval.high) == pytest.approx(expected)
    assert summary.deviation(summary.settings["a"], "auroc") == pytest.approx(scores.std(ddof=1))
    rows = {row["score"]: row for row in csv.DictReader(io.StringIO(summary.csv()))}
    for name in ("val/auroc", "test/auroc"):
        assert [float(rows[name][key]) for key in ("mean", "low", "high")] == pytest.approx(expected, abs=1e-6)
    for name in ("val/auroc", "auroc"):
        drawn = points(summary, name)["a"]
        assert (len(drawn[0]), drawn[1].low) == (15, pytest.approx(expected[1]))
    assert summary.caption().startswith(
        "± standard deviation over runs, [95 % interval over folds of the mean over seeds]"
    )
    assert "of their mean" not in summary.caption()
    assert "over folds" in draw_settings(summary)
    alone = summarise([runs[fold, 0] for fold in range(5)])  # of one seed each
    bounds = stats.t.interval(0.95, 4, loc=scores[:, 0].mean(), scale=stats.sem(scores[:, 0]))
    assert alone.of(alone.settings["a"], "auroc").low == pytest.approx(bounds[0])
    assert "over folds" not in alone.caption() + draw_settings(alone)


def draw_settings(summary) -> str:
    """Return what stands below the picture of a sweep."""
    figure = draw({"val/auroc": points(summary, "val/auroc")}, over_folds=summary.over_folds)
    return figure._supxlabel.get_text()


def test_a_fold_without_some_of_its_seeds_counts_as_much_as_the_others(tmp_path: Path) -> None:
    values = {(0, 0): 0.9, (0, 1): 0.8, (1, 0): 0.5}
    runs = [
        (f"{fold} {seed}", "a", finished(tmp_path, f"{fold} {seed}", score, score, seed=seed, **{"data.fold": fold}))
        for (fold, seed), score in values.items()
    ]
    summary = summarise(runs)
    assert summary.of(summary.settings["a"], "auroc").value == pytest.approx((0.85 + 0.5) / 2)
    console = Console(file=io.StringIO(), width=80)
    console.print(summary.table())
    row = next(line.split() for line in console.file.getvalue().splitlines() if line.split()[:2] == ["a", "3"])  # type: ignore[attr-defined]
    assert row[2] == row[5] == "0.675"


def test_intervals_over_few_subjects_are_said_to_be_too_narrow(tmp_path: Path) -> None:
    runs = {
        subjects: [("a", "a", finished(tmp_path, f"a{subjects}", 0.9, 0.8, subjects=subjects))] for subjects in (9, 10)
    }
    assert "9 subjects: bootstrap intervals of fewer than 10 are too narrow" in summarise(runs[9]).caption()
    assert "too narrow" not in summarise(runs[10]).caption()
    again = ("a seed=1", "a", finished(tmp_path, "again", 0.9, 0.8, subjects=9))
    assert "too narrow" not in summarise([*runs[9], again]).caption()  # these intervals are over repetitions


def test_the_caption_explains_every_kind_of_interval_that_is_there(summary, tmp_path: Path) -> None:
    of_mean, of_one = "[95 % interval of their mean]", "of a single run: [95 % interval over subjects]"
    assert of_mean in summary.caption()
    assert of_one in summary.caption()  # setting b
    runs = [(f"{name}", name[0], finished(tmp_path, f"again {name}", 0.9, 0.8)) for name in ("a1", "a2", "b1")]
    assert of_one not in summarise(runs[:2]).caption()
    assert of_mean not in summarise(runs[2:]).caption()


def test_an_interval_of_a_score_does_not_leave_0_to_1(summary) -> None:
    interval = summary.of(summary.settings["c"], "auroc")
    assert interval.high == 1.0
    assert mean_interval([0.98, 0.99]).high > 1.0
    assert np.isnan(mean_interval([0.5]).low)
    assert np.isnan(mean_interval([]).value)


def test_intervals_stay_on_one_line_at_80_columns(tmp_path: Path) -> None:
    setting = "model=plain_cnn widths=[16,32,64] optimizer.lr=0.0001 dropout=0.25"
    runs = [(str(seed), setting, finished(tmp_path, str(seed), 0.9, 0.8 + seed / 100)) for seed in range(3)]
    single = [("d", f"{setting} depth=3", finished(tmp_path, "d", 0.7, 0.7))]
    console = Console(record=True, width=80, file=io.StringIO())
    console.print(summarise([*runs, *single]).table())
    text = console.export_text()
    assert "[0.785, 0.835]" in text  # 0.81 ± 4.303 · 0.01 / √3
    assert "[0.600, 0.750]" in text
    assert "0.810 ± 0.010" in text
    assert "…" not in text
    shown = "".join(line[:30] for line in text.splitlines())
    assert all(word in shown for word in f"{setting} depth=3".split())


def test_csv_has_a_line_a_setting_and_score(summary) -> None:
    rows = list(csv.DictReader(io.StringIO(summary.csv())))
    assert [(row["setting"], row["score"]) for row in rows[:3]] == [
        ("b", "val/auroc"), ("b", "test/mae"), ("b", "test/auroc"),
    ]  # fmt: skip
    assert len(rows) == 9
    assert float(rows[3]["mean"]) == pytest.approx(0.92)
    assert float(rows[3]["deviation"]) == pytest.approx(0.02)
    assert rows[0]["deviation"] == ""


def test_the_picture_has_a_row_a_setting_and_a_point_a_run(summary) -> None:
    figure = draw({name: points(summary, name) for name in ("val/auroc", "auroc")})
    left, right = figure.axes
    assert [tick.get_text() for tick in left.get_yticklabels()] == ["b", "a", "c"]
    drawn = sorted(x for line in left.lines if line.get_marker() == "o" for x in line.get_xdata())
    assert drawn == sorted(objective for several in VALUES.values() for objective, _ in several)
    assert right.get_title(loc="left") == "auroc"
