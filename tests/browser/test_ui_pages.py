"""What a person sees in the tracking UI, in a real browser."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from fiducial.tracking import journal

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SWEEP, CHILDREN = "lr", ["lr=0.001", "lr=0.01", "lr=0.1"]
TRAINING = "workflowType=machine_learning"


def until(browser: Chrome, condition: Callable[[], Any], what: str) -> Any:
    """Wait until something is so, and return it; elements may be replaced while they are looked at."""
    wait = WebDriverWait(browser, 90, poll_frequency=0.1, ignored_exceptions=[StaleElementReferenceException])
    return wait.until(lambda _: condition(), what)


def texts(browser: Chrome, selector: str) -> list[str]:
    return [element.text for element in browser.find_elements(By.CSS_SELECTOR, selector)]


def named(browser: Chrome, selector: str, text: str) -> WebElement | None:
    """Return the first visible element with exactly this text."""
    found = browser.find_elements(By.CSS_SELECTOR, selector)
    return next((element for element in found if element.text == text and element.is_displayed()), None)


def names(browser: Chrome) -> list[str]:
    """Return the names in the table of runs, from top to bottom."""
    links = browser.find_elements(By.CSS_SELECTOR, "[role=gridcell] a[href*='/runs/']")
    return [link.text for link in sorted(links, key=lambda link: link.location["y"]) if link.text]


def columns(browser: Chrome) -> list[str]:
    return list(dict.fromkeys(filter(None, texts(browser, "[role=columnheader]"))))


def visit(browser: Chrome, site: Any, address: str) -> None:
    """Open a page as somebody does who was never there."""
    browser.get("about:blank")  # a change behind the # alone would not load anything
    browser.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": site.address, "storageTypes": "all"})
    browser.get(address)


@pytest.fixture
def table(browser: Chrome, site: Any) -> Chrome:
    """Open the page that `fiducial ui` names first."""
    visit(browser, site, site.pages[0])
    until(browser, lambda: SWEEP in names(browser), "the sweep is in the table")
    return browser


def expand(browser: Chrome) -> None:
    browser.find_element(By.CSS_SELECTOR, "[role=gridcell] button[data-component-id*=runnamecellrenderer]").click()
    until(browser, lambda: len(names(browser)) > 1, "the children are shown")


def test_the_first_page_is_the_newest_experiments_table_of_runs(table: Chrome, site: Any) -> None:
    assert "lesions" in texts(table, "a")
    assert "earlier-study" not in table.find_element(By.TAG_NAME, "body").text
    assert {"Run Name", "Created", "Duration"} <= set(columns(table))
    assert named(table, "h1, h2, h3", "Runs")
    assert not named(table, "a", "Evaluation runs")  # of the pages about language models
    assert len(site.pages) == 3


def test_the_other_pages_are_the_older_experiment_and_the_list_of_all(browser: Chrome, site: Any) -> None:
    visit(browser, site, site.pages[1])
    until(browser, lambda: names(browser) == ["older"], "the older run is in its table")
    browser.get(site.pages[2])
    both = {"lesions", "earlier-study"}
    until(browser, lambda: both <= set(texts(browser, "a")), "both experiments are listed")


def curve(run: Path) -> tuple[list[int], list[float]]:
    """Return steps and values of what a run's journal has of the objective."""
    events = [event for event, _ in journal.read(run / "tracking" / "journal.jsonl")]
    points = [point for event in events for point in event.get("points", ()) if point[0] == "val/auroc"]
    return [step for _, _, _, step in points], [value for _, value, _, _ in points]


def test_the_columns_are_the_settings_that_differ_and_the_scores(table: Chrome, site: Any) -> None:
    expand(table)
    assert {"val/auroc", "test/auroc", "optimizer.lr"} <= set(columns(table))
    assert not {"model", "Dataset", "Source"} & set(columns(table))
    rates = "[role=gridcell][col-id*='optimizer.lr']"
    until(table, lambda: {"0.1", "0.01", "0.001"} <= set(texts(table, rates)), "the rates are shown")
    shown = [float(text) for text in texts(table, "[role=gridcell][col-id*='val/auroc']") if text != "-"]
    assert sorted(shown) == pytest.approx(sorted(curve(site.folders[name])[1][-1] for name in CHILDREN))


