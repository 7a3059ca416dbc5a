"""The only importer of the native core.

What belongs to captures and event sources is looked up on use: the rest works in a build without it.
"""

import sys
from typing import TYPE_CHECKING, Any

from pyebpf._core import (
    Caller,
    NativeMap,
    NativeProg,
    called_directly,
    copy_from_user,
    copy_to_user,
    lookup_many,
    nr_vcpus,
    stats_disable,
    stats_enable,
    string_from_user,
    symbolize,
    trace_read,
)

if TYPE_CHECKING:
    from pyebpf._core import NativeCapture, NativePump, WindowBytes

__all__ = [
    "Caller",
    "NativeCapture",
    "NativeMap",
    "NativeProg",
    "NativePump",
    "WindowBytes",
    "called_directly",
    "copy_from_user",
    "copy_to_user",
    "lookup_many",
    "nr_vcpus",
    "stats_disable",
    "stats_enable",
    "string_from_user",
    "symbolize",
    "trace_read",
]

_EVENTS = frozenset({"NativeCapture", "NativePump", "WindowBytes"})


def __getattr__(name: str) -> Any:
    core = sys.modules[NativeProg.__module__]
    if name in _EVENTS and hasattr(core, name):
        return getattr(core, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
