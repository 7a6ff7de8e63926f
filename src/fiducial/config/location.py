"""Where the groups and their options live."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import fiducial
from fiducial.config.schema import GROUPS
from fiducial.errors import InputError


def conf_dir() -> Path:
    """Return the folder of the config groups: packed with the wheel, or the checkout's own."""
    package = Path(fiducial.__file__).parent
    for folder in (package / "conf", package.parents[1] / "conf"):
        if (folder / "config.yaml").is_file():
            return folder
    raise InputError(f"the config groups are not installed: no conf/config.yaml in {package} or beside src/")


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
        own = Path(config_dir).resolve()
        if not own.is_dir():
            raise InputError(f"--config-dir must name a folder of config groups; got {config_dir!r}")
        return cls((own, conf_dir()))

    def options(self, group: str) -> list[str]:
        """Return the names that `group=` takes; a leading underscore hides a shared base."""
        files = (file for folder in self.folders for file in (folder / group).glob("*.yaml"))
        return sorted({file.stem for file in files if not file.stem.startswith("_")})

    def path(self, group: str, option: str) -> Path:
        """Return the file of one option."""
        return next(file for folder in self.folders if (file := folder / group / f"{option}.yaml").is_file())

    def title(self, group: str, option: str) -> str:
        """Return the first comment line of an option's file: what it is."""
        for line in self.path(group, option).read_text().splitlines():
            text = line.lstrip("# ").strip()
            if line.startswith("#") and text and not text.startswith("@package"):
                return text
        return ""

    def contract(self, group: str, option: str) -> dict[str, Any]:
        """Return the `contract` of an option as its file writes it, together with that of its base."""
        content = yaml.safe_load(self.path(group, option).read_text()) or {}
        contract: dict[str, Any] = {}
        for base in content.get("defaults", []):
            if isinstance(base, str) and base.startswith("_") and base != "_self_":
                contract |= self.contract(group, base)
        return contract | (content.get("contract") or {})

    def all(self) -> dict[str, list[str]]:
        """Return every group with its options."""
        return {group: self.options(group) for group in GROUPS}
