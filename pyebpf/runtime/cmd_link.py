"""Commands that attach programs; where to, the layers above say (linkobj.Targets)."""

import errno
import struct

from pyebpf import native
from pyebpf.errors import ENOTSUPP, Error
from pyebpf.runtime.call import Call
from pyebpf.runtime.linkobj import AttachRequest, LinkObj, LinkType, ProgTarget
from pyebpf.runtime.progobj import ProgObj
from pyebpf.spec.kinds import AttachType, Cmd, ProgType

_RAW_TYPES = (ProgType.RAW_TRACEPOINT, ProgType.RAW_TRACEPOINT_WRITABLE)
_TRACING_TYPES = (ProgType.TRACING, ProgType.EXT, ProgType.LSM)


def _attach_type(call: Call) -> AttachType:
    try:
        return AttachType(call["attach_type"])
    except ValueError:
        raise call.invalid(f"attach type {call['attach_type']}", "one that Linux has") from None


def link_create(call: Call) -> int:
    """LINK_CREATE."""
    prog = call.rt.fds.get(call["prog_fd"], ProgObj)
    try:
        kind = _attach_type(call)
        if kind not in call.rt.targets.links:
            raise Error(ENOTSUPP, f"nothing here attaches {prog.type.name} programs at {kind.name}")
        link_type, attach = call.rt.targets.links[kind]
        prog.executable()
        request = AttachRequest(kind, call["target_fd"], call["flags"], call["cookie"])
        return _install(call, LinkObj(link_type, prog, attach(prog, request), request))
    except BaseException:
        prog.put()
        raise


def _install(call: Call, link: LinkObj) -> int:
    return call.rt.fds.install(call.rt.links.add(link))


def raw_tracepoint_open(call: Call) -> int:
    """RAW_TRACEPOINT_OPEN."""
    prog = call.rt.fds.get(call["prog_fd"], ProgObj)
    try:
        if prog.type not in (*_RAW_TYPES, *_TRACING_TYPES):
            raise call.invalid(f"a {prog.type.name} program", "RAW_TRACEPOINT or TRACING")
        if prog.type in _TRACING_TYPES:
            if call["name"]:
                raise call.invalid(f"a name for a {prog.type.name} program", "none: its target was given at load")
            raise Error(ENOTSUPP, f"{prog.type.name} programs attach to a kernel; there is none in a process")
        name = native.string_from_user(call["name"], 127).decode("latin-1")
        attach = call.rt.targets.raw_tracepoint
        if attach is None:
            raise Error(errno.ENOENT, f"there is no raw trace point {name!r} here")
        prog.executable()
        request = AttachRequest(AttachType.TRACE_RAW_TP, name, 0, call["cookie"], name)
        return _install(call, LinkObj(LinkType.RAW_TRACEPOINT, prog, attach(prog, request), request))
    except BaseException:
        prog.put()
        raise


def link_update(call: Call) -> int:
    """LINK_UPDATE."""
    replace = 4  # BPF_F_REPLACE
    if call["flags"] & ~replace:
        raise call.invalid(f"flags {call['flags']:#x}", "0 or BPF_F_REPLACE")
    link, _ = call.rt.fds.peek(call["link_fd"], LinkObj)
    prog, _ = call.rt.fds.peek(call["new_prog_fd"], ProgObj)
    expected = None
    if call["flags"] & replace:
        expected, _ = call.rt.fds.peek(call["old_prog_fd"], ProgObj)
    elif call["old_prog_fd"]:
        raise call.invalid("old_prog_fd without BPF_F_REPLACE", "0")
    prog.executable()
    link.update(prog, expected)
    return 0


def link_detach(call: Call) -> int:
    """LINK_DETACH."""
    call.rt.fds.peek(call["link_fd"], LinkObj)[0].detach()
    return 0


def _prog_target(call: Call) -> tuple[ProgTarget, AttachRequest]:
    kind = _attach_type(call)
    target = call.rt.targets.progs.get(kind)
    if target is None:
        raise Error(ENOTSUPP, f"nothing here attaches programs at {kind.name}")
    flags = call["query_flags" if call.cmd == Cmd.PROG_QUERY else "attach_flags"]
    return target, AttachRequest(kind, call["target_fd"], flags)


def prog_attach(call: Call) -> int:
    """PROG_ATTACH."""
    _attach_type(call)
    prog = call.rt.fds.get(call["attach_bpf_fd"], ProgObj)
    try:
        target, request = _prog_target(call)
        prog.executable()
        target.attach(prog, request)
    finally:
        prog.put()
    return 0


def prog_detach(call: Call) -> int:
    """PROG_DETACH."""
    target, request = _prog_target(call)
    fd = call["attach_bpf_fd"]
    prog = call.rt.fds.peek(fd, ProgObj)[0] if fd else None
    target.detach(prog, request)
    return 0


def prog_query(call: Call) -> int:
    """PROG_QUERY."""
    target, request = _prog_target(call)
    ids = target.query(request)
    room = call["count"]
    call.put("attach_flags", 0)
    call.put("count", len(ids))
    if call["prog_ids"] and room:
        native.copy_to_user(call["prog_ids"], struct.pack(f"<{len(ids)}I", *ids)[: 4 * room])
    if call["prog_ids"] and room < len(ids):
        raise Error(errno.ENOSPC, f"{len(ids)} programs are attached, there is room for {room}")
    return 0


COMMANDS = {
    Cmd.LINK_CREATE: link_create,
    Cmd.RAW_TRACEPOINT_OPEN: raw_tracepoint_open,
    Cmd.LINK_UPDATE: link_update,
    Cmd.LINK_DETACH: link_detach,
    Cmd.PROG_ATTACH: prog_attach,
    Cmd.PROG_DETACH: prog_detach,
    Cmd.PROG_QUERY: prog_query,
}
