"""Attachments drained by a native pump: packet sockets and trace points, for bpf(2), setsockopt and Program.attach."""

import errno
import os

from pyebpf.errors import Error
from pyebpf.native import NativePump
from pyebpf.runtime.progobj import ProgObj
from pyebpf.sources import perf, tracefs, tracepoint
from pyebpf.spec.kinds import ProgType

QUEUE_BYTES = 1 << 20
"""Room for kept frames of one socket."""

RING_PAGES = 64
"""Pages of each perf ring: 256 KiB a CPU, under the unprivileged limit (perf_event_mlock_kb) for one program."""


class PumpAttachment:
    """A program that a native thread runs on every record of a source; what Link offers beside detach() is here."""

    def __init__(self, pump: NativePump) -> None:
        self.pump = pump

    def detach(self) -> None:
        """Run on what is there already, then end."""
        self.pump.stop()

    def replace(self, prog: ProgObj) -> None:
        """Another program from the next batch on; no record is lost."""
        self.pump.replace(prog.executable())

    def stats(self) -> dict[str, int]:
        """events: runs. kept: with a return value other than 0. lost: dropped before or behind. failed: ended early."""
        return self.pump.stats()

    def error(self) -> int:
        """The errno that ended the thread (EBADF: the socket was closed), 0 while it lives."""
        return self.pump.error

    def recv(self) -> bytes | None:
        """The oldest kept frame, trimmed to the program's return value; None when none waits."""
        return self.pump.recv()

    def fileno(self) -> int:
        """A descriptor that is readable while a kept frame waits; -1 for sources that keep none."""
        return self.pump.fileno()


def attach_socket(prog: ProgObj, fd: int, queue_bytes: int = QUEUE_BYTES) -> PumpAttachment:
    """Filter an AF_PACKET socket; the pump drains it, kept frames wait in its queue.

    Errors: ENOTSOCK, EOPNOTSUPP (another family), EINVAL (a program of another type).
    """
    if prog.type != ProgType.SOCKET_FILTER:
        raise Error(errno.EINVAL, f"program {prog.name or prog.id} is {prog.type.name}, a socket takes SOCKET_FILTER")
    return PumpAttachment(NativePump.socket(prog.executable(), fd, queue_bytes=queue_bytes))


def attach_tracepoint(
    prog: ProgObj, name: str, *, pid: int = -1, filter: str = "", callchain: bool = False
) -> PumpAttachment:
    """Run a tracepoint or raw_tracepoint program on a Linux trace point, system-wide or for one process.

    Errors: ENOENT (no tracefs, no such trace point), EACCES, EINVAL (program type, filter, arguments that the record
    does not hold).
    """
    point = tracefs.find(name)
    args = tracepoint.raw_args(point) if prog.type == ProgType.RAW_TRACEPOINT else None
    if args is None and prog.type != ProgType.TRACEPOINT:
        raise Error(errno.EINVAL, f"program {prog.name or prog.id} is {prog.type.name}, expected (RAW_)TRACEPOINT")
    fds = tracepoint.open_events(point, pid=pid, filter=filter, callchain=callchain)
    return _start(prog, fds, args, callchain)


def attach_perf_event(prog: ProgObj, fd: int) -> PumpAttachment:
    """Run a tracepoint program on an event that the caller opened with perf_event_open and PERF_SAMPLE_RAW."""
    if prog.type != ProgType.TRACEPOINT:
        raise Error(errno.EINVAL, f"program {prog.name or prog.id} is {prog.type.name}, expected TRACEPOINT")
    return _start(prog, [os.dup(fd)], None, False)


def _start(prog: ProgObj, fds: list[int], args: list[tuple[int, int, bool]] | None, callchain: bool) -> PumpAttachment:
    try:
        pump = NativePump.perf(prog.executable(), fds, pages=RING_PAGES, callchain=callchain, args=args)
    except BaseException:
        for fd in fds:
            os.close(fd)
        raise
    for fd in fds:
        perf.enable(fd)
    return PumpAttachment(pump)
