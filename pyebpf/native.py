"""The only importer of the native core."""

from pyebpf._core import NativeMap, NativeProg

__all__ = ["NativeMap", "NativeProg"]
