"""SIP calls as Python functions: `App`, `Call`, `Registrar`."""

from media import MediaError
from sipcore.errors import NegotiationError, ProtocolError, SipError
from voipat import events, reasons
from voipat._version import __version__
from voipat.accounts import Accounts, Identity, PasswordAccounts
from voipat.app import App
from voipat.call import Call, CallState
from voipat.errors import CallOutcome, Cancelled, HungUp, NoAnswer, Rejected
from voipat.keepalive import KeepAlivePolicy
from voipat.location import Binding, Location, LocationObserver, MemoryLocation
from voipat.network import Network, SocketNetwork
from voipat.reasons import Reason
from voipat.registrar import Registrar, RegistrarPolicy

__all__ = [
    "Accounts",
    "App",
    "Binding",
    "Call",
    "CallOutcome",
    "CallState",
    "Cancelled",
    "HungUp",
    "Identity",
    "KeepAlivePolicy",
    "Location",
    "LocationObserver",
    "MediaError",
    "MemoryLocation",
    "NegotiationError",
    "Network",
    "NoAnswer",
    "PasswordAccounts",
    "ProtocolError",
    "Reason",
    "Registrar",
    "RegistrarPolicy",
    "Rejected",
    "SipError",
    "SocketNetwork",
    "__version__",
    "events",
    "reasons",
]
