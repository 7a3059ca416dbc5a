"""LinkObj: an attachment that has an fd and an id; and the table of what programs attach to.

The layers above (packet sockets, trace points, the user's own hooks) register themselves in a Targets table; this
module only finds the right one and keeps the link.
"""

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar, Protocol

from pyebpf.errors import ENOTSUPP, Error
from pyebpf.runtime.kobject import IdSpace, KObject
from pyebpf.runtime.progobj import ProgObj


class LinkType(IntEnum):
    """enum bpf_link_type; CUSTOM is pyebpf's own, outside Linux's range."""

    UNSPEC = 0
    RAW_TRACEPOINT = 1
    TRACING = 2
    CGROUP = 3
    ITER = 4
    NETNS = 5
    XDP = 6
    PERF_EVENT = 7
    KPROBE_MULTI = 8
    STRUCT_OPS = 9
    NETFILTER = 10
    TCX = 11
    UPROBE_MULTI = 12
    NETKIT = 13
    SOCKMAP = 14
    CUSTOM = 1 << 16


@dataclass(frozen=True, slots=True)
class AttachRequest:
    """What LINK_CREATE, PROG_ATTACH, RAW_TRACEPOINT_OPEN or Program.attach asked for.

    target: an fd or ifindex (bpf(2)), or the object given to Program.attach.  name: the raw trace point's.
    """

    attach_type: int = 0
    target: object = 0
    flags: int = 0
    cookie: int = 0
    name: str = ""


class Attachment(Protocol):
    """A program at work somewhere. It borrows the program; whoever keeps the attachment holds the reference."""

    def detach(self) -> None:
        """Stop; once it returns no run begins any more."""

    def replace(self, prog: ProgObj) -> None:
        """Put another program in its place without a gap; EINVAL where that cannot be."""


AttachFn = Callable[[ProgObj, AttachRequest], Attachment]


@dataclass(slots=True)
class ProgTarget:
    """A target of PROG_ATTACH, PROG_DETACH and PROG_QUERY.

    attach and detach get the program (None: whichever is attached) and the request; query gives the program ids.
    """

    attach: Callable[[ProgObj, AttachRequest], None]
    detach: Callable[[ProgObj | None, AttachRequest], None]
    query: Callable[[AttachRequest], list[int]]


@dataclass(slots=True)
class Targets:
    """Where programs attach.

    links: by attach type (LINK_CREATE), with the link type that bpf_link_info shows.
    progs: by attach type (PROG_ATTACH).
    raw_tracepoint: RAW_TRACEPOINT_OPEN.
    sockopts: by (level, option): called with the socket's fd and the program (None: detach).
    objects: tried in order for Program.attach(target): each gives an AttachFn, or None if the target is not its kind.
    """

    links: dict[int, tuple[LinkType, AttachFn]] = field(default_factory=dict)
    progs: dict[int, ProgTarget] = field(default_factory=dict)
    raw_tracepoint: AttachFn | None = None
    sockopts: dict[tuple[int, int], Callable[[int, ProgObj | None], None]] = field(default_factory=dict)
    objects: list[Callable[[object], tuple[LinkType, AttachFn] | None]] = field(default_factory=list)

    def for_object(self, target: object) -> tuple[LinkType, AttachFn]:
        """How a program attaches to `target`; ENOTSUPP."""
        for probe in self.objects:
            if found := probe(target):
                return found
        raise Error(ENOTSUPP, f"nothing here attaches programs to {target!r}")


class LinkObj(KObject):
    """A program and its attachment. The last reference detaches it; `detach` does so at once."""

    kind: ClassVar[str] = "link"

    def __init__(self, link_type: LinkType, prog: ProgObj, attachment: Attachment, request: AttachRequest) -> None:
        """Takes over the caller's reference of `prog`."""
        super().__init__()
        self.type = link_type
        self.prog = prog
        self.request = request
        self.attachment = attachment
        self._attached = True

    @property
    def attached(self) -> bool:
        """False once it was detached."""
        return self._attached

    def detach(self) -> None:
        """Stop; the link itself stays until its last reference goes. Twice is no error."""
        with self.lock:
            attached, self._attached = self._attached, False
        if attached:
            self.attachment.detach()

    def update(self, prog: ProgObj, expected: ProgObj | None) -> None:
        """Replace the program; EPERM if `expected` is not the one there, EINVAL for another type, ENOLINK detached."""
        with self.lock:
            if not self._attached:
                raise Error(errno.ENOLINK, f"link {self.id} is detached")
            if expected is not None and expected is not self.prog:
                raise Error(errno.EPERM, f"link {self.id} has program {self.prog.id}, expected {expected.id}")
            if prog.type != self.prog.type:
                raise Error(errno.EINVAL, f"link {self.id} is of {self.prog.type.name}, program {prog.type.name}")
            if prog is self.prog:
                return
            self.attachment.replace(prog)
            prog.get()
            old, self.prog = self.prog, prog
        old.put()

    def release(self) -> None:
        """The last reference is gone: detach, let the program go."""
        self.detach()
        self.prog.put()


def attach_object(links: "IdSpace[LinkObj]", prog: ProgObj, request: AttachRequest, targets: Targets) -> LinkObj:
    """A link of `prog` to the object request.target; ENOTSUPP when nothing attaches to it, or prog cannot run."""
    link_type, attach = targets.for_object(request.target)
    prog.executable()
    prog.get()
    try:
        return links.add(LinkObj(link_type, prog, attach(prog, request), request))
    except BaseException:
        prog.put()
        raise
