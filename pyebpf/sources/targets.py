"""What programs attach to, entered in the runtime's table: packet sockets and trace points.

The runtime names this module as a provider and calls register() when it starts.
"""

import errno
import os
import socket
import threading
from dataclasses import dataclass

from pyebpf.errors import Error
from pyebpf.runtime.linkobj import AttachFn, AttachRequest, LinkType, Targets
from pyebpf.runtime.progobj import ProgObj
from pyebpf.sources import pumps
from pyebpf.sources.pumps import PumpAttachment
from pyebpf.spec.kinds import AttachType

SO_ATTACH_BPF = 50
SO_DETACH_BPF = 27


@dataclass(frozen=True, slots=True)
class TracePoint:
    """A Linux trace point to attach to: `SYSTEM:NAME`.

    pid: of that process alone (-1: everything; needs privileges).  filter: what the kernel lets through, in perf's
    language ("protocol == 0x88b5").  callchain: record the kernel's stack, for get_stackid.
    """

    name: str
    pid: int = -1
    filter: str = ""
    callchain: bool = False


class SocketFilters:
    """Programs attached by setsockopt, by socket (its inode: descriptors are reused)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._filters: dict[int, tuple[ProgObj, PumpAttachment]] = {}

    def attach(self, fd: int, prog: ProgObj | None) -> None:
        """SO_ATTACH_BPF: replaces the one before."""
        assert prog is not None
        inode = os.fstat(fd).st_ino
        with self._lock:
            self._drop_closed()
            before = self._filters.pop(inode, None)
            if before is not None:
                self._end(before)
            attachment = pumps.attach_socket(prog, fd)
            prog.get()
            self._filters[inode] = prog, attachment

    def detach(self, fd: int, _: ProgObj | None) -> None:
        """SO_DETACH_BPF; ENOENT when nothing is attached."""
        with self._lock:
            found = self._filters.pop(os.fstat(fd).st_ino, None)
        if found is None:
            raise Error(errno.ENOENT, f"socket {fd} has no program attached")
        self._end(found)

    def _drop_closed(self) -> None:
        for inode in [i for i, (_, attachment) in self._filters.items() if attachment.error()]:
            self._end(self._filters.pop(inode))

    @staticmethod
    def _end(found: tuple[ProgObj, PumpAttachment]) -> None:
        prog, attachment = found
        attachment.detach()
        prog.put()


def _object(target: object) -> tuple[LinkType, AttachFn] | None:
    """Program.attach(socket), .attach(TracePoint(...)), .attach("SYSTEM:NAME")."""
    if isinstance(target, socket.socket):
        return LinkType.CUSTOM, lambda prog, _: pumps.attach_socket(prog, target.fileno())
    point = TracePoint(target) if isinstance(target, str) and ":" in target else target
    if isinstance(point, TracePoint):
        return LinkType.PERF_EVENT, lambda prog, _: pumps.attach_tracepoint(
            prog, point.name, pid=point.pid, filter=point.filter, callchain=point.callchain
        )
    return None


def _raw_tracepoint(prog: ProgObj, request: AttachRequest) -> PumpAttachment:
    return pumps.attach_tracepoint(prog, request.name)


def _perf_event(prog: ProgObj, request: AttachRequest) -> PumpAttachment:
    assert isinstance(request.target, int)
    return pumps.attach_perf_event(prog, request.target)


def register(targets: Targets) -> None:
    """Enter all of them."""
    filters = SocketFilters()
    targets.sockopts[socket.SOL_SOCKET, SO_ATTACH_BPF] = filters.attach
    targets.sockopts[socket.SOL_SOCKET, SO_DETACH_BPF] = filters.detach
    targets.links[AttachType.PERF_EVENT] = LinkType.PERF_EVENT, _perf_event
    targets.raw_tracepoint = _raw_tracepoint
    targets.objects.append(_object)
