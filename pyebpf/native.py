"""The only importer of the native core."""

from pyebpf._core import (
    Caller,
    NativeCapture,
    NativeMap,
    NativeProg,
    NativePump,
    WindowBytes,
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
