"""The line of every key of a TOML document: what `tomllib` parses but does not tell.

`key_lines` reads text that `tomllib` has already accepted, so it only has to follow the structure (TOML 1.0:
headers, dotted keys, inline tables, arrays) and never to judge it. A key path is a tuple of names and list
indices: ("tenant", 0, "extensions", "1001").
"""

from __future__ import annotations

import re
import tomllib
from typing import Final

KeyPath = tuple[str | int, ...]

_SPACE: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BLANK: Final = re.compile(r"[ \t]*")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
# The four kinds of string; the triple forms first, because their opening begins like the single one.
_STRING: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")|\'\'\'.*?\'{3,5}(?!\')|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'',
    re.DOTALL,
)
_SCALAR: Final = re.compile(r"[^,\]}#\r\n]+")


def key_lines(text: str) -> dict[KeyPath, int]:
    """The 1-based line where each key, table and list element of the valid document `text` begins."""
    scanner = _Scanner(text)
    scanner.document()
    return scanner.lines


class _Scanner:
    def __init__(self, text: str) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._text = text
        self._at = 0
        self._line = 1
        self._lists: dict[KeyPath, int] = {}

    def document(self) -> None:
        table: KeyPath = ()
        self._skip(_SPACE)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_SPACE)

    def _header(self) -> KeyPath:
        is_list = self._text.startswith("[[", self._at)
        line = self._line
        self._at += 2 if is_list else 1
        names = self._key()
        self._at += 2 if is_list else 1
        path = self._resolve(names[:-1])
        if is_list:
            index = self._lists.get((*path, names[-1]), -1) + 1
            self._lists[*path, names[-1]] = index
            self.lines.setdefault((*path, names[-1]), line)
            path = (*path, names[-1], index)
        else:
            path = self._resolve(names)
        self.lines.setdefault(path, line)
        return path

    def _resolve(self, names: list[str]) -> KeyPath:
        """The path of a header's names: one through a list of tables means its last element."""
        path: KeyPath = ()
        for name in names:
            path = (*path, name)
            if path in self._lists:
                path = (*path, self._lists[path])
        return path

    def _pair(self, table: KeyPath) -> None:
        line = self._line
        path = table
        for name in self._key():
            path = (*path, name)
            self.lines.setdefault(path, line)
        self._at += 1  # the equals sign
        self._value(path)

    def _key(self) -> list[str]:
        """A dotted key, leaving the position at what follows it."""
        names = []
        while True:
            self._skip(_BLANK)
            match = _BARE.match(self._text, self._at) or self._string()
            names.append(_unquoted(match.group()))
            self._at = match.end()
            self._skip(_BLANK)
            if not self._text.startswith(".", self._at):
                return names
            self._at += 1

    def _value(self, path: KeyPath) -> None:
        self._skip(_BLANK)
        first = self._text[self._at]
        if first == "[":
            self._array(path)
        elif first == "{":
            self._inline_table(path)
        elif first in "\"'":
            self._advance(self._string().end())
        else:
            match = _SCALAR.match(self._text, self._at)
            assert match is not None, "tomllib accepted this document, so a value stands here"
            self._at = match.end()

    def _array(self, path: KeyPath) -> None:
        self._at += 1
        index = 0
        while not self._closed("]"):
            self.lines[(*path, index)] = self._line
            self._value((*path, index))
            index += 1

    def _inline_table(self, path: KeyPath) -> None:
        self._at += 1
        while not self._closed("}"):
            self._pair(path)

    def _closed(self, bracket: str) -> bool:
        """Whether only `bracket` follows (and is passed); a comma before a next element is passed too."""
        self._skip(_SPACE)
        if self._text[self._at] == ",":
            self._at += 1
            self._skip(_SPACE)
        if self._text[self._at] != bracket:
            return False
        self._at += 1
        return True

    def _string(self) -> re.Match[str]:
        match = _STRING.match(self._text, self._at)
        assert match is not None, "tomllib accepted this document, so a string stands here"
        return match

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._at)
        assert match is not None, "the pattern matches the empty string"
        self._advance(match.end())

    def _advance(self, end: int) -> None:
        self._line += self._text.count("\n", self._at, end)
        self._at = end


def _unquoted(token: str) -> str:
    if token[0] not in "\"'":
        return token
    (name,) = tomllib.loads(f"{token} = 0")
    return str(name)
