"""API keys that many sessions share: who may use which, and for how long."""

from voicebridge.contract.errors import NoFreeKey

from .cooling_policy import CoolingPolicy
from .fingerprint import fingerprint
from .key_lease import KeyLease
from .key_pool import KeyPool
from .lease_store import Ask, Cooling, Key, KeyState, Lease, LeaseStore, Refusal, Snapshot
from .memory_store import MemoryLeaseStore

__all__ = [
    "Ask",
    "Cooling",
    "CoolingPolicy",
    "Key",
    "KeyLease",
    "KeyPool",
    "KeyState",
    "Lease",
    "LeaseStore",
    "MemoryLeaseStore",
    "NoFreeKey",
    "Refusal",
    "Snapshot",
    "fingerprint",
]
