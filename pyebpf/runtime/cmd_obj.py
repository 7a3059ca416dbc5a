"""Commands on any object: ids, pins, BTF, statistics."""

import errno
from typing import Any

from pyebpf import native
from pyebpf.errors import Error
from pyebpf.runtime.btfobj import BtfObj, parse_btf
from pyebpf.runtime.call import Call
from pyebpf.runtime.kobject import MAX_ID, IdSpace, KObject
from pyebpf.runtime.mapobj import MapObj
from pyebpf.runtime.state import Runtime
from pyebpf.spec import attr, kinds
from pyebpf.spec.kinds import Cmd

_MAX_BTF = 16 << 20


def _space(rt: Runtime, cmd: Cmd) -> IdSpace[Any]:
    spaces: dict[str, IdSpace[Any]] = {"MAP": rt.maps, "PROG": rt.progs, "BTF": rt.btfs, "LINK": rt.links}
    return spaces[cmd.name.partition("_")[0]]


def get_next_id(call: Call) -> int:
    """*_GET_NEXT_ID."""
    if call["id"] >= MAX_ID:
        raise call.invalid(f"start_id {call['id']}", f"below {MAX_ID}")
    call.need("all")
    call.put("next_id", _space(call.rt, call.cmd).next_id(call["id"]))
    return 0


def get_fd_by_id(call: Call) -> int:
    """*_GET_FD_BY_ID."""
    flags = call["open_flags"] if call.cmd == Cmd.MAP_GET_FD_BY_ID else 0
    readable, writable = _access(call, flags)
    if call.cmd == Cmd.BTF_GET_FD_BY_ID and call["open_flags"]:
        raise call.invalid(f"open_flags {call['open_flags']:#x}", "0")
    call.need("all")
    obj = _space(call.rt, call.cmd).get(call["id"])
    _as_user(obj)
    return call.rt.fds.install(obj, readable=readable, writable=writable)


def _as_user(obj: KObject) -> None:
    """Turn a plain reference into one of user space."""
    obj.get_user()
    obj.put()


def _access(call: Call, flags: int) -> tuple[bool, bool]:
    """readable, writable; EINVAL for unknown flags or both restrictions."""
    if flags & ~attr.BPF_OBJ_FLAG_MASK or flags == attr.BPF_OBJ_FLAG_MASK:
        raise call.invalid(f"flags {flags:#x}", "0, BPF_F_RDONLY or BPF_F_WRONLY")
    return not flags & kinds.BPF_F_WRONLY, not flags & kinds.BPF_F_RDONLY


def _folder(call: Call) -> int | None:
    """path_fd as a folder to start from; None: the working directory."""
    flags = call["file_flags"]
    if not flags & attr.BPF_F_PATH_FD:
        if call["path_fd"]:
            raise call.invalid(f"path_fd {call['path_fd']} without BPF_F_PATH_FD", "0")
        return None
    return None if call["path_fd"] == -100 else call["path_fd"]  # AT_FDCWD


def obj_pin(call: Call) -> int:
    """OBJ_PIN."""
    if call["file_flags"] & ~attr.BPF_F_PATH_FD:
        raise call.invalid(f"file_flags {call['file_flags']:#x}", "0 or BPF_F_PATH_FD")
    folder = _folder(call)
    path = call.path(call["pathname"])
    file = call.rt.fds.file(call["bpf_fd"])
    if file.obj.kind not in ("map", "program", "link"):
        raise call.invalid(f"a {file.obj.kind}", "a map, program or link")
    obj = call.rt.fds.get(call["bpf_fd"], type(file.obj))
    _as_user(obj)
    try:
        call.rt.pins.add(call.rt.pins.resolve(path, folder), obj)
    except Error:
        obj.put_user()
        raise
    return 0


def obj_get(call: Call) -> int:
    """OBJ_GET."""
    flags = call["file_flags"]
    if call["bpf_fd"] or flags & ~(attr.BPF_OBJ_FLAG_MASK | attr.BPF_F_PATH_FD):
        raise call.invalid(f"bpf_fd {call['bpf_fd']}, file_flags {flags:#x}", "0, and access flags")
    folder = _folder(call)
    readable, writable = _access(call, flags & attr.BPF_OBJ_FLAG_MASK)
    obj = call.rt.pins.get(call.rt.pins.resolve(call.path(call["pathname"]), folder))
    if not isinstance(obj, MapObj) and not (readable and writable):
        obj.put_user()
        raise call.invalid(f"access flags for a {obj.kind}", "none")
    return call.rt.fds.install(obj, readable=readable, writable=writable)


def btf_load(call: Call) -> int:
    """BTF_LOAD."""
    if call["btf_flags"] & ~attr.BPF_F_TOKEN_FD:
        raise call.invalid(f"btf_flags {call['btf_flags']:#x}", "0")
    if call["btf_flags"] & attr.BPF_F_TOKEN_FD:
        raise call.no_token(call["btf_token_fd"])
    call.need("bpf")
    size, buf, level = call["btf_log_size"], call["btf_log_buf"], call["btf_log_level"]
    if call["btf_size"] > _MAX_BTF:
        raise Error(errno.E2BIG, f"BTF is {call['btf_size']} bytes, expected at most {_MAX_BTF}")
    if bool(buf) != bool(size) or (buf and not level) or level & ~attr.LOG_MASK:
        raise call.invalid(f"btf_log_level {level}, btf_log_size {size}, btf_log_buf {buf:#x}", "all three or none")
    data = native.copy_from_user(call["btf"], call["btf_size"])
    try:
        types = parse_btf(data)
    except Error as exc:
        _write_log(call, f"{exc.strerror}\n".encode())
        raise
    _write_log(call, b"")
    return call.rt.fds.install(call.rt.btfs.add(BtfObj(types)))


def _write_log(call: Call, log: bytes) -> None:
    size, buf = call["btf_log_size"], call["btf_log_buf"]
    true_size = len(log) + 1 if log and call["btf_log_level"] else 0
    if buf and log:
        native.copy_to_user(buf, log[-(size - 1) :] + b"\0" if size > 1 else b"\0")
    if call.user.size >= 32:
        call.put("btf_log_true_size", true_size)
    if buf and true_size > size:
        raise Error(errno.ENOSPC, f"the BTF log is {true_size} bytes, btf_log_size {size}")


class StatsSwitch(KObject):
    """Run times are measured while one of these is open."""

    kind = "stats switch"

    def __init__(self) -> None:
        super().__init__()
        native.stats_enable()

    def release(self) -> None:
        """The fd was closed."""
        native.stats_disable()


def enable_stats(call: Call) -> int:
    """ENABLE_STATS."""
    call.need("all")
    if call["type"]:
        raise call.invalid(f"type {call['type']}", "BPF_STATS_RUN_TIME (0)")
    return call.rt.fds.install(call.rt.stats.add(StatsSwitch()))


COMMANDS = {
    **dict.fromkeys(
        (Cmd.MAP_GET_NEXT_ID, Cmd.PROG_GET_NEXT_ID, Cmd.BTF_GET_NEXT_ID, Cmd.LINK_GET_NEXT_ID), get_next_id
    ),
    **dict.fromkeys(
        (Cmd.MAP_GET_FD_BY_ID, Cmd.PROG_GET_FD_BY_ID, Cmd.BTF_GET_FD_BY_ID, Cmd.LINK_GET_FD_BY_ID), get_fd_by_id
    ),
    Cmd.OBJ_PIN: obj_pin,
    Cmd.OBJ_GET: obj_get,
    Cmd.BTF_LOAD: btf_load,
    Cmd.ENABLE_STATS: enable_stats,
}
