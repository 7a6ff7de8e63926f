"""Secrets, and how they are kept out of parameters, artifacts, messages and logs."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote_plus

HIDDEN = "***"

FLAGS = ("true", "false", "null", "none")  # `class_token: true` is no secret

_WORDS = (
    r"(?:(?:pg)?passwords?|passwd|passphrase|pwd|tokens?|secrets?|(?:api|access|private)[_-]?keys?|credentials?"
    r"|authorization(?!_))"
)
_KEY = re.compile(rf"(?:^|[_\W]){_WORDS}(?:$|[_\W])")
_COUNT = re.compile(r"(?:^|[_\W])(?:num|max|min)[_-]tokens?(?:$|[_\W])")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

# Repetitions are possessive (`++`): a line of a megabyte takes no longer for being odd.
_TYPE = r":\s*+ (?:Optional\[)? (?:str|bytes|Any|SecretStr)\b \]? (?:\s*+\|\s*+None)?+ \s*+"
_SCHEME = r"(?i:bearer|basic|digest|token) [ \t]++ (?![=:\s])"
_ASSIGNMENT = re.compile(
    rf"""
    (?P<lookup> (?<=env\() | (?<=get\() | (?<=default\() )?  # setenv("KEY", "…"), environ.get("KEY", "…")
    (?: (?P<open> (?<!\\)\\*+["'] ) | (?<![\w.-]) )          # \" in a text that is quoted itself
    (?P<escape> (?<=\\)[nrt] )?                              # \nKEY=… in such a text
    (?P<option> -- )?
    (?P<key> [\w.-]++ )
    (?P<sign>
        [\\"'\]]*+ \s*+ (?: {_TYPE} = (?!=) | [!:=+]?[=:]>? ) \s*+ (?:{_SCHEME})?+
      | (?(lookup) (?P=open) \s*+ , \s*+ (?=\\*+["']) | (?!) )
      | (?(option) (?: ["'] \s*+ , \s*+ (?=["']) | \s++ (?![-=:]) ) | (?!) )  # ["--KEY", "…"], --KEY …
    )
    """,
    re.VERBOSE,
)
_STRING = re.compile(r"""(?i:[rbfu]{0,2})(?P<quote>"{3}|'{3}|\\*+["'])(?P<content>(?:(?!(?P=quote))(?:\\.|.))*+)""")
_WORD = re.compile(
    r"(?: \( (?: [^()\n] | \([^()\n]*+\) )*+ \)  |  \[ [^][\n]*+ \]  |  \{ [^{}\n]*+ \}  |  \S )++", re.VERBOSE
)
_INDENT, _PLAIN_SIGN, _REST = re.compile(r"[\s+#-]{0,200}"), re.compile(r":\s*(?:\w+\s+)?|\s+=\s*"), re.compile(r".*")
_FLAG = re.compile(rf"(?i:{'|'.join(FLAGS)})(?![\w.-])")
_CLOSING = " \t\r\n,;:)]}>\"'\\"  # what follows a value, rather than being the end of it

_PASSWORD = r"[^\s:/@]*:(?!\d+(?:[/?#\s]|$))"  # in an address, from the user's name on; with a slash in it, perhaps
_USER = re.compile(rf"(://)(?:[^\s/]*@|{_PASSWORD}[^\s@\"'<>]{{0,200}}@)")
_ACCOUNT = re.compile(rf"(?i)https?://[^\s/]*@|[\w+.-]+://{_PASSWORD}[^\s@]+@")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}")
_PRIVATE_KEY = re.compile(r"(?s)(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?=-----END|\Z)")
_ISSUED = re.compile(  # what GitHub, GitLab, Hugging Face and AWS give out is known by its looks
    r"\b(?:gh[a-z]_[A-Za-z0-9]{36}|github_pat_\w{22,}|glpat-[\w-]{20,}|hf_[A-Za-z0-9]{30,}|AKIA[A-Z0-9]{16})\b"
)


def is_secret(key: str) -> bool:
    """Return whether a key names a secret.

    >>> is_secret("store.api_key"), is_secret("apiKey"), is_secret("model.num_tokens"), is_secret("tokenizer")
    (True, True, False, False)
    """
    words = _CAMEL.sub("_", key).lower()
    return bool(_KEY.search(words)) and not _COUNT.search(words)


def has_credentials(uri: str) -> bool:
    """Return whether a URI has a password or a token in it; the name of a database's user is none.

    >>> [has_credentials(uri) for uri in ("http://me:pw@host", "https://token@host", "postgresql://me@host/runs")]
    [True, True, False]
    """
    query = unquote_plus(uri.partition("?")[2])
    return bool(_ACCOUNT.match(uri)) or redact_text(query) != query


def redact(key: str, value: object) -> str:
    """Return `value` as text, hiding it under a secret's key, and credentials in URIs anywhere.

    Flags and absent values are no secrets: a model may have `class_token: true`.

    >>> redact("db.password", 12345), redact("uri", "http://me:pw@host/x"), redact("class_token", True)
    ('***', 'http://***@host/x', 'True')
    """
    if is_secret(key) and str(value).lower() not in FLAGS:
        return HIDDEN
    return redact_text(str(value))


def redact_text(text: str) -> str:
    """Return free text (a diff, a traceback, a configuration) without credentials.

    >>> redact_text("loss: dice, api_key: abc, uri: https://me:pw@host")
    'loss: dice, api_key: ***, uri: https://***@host'
    """
    lines = _PRIVATE_KEY.sub(rf"\1{HIDDEN}", text).splitlines(keepends=True)
    shown = _USER.sub(rf"\1{HIDDEN}@", "".join(map(_without_values, lines)))
    return _ISSUED.sub(HIDDEN, _BEARER.sub(rf"\1 {HIDDEN}", shown))


def _without_values(line: str) -> str:
    """Return a line without the values of secret keys, wherever in it they stand."""
    shown, position = [], 0
    while match := _ASSIGNMENT.search(line, position):
        start, end = _value(line, match) if is_secret(match["key"]) else (match.end(), match.end())
        shown += [line[position:start], HIDDEN if start < end else ""]
        position = end
    return "".join([*shown, line[position:]])


def _value(line: str, match: re.Match[str]) -> tuple[int, int]:
    """Return where the value after a secret's key starts and ends; nothing is to be hidden where both are the same."""
    start, opened = match.end(), match["open"]
    if _FLAG.match(line, start):
        return start, start
    if opened and opened not in match["sign"]:  # "KEY=…": up to the quote
        string = _STRING.match(line, match.start("open"))
        end = string.end("content") if string else start
    elif string := _STRING.match(line, start):
        return string.span("content")
    else:
        rest = (_REST if _is_first(line, match) else _WORD).match(line, start)
        end = rest.end() if rest else start
    return start, start + len(line[start:end].rstrip(_CLOSING))


def _is_first(line: str, match: re.Match[str]) -> bool:
    """Return whether a line starts with a key, as in YAML and INI: a value without quotes may have blanks in it."""
    indent = _INDENT.match(line)
    assert indent is not None, "it matches nothing, too"
    return match.start() <= indent.end() and bool(_PLAIN_SIGN.fullmatch(match["sign"]))


def redact_override(word: str) -> str:
    """Return an override, or another word of a command line, without secrets; its value may have blanks in it.

    >>> redact_override("db.password=a b"), redact_override("model.class_token=true")
    ('db.password=***', 'model.class_token=true')
    """
    key, sign, value = word.partition("=")
    return f"{key}={redact(key, value)}" if sign and is_secret(key) else redact_text(word)


def redact_command(argv: Sequence[str]) -> str:
    """Return a command line without secrets, with the home folder written as `~`.

    >>> redact_command(["/usr/bin/fiducial", "train", "--token", "abc", "tracking.uri=http://me:pw@host"])
    'fiducial train --token *** tracking.uri=http://***@host'
    """
    home = os.path.expanduser("~")  # `~` where nobody knows
    words, hide_next = [], False
    for position, word in enumerate(argv):
        shown = Path(word).name if position == 0 else redact_override(word)
        words.append(HIDDEN if hide_next else shown.replace(home, "~") if len(home) > 1 else shown)
        hide_next = word.startswith("--") and "=" not in word and is_secret(word)
    return " ".join(f"'{word}'" if " " in word else word for word in words)
