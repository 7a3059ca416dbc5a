"""pyebpf: eBPF in the user's own process. Verified programs at native speed, maps shared with Python.

    with pyebpf.Collection.load("flow.o") as coll:        an object file
        coll.programs["dissect"](packet)
    prog = pyebpf.Program.load("r0 = 2; exit", "xdp")     instructions, or assembly text
    fd = pyebpf.bpf(cmd, attr)                            bpf(2) itself

Names are loaded on first use, so that `import pyebpf` costs little.
"""

import importlib
from typing import TYPE_CHECKING, Any

from pyebpf.errors import AsmError, BtfError, Error, ObjectError, VerifierError

if TYPE_CHECKING:
    from pyebpf.loader import CollectionSpec
    from pyebpf.objects.check import Verdict, check
    from pyebpf.objects.collection import Collection, load
    from pyebpf.objects.link import Link
    from pyebpf.objects.map import Map
    from pyebpf.objects.program import Program
    from pyebpf.objects.trace import trace_pipe
    from pyebpf.sources.packets import PacketBatch
    from pyebpf.sources.pcap import Capture, open_capture
    from pyebpf.sources.stacks import format_stack
    from pyebpf.sources.symbols import symbol
    from pyebpf.sources.targets import SO_ATTACH_BPF, SO_DETACH_BPF, TracePoint
    from pyebpf.syscall import bpf, close, mmap, poll, setsockopt, unpin

_HOME = {
    "Capture": "pyebpf.sources.pcap",
    "Collection": "pyebpf.objects.collection",
    "CollectionSpec": "pyebpf.loader",
    "Link": "pyebpf.objects.link",
    "Map": "pyebpf.objects.map",
    "PacketBatch": "pyebpf.sources.packets",
    "Program": "pyebpf.objects.program",
    "SO_ATTACH_BPF": "pyebpf.sources.targets",
    "SO_DETACH_BPF": "pyebpf.sources.targets",
    "TracePoint": "pyebpf.sources.targets",
    "Verdict": "pyebpf.objects.check",
    "bpf": "pyebpf.syscall",
    "check": "pyebpf.objects.check",
    "close": "pyebpf.syscall",
    "format_stack": "pyebpf.sources.stacks",
    "load": "pyebpf.objects.collection",
    "mmap": "pyebpf.syscall",
    "open_capture": "pyebpf.sources.pcap",
    "poll": "pyebpf.syscall",
    "setsockopt": "pyebpf.syscall",
    "symbol": "pyebpf.sources.symbols",
    "trace_pipe": "pyebpf.objects.trace",
    "unpin": "pyebpf.syscall",
}

__all__ = [
    "SO_ATTACH_BPF",
    "SO_DETACH_BPF",
    "AsmError",
    "BtfError",
    "Capture",
    "Collection",
    "CollectionSpec",
    "Error",
    "Link",
    "Map",
    "ObjectError",
    "PacketBatch",
    "Program",
    "TracePoint",
    "Verdict",
    "VerifierError",
    "bpf",
    "check",
    "close",
    "format_stack",
    "load",
    "mmap",
    "open_capture",
    "poll",
    "setsockopt",
    "symbol",
    "trace_pipe",
    "unpin",
]


_SUBMODULES = frozenset({"btf", "isa", "loader", "spec", "syscall", "verifier"})


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"pyebpf.{name}")
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'pyebpf' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
