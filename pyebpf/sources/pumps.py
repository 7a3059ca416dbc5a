"""Attachments drained by a native pump: packet sockets and trace points, for bpf(2), setsockopt and Program.attach."""

import errno
import os
import socket

from pyebpf.errors import Error
from pyebpf.native import NativePump
from pyebpf.runtime.progobj import ProgObj
from pyebpf.sources import perf, tracefs, tracepoint

QUEUE_BYTES = 1 << 20
"""Room for kept frames of one socket."""

RING_PAGES = 64
"""Pages of each perf ring: 256 KiB a CPU, under the unprivileged limit (perf_event_mlock_kb) for one program."""


class PumpAttachment:
    """A program that a native thread runs on every record of a source."""

    def __init__(self, pump: NativePump) -> None:
        self.pump = pump

    def detach(self) -> None:
        """Run on what is there already, then end."""
        self.pump.stop()

    def replace(self, prog: ProgObj) -> None:
        """Another program from the next batch on."""
        self.pump.replace(prog.executable())


def attach_socket(prog: ProgObj, fd: int, queue_bytes: int = QUEUE_BYTES) -> PumpAttachment:
    """Filter an AF_PACKET socket; the pump drains a duplicate of `fd`, kept frames wait in its queue.

    Errors: ENOTSOCK, EOPNOTSUPP (another family), EINVAL (a program of another type).
    """
    if prog.type.name != "SOCKET_FILTER":
        raise Error(errno.EINVAL, f"program {prog.name or prog.id} is {prog.type.name}, a socket takes SOCKET_FILTER")
    own = os.dup(fd)
    try:
        return PumpAttachment(NativePump.socket(prog.executable(), own, queue_bytes=queue_bytes))
    except BaseException:
        os.close(own)
        raise


def attach_tracepoint(
    prog: ProgObj, name: str, *, pid: int = -1, filter: str = "", callchain: bool = False
) -> PumpAttachment:
    """Run a tracepoint or raw_tracepoint program on a Linux trace point, system-wide or for one process.

    Errors: ENOENT (no tracefs, no such trace point), EACCES, EINVAL (program type, filter, arguments that the record
    does not hold).
    """
    point = tracefs.find(name)
    args = tracepoint.raw_args(point) if prog.type.name == "RAW_TRACEPOINT" else None
    if args is None and prog.type.name != "TRACEPOINT":
        raise Error(errno.EINVAL, f"program {prog.name or prog.id} is {prog.type.name}, expected (RAW_)TRACEPOINT")
    fds = tracepoint.open_events(point, pid=pid, filter=filter, callchain=callchain)
    return _start(prog, fds, args, callchain)


def attach_perf_event(prog: ProgObj, fd: int) -> PumpAttachment:
    """Run a tracepoint program on an event that the caller opened with perf_event_open and PERF_SAMPLE_RAW."""
    if prog.type.name != "TRACEPOINT":
        raise Error(errno.EINVAL, f"program {prog.name or prog.id} is {prog.type.name}, expected TRACEPOINT")
    return _start(prog, [os.dup(fd)], None, False)


def _start(
    prog: ProgObj, fds: list[int], args: list[tuple[int, int, bool]] | None, callchain: bool
) -> PumpAttachment:
    try:
        pump = NativePump.perf(prog.executable(), fds, pages=RING_PAGES, callchain=callchain, args=args)
    except BaseException:
        for fd in fds:
            os.close(fd)
        raise
    for fd in fds:
        perf.enable(fd)
    return PumpAttachment(pump)


def socket_fd(target: object) -> int | None:
    """The descriptor of a socket object, None for anything else."""
    return target.fileno() if isinstance(target, socket.socket) else None
