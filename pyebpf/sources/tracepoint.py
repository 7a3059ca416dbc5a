"""From a trace point's description to perf events and to the arguments of a raw_tracepoint program."""

import errno
import os

from pyebpf.errors import Error
from pyebpf.sources import perf
from pyebpf.sources.tracefs import Field, TracePoint

# The arguments of a trace point do not leave the kernel; its record holds them under these names.
# Source: TP_PROTO in Linux's include/trace/events, as BTF's __bpf_trace_NAME shows it.
RAW_ARGUMENTS = {
    "skb:kfree_skb": ("skbaddr", "location", "reason", "rx_sk"),
    "skb:consume_skb": ("skbaddr", "location"),
}


def raw_args(point: TracePoint) -> list[tuple[int, int, bool]]:
    """(offset, size, signed) in the record of each argument; EINVAL when they are not known."""
    names = RAW_ARGUMENTS.get(f"{point.system}:{point.name}")
    if names is None:
        known = ", ".join(RAW_ARGUMENTS)
        raise Error(
            errno.EINVAL,
            f"raw trace point {point.system}:{point.name}: its arguments are not in the record; known are {known}; "
            "a tracepoint program sees the record itself",
        )
    fields = {f.name: f for f in point.fields}
    return [_arg(point, fields, name) for name in names]


def _arg(point: TracePoint, fields: dict[str, Field], name: str) -> tuple[int, int, bool]:
    if name not in fields:
        raise Error(errno.EINVAL, f"raw trace point {point.system}:{point.name}: the record has no field {name}")
    return fields[name].offset, fields[name].size, fields[name].signed


def open_events(point: TracePoint, *, pid: int, filter: str, callchain: bool) -> list[int]:
    """Disabled perf events: one a CPU for the whole system (pid -1), else one for the process."""
    places = [(pid, -1)] if pid >= 0 else [(-1, cpu) for cpu in perf.online_cpus()]
    fds: list[int] = []
    try:
        for event_pid, cpu in places:
            fds.append(perf.perf_event_open(point.id, pid=event_pid, cpu=cpu, callchain=callchain))
            if filter:
                perf.set_filter(fds[-1], filter)
    except BaseException:
        for fd in fds:
            os.close(fd)
        raise
    return fds
