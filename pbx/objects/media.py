"""How secret media is to be, its codecs, whence digits may come: keys of the server, a tenant, an extension, a trunk.

What stands nearest to the leg counts: the extension's or the trunk's own key, else the tenant's, else the server's,
else the default. Each key is inherited by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal, cast

from media import SUITES, CodecMissingError
from media.codecs import CODECS
from media.plugins import maybe_plugin, plugin_functions
from pbx.config_table import Converter, Table, flag, one_of
from pbx.objects import shape
from pbx.objects.shape import option, options
from sipcore.beside import KINDS, Kind
from sipcore.sdp_security import SrtpPolicy
from voipat import LegMedia, SrtpRules
from voipat.leg_audio import own_formats

EXCHANGES: Final = ("sdes", "dtls")
SUITE_NAMES: Final = tuple(suite.name for suite in SUITES)
OWN_CODECS: Final = tuple(
    dict.fromkeys(codec.name for codec in CODECS if codec.kind is not None and codec.name != "CN")
)
# Codecs that are passed from one leg to the other where both have them, and never decoded.
PASSED_CODECS: Final = ("G723", "iLBC", "GSM", "speex", "AMR", "AMR-WB", "EVS", "G726-32")

# The key of each stream beside the audio.
_KEYS: Final[Mapping[Kind, str]] = MappingProxyType({"video": "video", "text": "text", "image": "fax"})


def _codec(names: tuple[str, ...]) -> Converter[str]:
    by_name = {name.lower(): name for name in names}

    def convert(value: object) -> str:
        found = by_name.get(value.lower()) if isinstance(value, str) else None
        if found is None:
            raise ValueError("one of " + ", ".join(repr(name) for name in names))
        return found

    return convert


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaKeys:
    """The keys that are inherited; "", () and None say nothing."""

    srtp: str = option(one_of(*(policy.value for policy in SrtpPolicy)), "")
    srtp_exchange: str = option(one_of(*EXCHANGES), "")
    srtp_suites: tuple[str, ...] = options(one_of(*SUITE_NAMES))
    sdes_over_plain: bool | None = option(flag, None)
    video: bool | None = option(flag, None)
    text: bool | None = option(flag, None)
    fax: bool | None = option(flag, None)
    comfort_noise: bool | None = option(flag, None)
    dtmf_info: bool | None = option(flag, None)
    codecs: tuple[str, ...] = options(_codec((*OWN_CODECS, *PASSED_CODECS)))


def resolve(*nearest_first: MediaKeys) -> LegMedia:
    """What holds for a leg."""

    def given(name: str, default: Any) -> Any:
        for keys in nearest_first:
            if (value := getattr(keys, name)) not in ("", (), None):
                return value
        return default

    exchange = cast(Literal["sdes", "dtls"], given("srtp_exchange", "sdes"))
    policy = SrtpPolicy(given("srtp", SrtpPolicy.OPTIONAL.value))
    rules = SrtpRules(policy, given("sdes_over_plain", False), exchange, given("srtp_suites", ()))
    beside = tuple(kind for kind in KINDS if given(_KEYS[kind], True))
    return LegMedia(rules, given("codecs", ()), beside, given("comfort_noise", False), given("dtmf_info", True))


def media_values(keys: MediaKeys) -> dict[str, Any]:
    """The inherited keys alone, of an object that has others."""
    return {name: getattr(keys, name) for name, _, _ in shape.declared(MediaKeys)}


def check_media(table: Table, keys: MediaKeys) -> None:
    """Refuse lists that name something twice, or nothing that could be used."""
    for name in ("srtp_suites", "codecs"):
        found = getattr(keys, name)
        if len(set(found)) < len(found):
            table.refuse(name, "names one of them twice")
        elif table.is_empty_list(name):
            table.refuse(name, "an empty list is not allowed, leave the key out to inherit")
    if keys.codecs and not _can_speak(keys.codecs):
        # Prompts, mailboxes and every other leg need one that is not only passed on.
        missing = "".join(f"; {each}" for each in missing_libraries(keys.codecs))
        allowed = f"names none that voipat itself can speak on this machine: {', '.join(OWN_CODECS)}"
        table.refuse("codecs", allowed + missing)


def missing_libraries(names: Iterable[str]) -> list[str]:
    """For each codec whose library this machine lacks, what it needs."""
    plugins = [plugin for name in names if (plugin := maybe_plugin(name)) is not None]
    return [
        f"{plugin.codec} needs {plugin.library} (Debian: {plugin.package})"
        for plugin in plugins
        if not plugin_functions(plugin)
    ]


def _can_speak(names: tuple[str, ...]) -> bool:
    try:
        return bool(own_formats(name for name in names if name in OWN_CODECS))
    except CodecMissingError:
        return False
