import os
import shutil
import time

import psutil
import pytest

from fiducial.tracking import Tracker, track
from fiducial.tracking.journal import read
from fiducial.tracking.system import sample


def test_a_sample_agrees_with_the_system(tmp_path):
    values = sample(psutil.Process(), tmp_path)
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert values["system/memory_gib"] / (total / 2**30) == pytest.approx(
        values["system/memory_percent"] / 100, abs=0.05
    )
    with open("/proc/self/statm") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    assert values["system/process_memory_gib"] >= 0.5 * resident / 2**30
    usage = shutil.disk_usage(tmp_path)
    assert values["system/disk_percent"] == pytest.approx(100 * usage.used / (usage.used + usage.free), abs=2)
    assert 0 <= values["system/cpu_percent"] <= 100


def samples(out):
    return [
        (key, step)
        for event, _ in read(out / "tracking" / "journal.jsonl")
        for key, _, _, step in event.get("points", ())
        if key == "system/cpu_percent"
    ]


def test_samples_are_numbered_on_through_a_resume(tmp_path):
    tracker = Tracker(outputs=tmp_path, uri=None, system_metrics_seconds=0.02)
    for resume in (False, True):
        with track(tmp_path / "a", tracker, name="a", experiment="a", resume=resume):
            time.sleep(0.3)
    steps = [step for _, step in samples(tmp_path / "a")]
    assert steps == list(range(len(steps)))
    assert len(steps) >= 4


def test_zero_seconds_turn_it_off(tmp_path):
    tracker = Tracker(outputs=tmp_path, uri=None, system_metrics_seconds=0)
    with track(tmp_path / "a", tracker, name="a", experiment="a"):
        time.sleep(0.05)
    assert samples(tmp_path / "a") == []