def test_another_parameter_can_be_picked_as_a_column(table: Chrome) -> None:
    expand(table)
    named(table, "button", "Columns").click()
    until(table, lambda: named(table, ".du-bois-light-tree-title", "model"), "it can be picked").click()
    until(table, lambda: "model" in columns(table), "it is a column")
    until(
        table,
        lambda: texts(table, "[role=gridcell][col-id*='`model`']").count("plain_cnn") == 3,
        "its values are shown",
    )


def test_a_sweep_is_one_row_that_opens(table: Chrome) -> None:
    assert names(table) == [SWEEP]
    expand(table)
    assert names(table)[0] == SWEEP
    assert sorted(names(table)[1:]) == CHILDREN


def test_a_chart_has_the_curve_of_each_run(table: Chrome, site: Any) -> None:
    expand(table)
    table.execute_script("document.querySelector('input[type=radio][value=CHART]').click()")
    search = "input[placeholder='Search metric charts']"
    until(table, lambda: table.find_elements(By.CSS_SELECTOR, search), "charts can be searched")
    table.find_element(By.CSS_SELECTOR, search).send_keys("^val/auroc")
    script = """
        return [...document.querySelectorAll('.js-plotly-plot')].flatMap(plot => plot.data || [])
            .map(curve => [curve.name, [...(curve.x || [])], [...(curve.y || [])]])
    """
    curves = until(table, lambda: _drawn(table.execute_script(script)), "three curves are drawn")
    for name in CHILDREN:
        steps, values = curve(site.folders[name])
        assert len(steps) == 3
        assert curves[name] == (steps, pytest.approx(values))
    assert "val/auroc" in table.find_element(By.TAG_NAME, "body").text


def _drawn(curves: list[Any]) -> dict[str, tuple[list[float], list[float]]]:
    """Return the points of each child's curve once all are there."""
    found = {name: (x, y) for label, x, y in curves for name in CHILDREN if name in str(label).split() and len(x) > 1}
    return found if len(found) == len(CHILDREN) else {}


def test_the_comparison_shows_the_parameters_that_differ(browser: Chrome, site: Any) -> None:
    runs = json.dumps([site.runs[name] for name in CHILDREN])
    visit(browser, site, f'{site.address}/#/compare-runs?runs={runs}&experiments=["2"]&{TRAINING}')
    heading = "Comparing 3 Runs from 1 Experiment"
    until(browser, lambda: heading in browser.find_element(By.TAG_NAME, "body").text, "the page is there")
    until(browser, lambda: "optimizer.lr 0.001 0.01 0.1" in texts(browser, "tr"), "the rates stand side by side")
    same = "model plain_cnn plain_cnn plain_cnn"
    assert same in texts(browser, "tr")
    switches = [one for one in browser.find_elements(By.CSS_SELECTOR, "[role=switch]") if one.is_displayed()]
    switches[0].click()
    until(browser, lambda: same not in texts(browser, "tr"), "what is the same is hidden")
    assert "optimizer.lr 0.001 0.01 0.1" in texts(browser, "tr")


@pytest.mark.parametrize(("run", "name"), [(SWEEP, "settings.png"), ("lr=0.1", "learning_curves.png")])
def test_a_picture_among_the_artifacts_is_shown(run: str, name: str, browser: Chrome, site: Any) -> None:
    place = f"experiments/2/runs/{site.runs[run]}/artifacts/figures/{name}"
    visit(browser, site, f"{site.address}/#/{place}?{TRAINING}")
    with Image.open(site.folders[run] / "figures" / name) as picture:
        size = list(picture.size)
    script = "return [...document.images].map(image => [image.naturalWidth, image.naturalHeight])"
    until(browser, lambda: size in browser.execute_script(script), "the picture is drawn")
