"""SIP calls as Python functions: `App`, `Call`, `Registrar`."""

from media import (
    CodecMissingError,
    MediaError,
    PromptCorruptError,
    PromptError,
    PromptMissingError,
    PromptTooLargeError,
)
from media.prompts import Source
from media.tap import AudioFrame
from media.tones import SIGNALS, Signals, Tone, pause
from sipcore.errors import NegotiationError, ProtocolError, SipError
from sipcore.sdp_security import SrtpPolicy
from voipat import events, reasons
from voipat._version import __version__
from voipat.accounts import Accounts, Identity, PasswordAccounts, TrunkIdentity
from voipat.app import App
from voipat.bridge import Bridge
from voipat.call import Call
from voipat.conference import Conference, Member
from voipat.dialog_info import DialogInfo, DialogLamps, DialogState
from voipat.errors import CallOutcome, Cancelled, HungUp, NoAnswer, Redirected, Rejected, Transferred
from voipat.gateway import Gateway, Login
from voipat.keepalive import KeepAlivePolicy
from voipat.kept_subscriptions import KeptSubscription, SubscriptionKeeper
from voipat.key_codes import Codes, Pressed
from voipat.leg_rules import LegMedia
from voipat.location import Binding, Location, LocationObserver, MemoryLocation
from voipat.message_summary import Mailbox, message_summary
from voipat.messages import Kept, Message
from voipat.monitoring import Monitor, MonitorMode
from voipat.music import Music
from voipat.network import Network, SocketNetwork
from voipat.originating import Origination
from voipat.parties import CallState
from voipat.presence import Presence
from voipat.proxy import Decision, Forward, Proxy, ProxyRequest, Reject, to_registered
from voipat.reasons import Reason
from voipat.redirecting import Placed
from voipat.registrar import Registrar, RegistrarPolicy
from voipat.registration_info import RegistrationInfos
from voipat.seats import Person, Seats
from voipat.security import SrtpRules
from voipat.speech import Clock, Date, Digits, Duration, Letters, Money, Number, PromptSet
from voipat.subscriptions import Notifier, Resource
from voipat.taking import AudioStream, CallRecording, RecordingStore, Voice

__all__ = [
    "SIGNALS",
    "Accounts",
    "App",
    "AudioFrame",
    "AudioStream",
    "Binding",
    "Bridge",
    "Call",
    "CallOutcome",
    "CallRecording",
    "CallState",
    "Cancelled",
    "Clock",
    "CodecMissingError",
    "Codes",
    "Conference",
    "Date",
    "Decision",
    "DialogInfo",
    "DialogLamps",
    "DialogState",
    "Digits",
    "Duration",
    "Forward",
    "Gateway",
    "HungUp",
    "Identity",
    "KeepAlivePolicy",
    "Kept",
    "KeptSubscription",
    "LegMedia",
    "Letters",
    "Location",
    "LocationObserver",
    "Login",
    "Mailbox",
    "MediaError",
    "Member",
    "MemoryLocation",
    "Message",
    "Money",
    "Monitor",
    "MonitorMode",
    "Music",
    "NegotiationError",
    "Network",
    "NoAnswer",
    "Notifier",
    "Number",
    "Origination",
    "PasswordAccounts",
    "Person",
    "Placed",
    "Presence",
    "Pressed",
    "PromptCorruptError",
    "PromptError",
    "PromptMissingError",
    "PromptSet",
    "PromptTooLargeError",
    "ProtocolError",
    "Proxy",
    "ProxyRequest",
    "Reason",
    "RecordingStore",
    "Redirected",
    "Registrar",
    "RegistrarPolicy",
    "RegistrationInfos",
    "Reject",
    "Rejected",
    "Resource",
    "Seats",
    "Signals",
    "SipError",
    "SocketNetwork",
    "Source",
    "SrtpPolicy",
    "SrtpRules",
    "SubscriptionKeeper",
    "Tone",
    "Transferred",
    "TrunkIdentity",
    "Voice",
    "__version__",
    "events",
    "message_summary",
    "pause",
    "reasons",
    "to_registered",
]
