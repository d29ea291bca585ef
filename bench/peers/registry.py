"""The servers by the names that `bench/cells/cells.toml` gives them."""

from __future__ import annotations

from bench.peers.asterisk import Asterisk, AsteriskOfMany, OpenAsterisk
from bench.peers.bare import BareRelay, BareSender
from bench.peers.base import Contender
from bench.peers.kamailio import Kamailio, KamailioOpenProxy, KamailioProxy
from bench.peers.ours import (
    VoipatEngine,
    VoipatOfMany,
    VoipatOfTrunk,
    VoipatOpenProxy,
    VoipatProxy,
    VoipatRecorder,
    VoipatRig,
    VoipatRoom,
    VoipatServer,
)
from bench.peers.rtpengine import Rtpengine

CONTENDERS: dict[str, type[Contender]] = {
    "voipat": VoipatServer,
    "voipat-10000": VoipatOfMany,
    "voipat-trunk": VoipatOfTrunk,
    "voipat-proxy": VoipatProxy,
    "voipat-open-proxy": VoipatOpenProxy,
    "voipat-rig": VoipatRig,
    "voipat-engine": VoipatEngine,
    "voipat-recorder": VoipatRecorder,
    "voipat-room": VoipatRoom,
    "bare-relay": BareRelay,
    "bare-sender": BareSender,
    "asterisk": Asterisk,
    "asterisk-10000": AsteriskOfMany,
    "asterisk-open": OpenAsterisk,
    "kamailio": Kamailio,
    "kamailio-proxy": KamailioProxy,
    "kamailio-open-proxy": KamailioOpenProxy,
    "rtpengine": Rtpengine,
}
