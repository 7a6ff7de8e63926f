"""Where the groups and their options live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fiducial
from fiducial.config.schema import GROUPS, PRESETS
from fiducial.errors import InputError, nearest

ROOT = "config"  # the file that names one option of each group


def conf_dir() -> Path:
    """Return the folder of the config groups: packed with the wheel, or the checkout's own."""
    package = Path(fiducial.__file__).parent
    for folder in (package / "conf", package.parents[1] / "conf"):
        if (folder / f"{ROOT}.yaml").is_file():
            return folder
    raise InputError(f"the config groups are not installed: no conf/{ROOT}.yaml in {package} or beside src/")


@dataclass(frozen=True)
class Groups:
    """The options that can be picked by name, the user's own folder first.

    Attributes:
        folders: folders that hold one subfolder a group.
    """

    folders: tuple[Path, ...]

    @classmethod
    def find(cls, config_dir: str | None = None) -> Groups:
        """Return the shipped groups, preceded by those in `config_dir`.

        Raises:
            InputError: `config_dir` is not a folder.
        """
        if config_dir is None:
            return cls((conf_dir(),))
        own = Path(config_dir).expanduser().resolve()
        if not own.is_dir():
            raise InputError(f"--config-dir must name a folder of config groups; got {config_dir!r}")
        return cls((own, conf_dir()))

    def options(self, group: str) -> list[str]:
        """Return the names that `group=` takes; a leading underscore hides a shared base."""
        files = (file for folder in self.folders for file in (folder / group).glob("*.yaml"))
        return sorted({file.stem for file in files if not file.stem.startswith("_")})

    def path(self, group: str, option: str) -> Path:
        """Return the file of one option.

        Raises:
            InputError: there is none.
        """
        found = (file for folder in self.folders if (file := folder / group / f"{option}.yaml").is_file())
        if (path := next(found, None)) is None:
            known = self.options(group)
            raise InputError(f"{group}={option}: there is no such option{nearest(option, known)} ({', '.join(known)})")
        return path

    def title(self, group: str, option: str) -> str:
        """Return the first comment line of an option's file: what it is."""
        for line in self.path(group, option).read_text(encoding="utf-8").splitlines():
            text = line.lstrip("# ").strip()
            if line.startswith("#") and text and not text.startswith("@package"):
                return text
        return ""

    def content(self, group: str, option: str) -> dict[str, Any]:
        """Return what an option's file says, over what the base in its defaults list says."""
        own = _read(self.path(group, option))
        content: dict[str, Any] = {}
        for base in own.pop("defaults", []):
            if isinstance(base, str) and base != "_self_":
                content = _merged(content, self.content(group, base))
        return _merged(content, own)

    def picked(self, choices: Mapping[str, str]) -> dict[str, Any]:
        """Return what the files of some options say, each where it belongs: presets at the root."""
        found: dict[str, Any] = {}
        for place, option in choices.items():
            content = self.content(place.partition(".")[0], option)
            for part in () if place in PRESETS else reversed(place.split(".")):
                content = {part: content}
            found = _merged(found, content)
        return found

    def picks(self, group: str, option: str) -> dict[str, str]:
        """Return the options of other groups that an option's file picks."""
        defaults = _read(self.path(group, option)).get("defaults", [])
        entries = [entry for entry in defaults if isinstance(entry, dict)]
        picked = {key.removeprefix("override").strip(" /"): name for entry in entries for key, name in entry.items()}
        picked = {key: name for key, name in picked.items() if "@" not in key or "@_global_" in key}
        return {key.partition("@")[0]: name for key, name in picked.items()}

    def default(self, group: str) -> str | None:
        """Return the option that is taken when none is picked."""
        root = next(file for folder in self.folders if (file := folder / f"{ROOT}.yaml").is_file())
        entries = _read(root)["defaults"]
        return next((entry[group] for entry in entries if isinstance(entry, dict) and group in entry), None)

    def all(self) -> dict[str, list[str]]:
        """Return every group with its options."""
        return {group: self.options(group) for group in GROUPS}


def _read(file: Path) -> dict[str, Any]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where libyaml is there
    content: dict[str, Any] = yaml.load(file.read_bytes(), Loader=loader) or {}
    return content


def _merged(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    merged = {**base}
    for key, value in own.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merged(base[key], value) if both else value
    return merged
