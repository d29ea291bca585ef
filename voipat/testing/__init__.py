"""The simulation kit: a server, scripted phones, a lossy network and the media kernels in virtual time, by seed."""

from __future__ import annotations

from voipat.testing.audio import Recorder, Talker
from voipat.testing.call import CallState, PhoneCall
from voipat.testing.errors import DeadlockError, LeakError, RanTooLongError, ScriptError, SimError
from voipat.testing.ladder import Ladder, Rung
from voipat.testing.loop import VirtualLoop, run_virtual
from voipat.testing.manners import Manners
from voipat.testing.media import SimEngine
from voipat.testing.network import Conditions, Fault, SimNetwork
from voipat.testing.phone import Phone
from voipat.testing.world import SimWorld

__all__ = [
    "CallState",
    "Conditions",
    "DeadlockError",
    "Fault",
    "Ladder",
    "LeakError",
    "Manners",
    "Phone",
    "PhoneCall",
    "RanTooLongError",
    "Recorder",
    "Rung",
    "ScriptError",
    "SimEngine",
    "SimError",
    "SimNetwork",
    "SimWorld",
    "Talker",
    "VirtualLoop",
    "run_virtual",
]
