"""The only importer of the native core."""

from pyebpf._core import (
    NativeMap,
    NativeProg,
    copy_from_user,
    copy_to_user,
    nr_vcpus,
    stats_disable,
    stats_enable,
    string_from_user,
    symbolize,
    trace_read,
)

__all__ = [
    "NativeMap",
    "NativeProg",
    "copy_from_user",
    "copy_to_user",
    "nr_vcpus",
    "stats_disable",
    "stats_enable",
    "string_from_user",
    "symbolize",
    "trace_read",
]
