"""Which handler takes a call, by the URI that it is for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import translate
from typing import TYPE_CHECKING

from sipcore.uri import Uri
from voipat.parties import user_of

if TYPE_CHECKING:
    from voipat.switch import Handler


@dataclass(frozen=True, slots=True)
class _Route:
    pattern: re.Pattern[str]
    handler: Handler
    public: bool


class Routes:
    """Patterns in the order in which they were added; the first match counts."""

    def __init__(self) -> None:
        self._routes: list[_Route] = []

    def add(self, pattern: str, handler: Handler, *, public: bool) -> None:
        """`*` and `?` as in a shell, "sip:user@host"; a `public` one is for strangers too.

        Raises: ValueError for a pattern that no URI matches.
        """
        if not _can_match(pattern):
            raise ValueError(f"{pattern!r} matches no call: a pattern is 'sip:USER@HOST', with * and ? in it")
        self._routes.append(_Route(re.compile(translate(pattern)), handler, public))

    def find(self, to: Uri, *, is_known: bool) -> Handler | None:
        """The handler for a caller who is known, or who is not."""
        text = _text(to)
        for route in self._routes:
            if route.pattern.match(text) and (route.public or is_known):
                return route.handler
        return None

    def is_public(self, uri: Uri) -> bool:
        """Whether a stranger may call this."""
        return any(route.public for route in self._routes) and self.find(uri, is_known=False) is not None


def _can_match(pattern: str) -> bool:
    """Whether a URI may begin as the pattern does, and has the "@" that each has."""
    literal = re.split(r"[*?[]", pattern)[0]
    begins = any(scheme.startswith(literal) or literal.startswith(scheme) for scheme in ("sip:", "sips:"))
    return begins and ("@" in pattern or "*" in pattern)


def _text(uri: Uri) -> str:
    return f"{uri.scheme}:{user_of(uri)}@{uri.host}"
