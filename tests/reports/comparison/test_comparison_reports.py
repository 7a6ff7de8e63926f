"""What is shown of a comparison: numbers as they are, names as they are written, nothing from elsewhere."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from math import inf, nan
from pathlib import Path

import pytest
from matplotlib.lines import Line2D
from PIL import Image
from rich.console import Console

from fiducial.reports.comparison import content, terminal
from fiducial.reports.comparison.content import Comparison, Entry, PairedTest, Score
from fiducial.reports.comparison.files import csv_table, latex_table
from fiducial.reports.comparison.page import page
from fiducial.reports.comparison.picture import draw
from fiducial.reports.figures import save

EVIL = "model=<b>x</b>&[red]_%$#\\ lr=1"


def made(verdict: content.Verdict, difference: float, needed: float | None = None) -> PairedTest:
    low, high = difference - 0.05, difference + 0.05
    return PairedTest("DeLong, 3 × 3 runs", difference, low, high, 0.0123456, 0.0246912, verdict, 156, needed)


@pytest.fixture
def comparison() -> Comparison:
    def entry(label: str, value: float, tests: dict[str, PairedTest], objective: float | None = 0.9) -> Entry:
        scores = {
            "auroc": Score(value, value - 0.1, value + 0.1, 0.0181818),
            "hd95": Score(100 * value, nan, nan, nan),
        }
        return Entry(label, {"model": label}, ("run-1", "run-2"), 2, objective, scores, tests)

    undefined = PairedTest("paired bootstrap", nan, nan, nan, nan, nan, "cannot tell", 0, None, ("Wilcoxon", 0.0321))
    others = [
        entry(EVIL, 0.75, {"auroc": made("worse", -0.17), "hd95": undefined}, None),
        entry("model=c", 0.95, {"auroc": made("better", 0.11), "hd95": made("worse", 3.21)}),
        entry("model=d", 0.95, {"auroc": made("cannot tell", 0.01, 1384.2), "hd95": made("better", -1)}),
    ]
    return Comparison(
        reference=entry("model=resnet", 0.9142857, {}),
        others=others,
        keys=["model"],
        metrics=["auroc", "hd95"],
        falling=frozenset({"hd95"}),
        cases=1560,
        subjects=140,
        split="test",
        objective="val/auroc",
        chosen="as asked by --against",
        family=5,
        notes=["a <note>"],
    )


@pytest.mark.parametrize(
    ("needed", "shown"),
    [
        (None, ""),
        (156.0, "about 1 more case"),
        (160.2, "about 5 more cases"),
        (1384.2, "about 1,300 more cases"),
        (15_000, "about 15,000 more cases"),
        (15_601, "over 15,444 more cases"),
        (inf, "more runs, not cases"),
    ],
)
def test_what_it_would_take(needed: float | None, shown: str) -> None:
    assert content.more_cases(made("cannot tell", 0.1, needed)) == shown


@pytest.mark.parametrize(
    ("kind", "cases", "needed", "shown"),
    [
        ("positive", 8, 12.7, "about 5 more positive cases, about 130 more in all"),
        ("negative", 8, 8.2, "about 1 more negative case, about 25 more in all"),
        ("scored", 150, 300.0, "about 150 more cases with this score, about 200 more in all"),
        ("positive", 8, 5000.0, "over 792 more positive cases, over 19,800 more in all"),
        ("positive", 8, inf, "more runs, not cases"),
    ],
)
def test_what_it_would_take_of_the_cases_that_a_score_is_about(
    kind: content.Kind, cases: int, needed: float, shown: str
) -> None:
    test = replace(made("cannot tell", 0.1, needed), kind=kind, cases=cases, every=200)
    assert content.more_cases(test) == shown


def test_cases_of_one_kind_are_named_wherever_they_are_counted(comparison: Comparison) -> None:
    *rest, last = comparison.others
    of_some = replace(last.tests["auroc"], kind="positive", cases=8, cases_needed=12.7, every=200)
    named = replace(comparison, others=[*rest, replace(last, tests={**last.tests, "auroc": of_some})])
    lines = shown_at(80, named).splitlines()
    assert sum("about 5 more positive" in line for line in lines) == 1
    assert sum("cases, about 130 more in" in line for line in lines) == 1
    meant = "ore in all: cases of every kind, if they have the same share of these: 8 positive cases among 200"
    assert meant in shown_at(400, named)
    assert "more in all" not in shown_at(400, comparison)
    shown = Page(page(named)).text
    assert "about 5 more positive cases, about 130 more in all" in shown
    assert meant in shown
    row = list(csv.DictReader(io.StringIO(csv_table(named))))[-2]
    columns = ("cases", "cases_needed", "cases_are", "all_cases", "all_cases_needed")
    assert [row[column] for column in columns] == ["8", "12.7", "positive", "200", "317.5"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.91449, "0.914"), (-0.02, "−0.020"), (-0.0001, "0.000"), (12.3456, "12.35"), (1234.5, "1234"), (nan, "–")],
)
def test_numbers(value: float, shown: str) -> None:
    assert content.number(value) == shown


def test_signs_and_probabilities() -> None:
    assert content.number(0.5, sign=True) == "+0.500"
    assert [content.probability(p) for p in (0.0312, 1e-5, nan)] == ["0.031", "< 0.001", "–"]


def test_terminal_shows_names_scores_and_verdicts(comparison: Comparison) -> None:
    console = Console(record=True, width=140, highlight=False, file=io.StringIO())
    terminal.show(comparison, console)
    text = console.export_text()
    for shown in (
        "1,560 test cases of 140 subjects",
        "reference: model=resnet, as asked by --against",
        "5 % for all 5 tests together (Holm)",
        "a <note>",
        EVIL,
        "0.914 ± 0.018",
        "[0.814, 1.014]",
        "[−0.220, −0.120]",
        "worse, p 0.025",
        "about 1,300 more cases",
        "Wilcoxon: p 0.032",
        "hd95 ↓",
    ):
        assert shown in text, shown


def shown_at(width: int, comparison: Comparison) -> str:
    console = Console(record=True, width=width, highlight=False, file=io.StringIO())
    terminal.show(comparison, console)
    return console.export_text()


@pytest.mark.parametrize("metrics", [["auroc", "hd95"], ["auroc", "hd95", "surface_dice", "balanced_accuracy"]])
def test_intervals_and_verdicts_stay_on_one_line_at_80_columns(comparison: Comparison, metrics: list[str]) -> None:
    def filled(entry: Entry) -> Entry:
        score, test = entry.scores["auroc"], entry.tests.get("auroc")
        tests = dict.fromkeys(metrics, test) if test else {}
        label = f"{entry.label} widths=[16,32,64] scheduler=cosine"
        return replace(entry, label=label, scores=dict.fromkeys(metrics, score), tests=tests)

    others = [filled(entry) for entry in comparison.others]
    wide = replace(comparison, reference=filled(comparison.reference), others=others, metrics=metrics)
    text = shown_at(80, replace(wide, objective="val/balanced_accuracy"))
    tables = [line for line in text.splitlines() if "─" in line or line.startswith(" ")]
    assert max(map(len, tables)) <= 80
    assert text.count("[0.814, 1.014]") == len(metrics)
    assert text.count("[−0.220, −0.120]") == text.count("worse, p 0.025") == len(metrics)
    assert text.count("about 1,300 more cases") == len(metrics)
    assert "…" not in text


def test_each_test_is_named_with_the_settings_it_was_made_for(comparison: Comparison) -> None:
    first, *rest = comparison.others
    other = replace(first, tests={**first.tests, "auroc": replace(first.tests["auroc"], name="DeLong, 1 × 3 runs")})
    mixed = replace(comparison, others=[other, *rest])
    expected = f"DeLong, 1 × 3 runs for {EVIL}; DeLong, 3 × 3 runs for model=c, model=d"
    assert f"auroc: {expected}" in shown_at(400, mixed)
    assert "auroc: DeLong, 3 × 3 runs\n" in shown_at(400, comparison)
    assert escape(expected) in page(mixed)


def test_terminal_names_how_many_settings_it_hides(comparison: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "MOST_ROWS", 1)
    console = Console(record=True, width=140, file=io.StringIO())
    terminal.show(comparison, console)
    text = console.export_text()
    assert f"2 more settings, worse by {comparison.objective} or without it" in text
    assert "model=c" not in text


def test_csv_has_full_precision(comparison: Comparison) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_table(comparison))))
    assert [(row["setting"], row["metric"]) for row in rows] == [
        (entry.label, metric) for entry in comparison.entries for metric in ("auroc", "hd95")
    ]
    assert float(rows[0]["score"]) == 0.9142857
    assert (rows[0]["p"], rows[0]["verdict"], rows[2]["val/auroc"], rows[3]["p"]) == ("", "", "", "")
    assert (float(rows[2]["p"]), float(rows[2]["p_holm"]), rows[2]["verdict"]) == (0.0123456, 0.0246912, "worse")
    assert (rows[3]["second_test"], rows[3]["second_p"], rows[3]["better"]) == ("Wilcoxon", "0.0321", "lower")


def test_latex_is_balanced_and_escaped(comparison: Comparison) -> None:
    text = latex_table(comparison)
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert [line.count(" & ") for line in body] == [2] * 5
    assert r"model=<b>x</b>\&[red]\_\%\$\#\textbackslash{} lr=1 & $0.750 \pm 0.018$ $[0.650, 0.850]$$^{-}$" in text
    assert r"model=resnet (reference) & $0.914 \pm 0.018$ $[0.814, 1.014]$ & $91.43$" in text
    assert r"\downarrow" in body[0]
    for line in body:
        assert len(re.findall(r"(?<!\\)\$", line)) % 2 == 0
    assert text.count(r"\begin{") == text.count(r"\end{") == 1


class Page(HTMLParser):
    """Collects what a page would fetch or run, its open elements, and its text."""

    VOID = ("meta", "line", "circle")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.foreign: list[str] = []
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.foreign += [name for name, _ in attrs if name in ("src", "href", "srcset", "onclick", "style")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_page_needs_nothing_else_and_escapes_names(comparison: Comparison) -> None:
    text = page(comparison)
    found = Page(text)
    assert found.open == []
    assert found.foreign == []
    assert not re.search(r"url\(|@import|https?://|<script|<link|<img", text)
    assert "b" not in found.tags
    assert EVIL in found.text
    for shown in ("a <note>", "−0.170 [−0.220, −0.120]", "cannot tell", "about 1,300 more cases", "run-1, run-2"):
        assert shown in found.text, shown
    assert 'name="viewport"' in text
    assert "prefers-color-scheme: dark" in text


def test_bars_of_a_metric_share_a_scale(comparison: Comparison) -> None:
    """The widest bounds, -0.22 and 0.16, touch the margins; 0 lies between in proportion."""
    auroc = page(comparison).split("<h2>")[2]
    spans = [(float(a), float(b)) for a, b in re.findall(r'class="span" x1="([\d.]+)" x2="([\d.]+)"', auroc)]
    zeros = {float(x) for x in re.findall(r'class="zero" x1="([\d.]+)"', auroc)}
    assert (spans[0][0], spans[1][1]) == (8, 232)
    (zero,) = zeros
    assert zero == pytest.approx(8 + 224 * 0.22 / 0.38, abs=0.1)


def test_forest_plot_has_every_difference_where_it_belongs(comparison: Comparison, tmp_path: Path) -> None:
    figure = draw(comparison)
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes}
    assert list(panels) == ["auroc", "hd95"]
    marks = [line for line in panels["auroc"].lines if isinstance(line, Line2D) and len(line.get_xdata()) == 1]
    assert [line.get_xdata()[0] for line in marks] == [-0.17, 0.11, 0.01]
    assert len({(line.get_color(), line.get_marker()) for line in marks}) == 3
    assert [label.get_text() for label in panels["auroc"].get_yticklabels()] == [e.label for e in comparison.others]
    assert panels["hd95"].get_xlabel().startswith("← better")
    save(figure, tmp_path / "forest.png")
    with Image.open(tmp_path / "forest.png") as image:
        assert image.size[0] > 700
    save(figure, tmp_path / "forest.pdf")
    assert (tmp_path / "forest.pdf").read_bytes().startswith(b"%PDF")
