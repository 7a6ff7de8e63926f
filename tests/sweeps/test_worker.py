"""What a job of a sweep refuses before it trains."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fiducial.config import compose
from fiducial.runs import folder
from fiducial.sweeps import worker
from fiducial.sweeps.job import Spec
from fiducial.sweeps.ledger import claimed
from fiducial.tracking.liveness import alive


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    """A job that learns from a table, as the sweep composed it when it began."""
    lines = ["path,label"]
    for number in range(8):
        Image.fromarray(np.full((16, 16), 30 * number, np.uint8)).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{'ab'[number % 2]}")
    (tmp_path / "cases.csv").write_text("\n".join(lines) + "\n")
    overrides = ("data=table", f"data.source.path={tmp_path / 'cases.csv'}", f"outputs={tmp_path / 'outputs'}")
    return Spec(0, overrides, None, str(tmp_path / "sweep"), "one", composed=compose(overrides))


def test_a_table_that_was_edited_since_the_sweep_began_is_refused(spec: Spec, tmp_path: Path) -> None:
    table = tmp_path / "cases.csv"
    table.write_text(table.read_text().replace("3.png,b", "3.png,a"))
    ending = worker.execute(spec)
    assert ending.state == "failed"
    assert "the sweep began with another content of the files that list its cases" in ending.message
    assert not (tmp_path / "outputs" / "runs").exists()


def test_a_run_that_goes_on_takes_the_places_of_the_command(
    spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert spec.composed is not None
    earlier = compose([*spec.overrides, f"data_dir={tmp_path / 'nowhere'}"])
    out = folder.create(earlier, earlier.identity(), title="one")
    trained: list[str] = []
    monkeypatch.setattr(worker, "train", lambda cfg, out, **_: trained.append(f"{out.name} {cfg.data_dir}"))
    worker.execute(spec)
    assert trained == [f"{out.name} {spec.composed.cfg.data_dir}"]


def test_a_run_in_the_hands_of_another_process_is_left_to_it(spec: Spec, tmp_path: Path) -> None:
    assert spec.composed is not None
    identity, outputs = spec.composed.identity(), tmp_path / "outputs"
    with claimed(outputs, identity):
        assert worker.execute(spec).state == "elsewhere"
    assert not (outputs / "runs").exists()
    out = folder.create(spec.composed, identity, title="one")
    with alive(out):
        ending = worker.execute(spec)
    assert (ending.state, ending.out) == ("elsewhere", str(out))
