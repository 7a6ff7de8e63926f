"""Secrets, and how they are kept out of parameters, artifacts, messages and logs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

HIDDEN = "***"

_WORDS = r"(?:password|passwd|passphrase|pwd|tokens?|secrets?|(?:api|access|private)_?keys?|credentials?)"
_KEY = re.compile(rf"(?:^|[_\W]){_WORDS}(?:$|[_\W])")
_COUNT = re.compile(r"(?:^|[_\W])(?:num|max|min)_tokens?(?:$|[_\W])")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_USER = re.compile(r"(://)[^\s/]*@")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}")
_ASSIGNMENT = re.compile(
    r"""(?<![\w.-])
        (?P<key>[\w.-]+)(?P<sign>["']?\s*[=:]\s*)
        (?P<value>"[^"\n]*"|'[^'\n]*'|[^\s"']\S*)""",
    re.VERBOSE,
)


def is_secret(key: str) -> bool:
    """Return whether a key names a secret.

    >>> is_secret("store.api_key"), is_secret("apiKey"), is_secret("model.num_tokens"), is_secret("tokenizer")
    (True, True, False, False)
    """
    words = _CAMEL.sub("_", key).lower()
    return bool(_KEY.search(words)) and not _COUNT.search(words)


def redact(key: str, value: object) -> str:
    """Return `value` as text, hiding it under a secret's key, and credentials in URIs anywhere.

    Flags and absent values are no secrets: a model may have `class_token: true`.

    >>> redact("db.password", 12345), redact("uri", "http://me:pw@host/x"), redact("class_token", True)
    ('***', 'http://***@host/x', 'True')
    """
    if is_secret(key) and not (value is None or isinstance(value, bool)):
        return HIDDEN
    return redact_text(str(value))


def redact_text(text: str) -> str:
    """Return free text (a diff, a traceback, a configuration) without credentials.

    >>> redact_text("loss: dice, api_key: abc, uri: https://me:pw@host")
    'loss: dice, api_key: ***, uri: https://***@host'
    """

    def assignment(match: re.Match[str]) -> str:
        tail = "," if match["value"].endswith(",") else ""
        hidden = is_secret(match["key"]) and match["value"].strip(",").lower() not in (
            "true",
            "false",
            "null",
            "none",
        )
        return f"{match['key']}{match['sign']}{HIDDEN}{tail}" if hidden else match[0]

    lines = (_ASSIGNMENT.sub(assignment, line) for line in text.splitlines(keepends=True))
    return _BEARER.sub(rf"\1 {HIDDEN}", _USER.sub(rf"\1{HIDDEN}@", "".join(lines)))


def redact_command(argv: Sequence[str]) -> str:
    """Return a command line without secrets, with the home folder written as `~`.

    >>> redact_command(["/usr/bin/fiducial", "train", "--token", "abc", "tracking.uri=http://me:pw@host"])
    'fiducial train --token *** tracking.uri=http://***@host'
    """
    home = str(Path.home())
    words, hide_next = [], False
    for position, word in enumerate(argv):
        shown = Path(word).name if position == 0 else redact_text(word)
        words.append(HIDDEN if hide_next else shown.replace(home, "~") if len(home) > 1 else shown)
        hide_next = word.startswith("--") and "=" not in word and is_secret(word)
    return " ".join(f"'{word}'" if " " in word else word for word in words)
