import json
import math
import os
import random
import threading

import pytest

from fiducial.tracking.journal import History, Journal, metrics_event, read


def events(path, start=0):
    return [event for event, _ in read(path, start)]


def test_events_come_back_in_order_from_any_offset(tmp_path):
    journal = Journal(tmp_path / "a" / "journal.jsonl")
    written = [{"event": "tags", "values": {"ü": str(number)}} for number in range(5)]
    for event in written:
        journal.append(event)
    pairs = list(read(journal.path))
    assert [event for event, _ in pairs] == written
    assert pairs[-1][1] == journal.size == journal.path.stat().st_size
    for index, (_, offset) in enumerate(pairs):
        assert events(journal.path, offset) == written[index + 1 :]


def test_a_torn_last_line_is_cut_off_wherever_it_was_torn(tmp_path):
    path = tmp_path / "journal.jsonl"
    whole = b'{"event":"tags","values":{"a":"1"}}\n'
    last = json.dumps({"event": "tags", "values": {"b": "ü" * 100_000}}, ensure_ascii=False).encode()
    generator = random.Random(0)
    for cut in [1, 2, len(last) - 1, *(generator.randrange(1, len(last)) for _ in range(10))]:
        path.write_bytes(whole + last[:cut])
        assert len(events(path)) == 1
        journal = Journal(path)
        journal.append({"event": "status", "status": "FAILED", "time": 1})
        journal.close()
        assert [event["event"] for event in events(path)] == ["tags", "status"]


def test_only_a_torn_line(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"event":"ru')
    assert History.of(path).run is None
    assert Journal(path).size == 0


def test_a_damaged_line_in_the_middle_is_not_the_end(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"event":"run","id":"x"}\n\0\0\0\n[1]\n{"event":"status","status":"FINISHED","time":1}\n')
    assert [event["event"] for event in events(path)] == ["run", "unreadable", "unreadable", "status"]
    assert History.of(path).status == "FINISHED"


def test_a_full_disk_leaves_whole_lines(tmp_path, monkeypatch):
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append({"event": "tags", "values": {"a": "1"}})
    write = os.write
    room = [20]

    def write_until_full(descriptor, data):
        if room[0] == 0:
            raise OSError(28, "No space left on device")
        taken = write(descriptor, data[: room[0]])
        room[0] -= taken
        return taken

    monkeypatch.setattr(os, "write", write_until_full)
    with pytest.raises(OSError, match="No space"):
        journal.append({"event": "tags", "values": {"b": "2" * 100}})
    monkeypatch.undo()
    journal.append({"event": "tags", "values": {"c": "3"}})
    assert [event["values"] for event in events(journal.path)] == [{"a": "1"}, {"c": "3"}]


def test_threads_do_not_mix_lines(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")

    def append(name):
        for number in range(200):
            journal.append({"event": "tags", "values": {name: str(number)}})

    threads = [threading.Thread(target=append, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen = events(journal.path)
    for name in "abcd":
        assert [e["values"][name] for e in seen if name in e["values"]] == [str(number) for number in range(200)]


def test_points_that_json_does_not_know(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")
    points = [("a", math.nan, 1, 2), ("a", math.inf, 1, 3), ("a", -math.inf, 1, 4), ("a", 0.1 + 0.2, 1, 5)]
    journal.append(metrics_event(points))
    json.loads(journal.path.read_text(), parse_constant=pytest.fail)
    values = [value for _, value, _, _ in events(journal.path)[0]["points"]]
    assert [str(float(value)) for value in values] == ["nan", "inf", "-inf", "0.30000000000000004"]


def test_history(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append({"event": "run", "id": "x", "name": "n", "experiment": "e", "time": 1})
    journal.append({"event": "params", "values": {"a": "1"}}, {"event": "params", "values": {"b": "2"}})
    journal.append(metrics_event([("loss", 1.0, 1, 7), ("loss", 1.0, 1, 5), ("acc", 1.0, 1, -1)]))
    history = History.of(journal.path)
    assert history.status == "RUNNING"
    assert history.params == {"a": "1", "b": "2"}
    assert history.last_steps == {"loss": 7, "acc": -1}
