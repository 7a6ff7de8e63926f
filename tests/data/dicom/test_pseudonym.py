"""The secret key: where it may lie, and what follows from it."""

from __future__ import annotations

import hashlib
import hmac
import os
from datetime import date
from pathlib import Path

import pytest

from fiducial.cli.command import run
from fiducial.data.dicom.pseudonym import Pseudonyms, create_key, keep_apart, read_key
from fiducial.errors import InputError

KEY = bytes(range(32))
posix = pytest.mark.skipif(os.name != "posix", reason="rights of files are those of POSIX")


@posix
def test_new_key_is_random_and_its_owners_alone(tmp_path: Path) -> None:
    for name in "ab":
        create_key(tmp_path / name)
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    assert len(read_key(tmp_path / "a").key) == 32
    assert read_key(tmp_path / "a") != read_key(tmp_path / "b")


def test_folder_of_a_new_key_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    create_key(tmp_path / "keys" / "trial")
    read_key(tmp_path / "keys" / "trial")
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700


def test_key_is_not_written_over(tmp_path: Path) -> None:
    create_key(tmp_path / "key")
    before = (tmp_path / "key").read_bytes()
    with pytest.raises(InputError, match="there is a key already"):
        create_key(tmp_path / "key")
    assert (tmp_path / "key").read_bytes() == before


@pytest.mark.parametrize(
    ("content", "rights", "message"),
    [
        (None, 0o600, "there is no key file; --new-key makes one"),
        ("0f" * 32, 0o640, "can be read by others.*chmod 600"),
        ("0f" * 32, 0o604, "can be read by others"),
        ("0f" * 31, 0o600, "expected a key of 64 hexadecimal digits, got 62"),
        ("my secret", 0o600, "expected a key of 64 hexadecimal digits"),
    ],
)
@posix
def test_key_that_is_refused(tmp_path: Path, content: str | None, rights: int, message: str) -> None:
    key = tmp_path / "key"
    if content is not None:
        key.write_text(content)
        key.chmod(rights)
    with pytest.raises(InputError, match=message) as refused:
        read_key(key)
    assert content is None or content not in str(refused.value)


@pytest.mark.parametrize("place", ["studies/key", "studies/deep/er/key", "cases/key", "link/key"])
def test_key_and_links_lie_outside_the_data(tmp_path: Path, place: str) -> None:
    studies, cases = tmp_path / "studies", tmp_path / "cases"
    (studies / "deep" / "er").mkdir(parents=True)
    (tmp_path / "link").symlink_to(studies)
    with pytest.raises(InputError, match="must lie outside the data"):
        keep_apart(tmp_path / place, [studies, cases], "the key")
    for flags in (["--key", str(tmp_path / place)], ["--key", str(tmp_path / "k"), "--links", str(tmp_path / place)]):
        with pytest.raises(InputError, match="must lie outside the data"):
            run("import-dicom", [str(studies), "--to", str(cases), "--new-key", *flags])
    assert not (tmp_path / "k").exists()
    keep_apart(tmp_path / "key", [studies, cases], "the key")


def test_pseudonym_is_an_hmac() -> None:
    digest = hmac.new(KEY, b"subject\0id\0MRN-1\0", hashlib.sha256).hexdigest()
    assert Pseudonyms(KEY).name("subject", "id\0MRN-1\0") == f"subject-{digest[:16]}"
    digest = hmac.new(KEY, b"uid\x001.2.3", hashlib.sha256).hexdigest()
    assert Pseudonyms(KEY).uid("1.2.3") == f"2.25.{int(digest[:32], 16)}"


def test_uid_is_one_by_the_standard() -> None:
    uids = {Pseudonyms(KEY).uid(str(number)) for number in range(500)}
    assert len(uids) == 500
    assert all(len(uid) <= 64 and uid.startswith("2.25.") and uid[5:].lstrip("0") == uid[5:] for uid in uids)


def test_days_are_never_none_and_at_most_a_year() -> None:
    days = [Pseudonyms(KEY).days(str(number)) for number in range(4000)]
    assert set(map(abs, days)) <= set(range(1, 366))
    assert (min(days), max(days)) == (-365, 365)
    assert abs(sum(day > 0 for day in days) - 2000) < 4 * 1000**0.5  # four standard deviations


def test_dates_of_one_subject_keep_their_distance() -> None:
    pseudonyms = Pseudonyms(KEY)
    first, leap, last = (pseudonyms.shifted(day, "a") for day in ("20200101", "20200229", "20211231"))
    as_dates = [date.fromisoformat(day) for day in (first, leap, last)]
    assert [(day - as_dates[0]).days for day in as_dates] == [0, 59, 730]
    assert as_dates[0] != date(2020, 1, 1)
    assert pseudonyms.shifted("20200101", "b") != first
    assert pseudonyms.shifted("no date!", "a") == ""


def test_another_key_gives_other_pseudonyms() -> None:
    one, two = Pseudonyms(KEY), Pseudonyms(bytes(32))
    assert one.name("subject", "a") != two.name("subject", "a")
    assert one.uid("1.2") != two.uid("1.2")
    assert one.shifted("20200101", "a") != two.shifted("20200101", "a")


def test_key_is_not_shown() -> None:
    assert repr(Pseudonyms(KEY)) == "Pseudonyms(key=***)"
