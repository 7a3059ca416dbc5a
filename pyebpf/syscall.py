"""bpf(2) in this process, and the mini library of 2014 on top of it.

    fd = bpf(Cmd.MAP_CREATE, attr)                    the raw call, bytes as Linux lays them out
    fd = bpf_create_map(MapType.HASH, 4, 8, 1024)     one function a command

Every function takes backend="kernel" to ask Linux instead; fds of the two never mix.
"""

import ctypes
import errno
import os
import select
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from pyebpf.errors import Error, VerifierError
from pyebpf.isa.insn import Insn, encode
from pyebpf.runtime import cmd_batch, cmd_info, cmd_link, cmd_map, cmd_obj, cmd_prog, linux
from pyebpf.runtime.call import CAPS, AttrBuffer, Call
from pyebpf.runtime.fdtable import FIRST_FD
from pyebpf.runtime.linkobj import AttachRequest, attach_object
from pyebpf.runtime.progobj import ProgObj
from pyebpf.runtime.state import runtime
from pyebpf.spec import kinds
from pyebpf.spec.attr import ATTR, FUNC_INFO_SIZE, LINE_INFO_SIZE, Layout
from pyebpf.spec.kinds import Cmd

_COMMANDS: dict[Cmd, Callable[[Call], int]] = {
    **cmd_map.COMMANDS,
    **cmd_batch.COMMANDS,
    **cmd_prog.COMMANDS,
    **cmd_obj.COMMANDS,
    **cmd_info.COMMANDS,
    **cmd_link.COMMANDS,
}

Readable = bytes | bytearray | memoryview


def bpf(cmd: int, attr: Any, size: int | None = None, *, backend: str = "user", caps: str = "all") -> int:
    """One bpf(2) call: the new fd or 0; OSError with Linux's errno.

    attr: a writable buffer laid out as union bpf_attr (bytearray, ctypes structure or byref of one, numpy array), or
    its address; results are written back into it.  size: its bytes, by default all of the buffer.
    backend: "user" (this process) or "kernel".  caps: the privileges a program is verified with.
    """
    user = AttrBuffer(attr, size)
    if backend == "kernel":
        return linux.syscall(cmd, user)
    if backend != "user":
        raise ValueError(f"backend is {backend!r}, expected 'user' or 'kernel'")
    if caps not in CAPS:
        raise ValueError(f"caps is {caps!r}, expected one of {', '.join(CAPS)}")
    data = user.read()
    known = Cmd(cmd) if cmd in Cmd._value2member_map_ else None
    if known is None or known not in _COMMANDS:
        raise Error(errno.EINVAL, f"bpf command {cmd} is unknown")
    try:
        return _COMMANDS[known](Call(runtime(), known, ATTR[known], user, data, caps))
    except MemoryError:
        raise Error(errno.ENOMEM, f"{known.name}: not enough memory for what attr asks for") from None


def close(fd: int) -> None:
    """Close an fd of ours; EBADF. An fd of the system is not touched: that is os.close."""
    runtime().fds.close(fd)


def poll(fds: Iterable[tuple[int, int]], timeout_ms: int | None = None) -> list[tuple[int, int]]:
    """poll(2) over (fd, events), ours and the system's: those that are ready, as (fd, revents).

    A map that cannot be waited for is always ready with POLLERR, an fd that is not open with POLLNVAL, as in Linux.
    """
    ready: list[tuple[int, int]] = []
    waiter = select.poll()
    ours: dict[int, int] = {}
    for fd, events in fds:
        if fd < FIRST_FD:
            waiter.register(fd, events)
        elif fd not in runtime().fds:
            ready.append((fd, select.POLLNVAL))
        elif (waitable := _fileno(fd)) is None:
            ready.append((fd, select.POLLERR))
        else:
            ours[waitable] = fd
            waiter.register(waitable, events)
    found = waiter.poll(0 if ready else timeout_ms)
    return ready + [(ours.get(fd, fd), revents) for fd, revents in found]


def _fileno(fd: int) -> int | None:
    """The system's fd to wait on for one of ours; None: nothing to wait for."""
    fileno = getattr(getattr(runtime().fds.file(fd).obj, "native", None), "fileno", None)
    return fileno() if fileno else None


def mmap(fd: int, length: int, *, offset: int = 0, writable: bool = True) -> memoryview:
    """The memory of a BPF_F_MMAPABLE array: a view that programs and Python share; EINVAL, EPERM, ENOTSUPP."""
    return cmd_map.mmap(runtime(), fd, length, offset, writable)


def unpin(path: str | os.PathLike[str]) -> None:
    """Remove a pin, as unlink does in bpffs; ENOENT."""
    pins = runtime().pins
    pins.remove(pins.resolve(os.fspath(path)))


def setsockopt(sock: Any, level: int, option: int, value: int) -> None:
    """setsockopt(2) for SO_ATTACH_BPF and SO_DETACH_BPF with a program of ours.

    sock: a socket or its fd.  EINVAL for another program type, EBADF, ENOPROTOOPT for an option that is not ours.
    """
    fd = sock if isinstance(sock, int) else sock.fileno()
    hook = runtime().targets.sockopts.get((level, option))
    if hook is None:
        raise Error(errno.ENOPROTOOPT, f"socket option {option} at level {level} does not attach programs")
    if option == _SO_DETACH_BPF:
        hook(fd, None)
        return
    prog = runtime().fds.get(value, ProgObj)
    try:
        hook(fd, prog)
    finally:
        prog.put()


_SO_DETACH_BPF = 27


# The mini library: the arguments of 2014's libbpf.c, with bytes for pointers.


class TestRun(NamedTuple):
    """Outcome of PROG_TEST_RUN."""

    retval: int
    data_out: bytes
    ctx_out: bytes
    duration_ns: int


TestRun.__test__ = False  # type: ignore[attr-defined]  # Its name is no test's.


class _Memory:
    """A copy of some bytes at a fixed address, for a pointer in attr."""

    def __init__(self, content: Readable | int) -> None:
        raw = bytes(content)  # An int gives that many zeros.
        self._buffer = ctypes.create_string_buffer(raw, max(len(raw), 1))
        self._nbytes = len(raw)
        self.address = ctypes.addressof(self._buffer)

    def bytes(self) -> bytes:
        return self._buffer.raw[: self._nbytes]


def _pack(cmd: Cmd, **members: int | bytes) -> bytearray:
    return ATTR[cmd].pack(**members)


def bpf_create_map(
    map_type: int,
    key_size: int,
    value_size: int,
    max_entries: int,
    map_flags: int = 0,
    *,
    name: str = "",
    inner_map_fd: int = 0,
    map_extra: int = 0,
    btf_fd: int = 0,
    btf_key_type_id: int = 0,
    btf_value_type_id: int = 0,
    backend: str = "user",
) -> int:
    """MAP_CREATE: the map's fd."""
    attr = _pack(
        Cmd.MAP_CREATE,
        map_type=map_type,
        key_size=key_size,
        value_size=value_size,
        max_entries=max_entries,
        map_flags=map_flags,
        map_name=name.encode()[: kinds.OBJ_NAME_LEN - 1],
        inner_map_fd=inner_map_fd,
        map_extra=map_extra,
        btf_fd=btf_fd,
        btf_key_type_id=btf_key_type_id,
        btf_value_type_id=btf_value_type_id,
    )
    return bpf(Cmd.MAP_CREATE, attr, backend=backend)


def _map_sizes(fd: int, backend: str) -> tuple[int, int]:
    """Bytes of a key and of a value as user space sees it."""
    return cmd_map.sizes(runtime(), fd) if backend == "user" else linux.map_sizes(fd)


def bpf_update_elem(fd: int, key: Readable, value: Readable, flags: int = 0, *, backend: str = "user") -> None:
    """MAP_UPDATE_ELEM."""
    key_size, value_size = _map_sizes(fd, backend)
    k, v = _Memory(_exact(key, key_size, "key")), _Memory(_exact(value, value_size, "value"))
    attr = _pack(Cmd.MAP_UPDATE_ELEM, map_fd=fd, key=k.address, value=v.address, flags=flags)
    bpf(Cmd.MAP_UPDATE_ELEM, attr, backend=backend)


def _exact(content: Readable, nbytes: int, what: str) -> bytes:
    """A pointer says nothing of its length: what Linux would read must be there."""
    if len(content) != nbytes:
        raise Error(errno.EINVAL, f"the {what} is {len(content)} bytes, expected {nbytes}")
    return bytes(content)


def bpf_lookup_elem(fd: int, key: Readable, flags: int = 0, *, backend: str = "user") -> bytes:
    """MAP_LOOKUP_ELEM: the value; ENOENT."""
    return _lookup(Cmd.MAP_LOOKUP_ELEM, fd, key, flags, backend)


def bpf_lookup_and_delete_elem(fd: int, key: Readable, flags: int = 0, *, backend: str = "user") -> bytes:
    """MAP_LOOKUP_AND_DELETE_ELEM: the value; ENOENT."""
    return _lookup(Cmd.MAP_LOOKUP_AND_DELETE_ELEM, fd, key, flags, backend)


def _lookup(cmd: Cmd, fd: int, key: Readable, flags: int, backend: str) -> bytes:
    key_size, value_size = _map_sizes(fd, backend)
    k, v = _Memory(_exact(key, key_size, "key")), _Memory(value_size)
    attr = _pack(cmd, map_fd=fd, key=k.address if key_size else 0, value=v.address, flags=flags)
    bpf(cmd, attr, backend=backend)
    return v.bytes()


def bpf_delete_elem(fd: int, key: Readable, *, backend: str = "user") -> None:
    """MAP_DELETE_ELEM; ENOENT."""
    k = _Memory(_exact(key, _map_sizes(fd, backend)[0], "key"))
    bpf(Cmd.MAP_DELETE_ELEM, _pack(Cmd.MAP_DELETE_ELEM, map_fd=fd, key=k.address), backend=backend)


def bpf_get_next_key(fd: int, key: Readable | None, *, backend: str = "user") -> bytes:
    """MAP_GET_NEXT_KEY: the key after `key` (None: the first); ENOENT after the last."""
    key_size, _ = _map_sizes(fd, backend)
    k = _Memory(_exact(key, key_size, "key")) if key is not None else None
    following = _Memory(key_size)
    attr = _pack(Cmd.MAP_GET_NEXT_KEY, map_fd=fd, key=k.address if k else 0, next_key=following.address)
    bpf(Cmd.MAP_GET_NEXT_KEY, attr, backend=backend)
    return following.bytes()


def _write_batch(cmd: Cmd, fd: int, keys: Readable, values: Readable, flags: int, backend: str) -> int:
    key_size, _ = _map_sizes(fd, backend)
    k, v = _Memory(keys), _Memory(values)
    attr = _pack(
        cmd, map_fd=fd, keys=k.address, values=v.address, count=len(keys) // max(key_size, 1), elem_flags=flags
    )
    try:
        bpf(cmd, attr, backend=backend)
    except Error as exc:
        exc.done = ATTR[cmd].read(attr, "count")  # type: ignore[attr-defined]
        raise
    return ATTR[cmd].read(attr, "count")


def bpf_map_update_batch(fd: int, keys: Readable, values: Readable, flags: int = 0, *, backend: str = "user") -> int:
    """MAP_UPDATE_BATCH over packed keys and values: how many were set. An error's `done` says how many before it."""
    return _write_batch(Cmd.MAP_UPDATE_BATCH, fd, keys, values, flags, backend)


def bpf_map_delete_batch(fd: int, keys: Readable, flags: int = 0, *, backend: str = "user") -> int:
    """MAP_DELETE_BATCH over packed keys: how many were removed."""
    return _write_batch(Cmd.MAP_DELETE_BATCH, fd, keys, b"", flags, backend)


def read_batches(cmd: Cmd, fd: int, max_entries: int, *, backend: str = "user") -> tuple[bytes, bytes]:
    """All elements by MAP_LOOKUP_BATCH or MAP_LOOKUP_AND_DELETE_BATCH: packed keys and values."""
    key_size, value_size = _map_sizes(fd, backend)
    room = max(1, min(max_entries, 1 << 16))
    k, v, cursor = _Memory(key_size * room), _Memory(value_size * room), _Memory(max(key_size, 8))
    keys, values = bytearray(), bytearray()
    start, more = 0, True
    while more:
        attr = _pack(
            cmd, map_fd=fd, in_batch=start, out_batch=cursor.address, keys=k.address, values=v.address, count=room
        )
        try:
            bpf(cmd, attr, backend=backend)
        except Error as exc:
            if exc.errno != errno.ENOENT:
                raise
            more = False
        got = ATTR[cmd].read(attr, "count")
        keys += k.bytes()[: got * key_size]
        values += v.bytes()[: got * value_size]
        start = cursor.address
    return bytes(keys), bytes(values)


def bpf_map_freeze(fd: int, *, backend: str = "user") -> None:
    """MAP_FREEZE."""
    bpf(Cmd.MAP_FREEZE, _pack(Cmd.MAP_FREEZE, map_fd=fd), backend=backend)


Insns = Readable | Sequence[Insn | Sequence[Insn]]


def _code(insns: Insns) -> bytes:
    """Instructions as bytes; the two slots of a 64-bit constant may be a list of their own."""
    if isinstance(insns, (bytes, bytearray, memoryview)):
        return bytes(insns)
    flat: list[Insn] = []
    for item in insns:
        flat.extend([item] if isinstance(item, Insn) else item)
    return encode(flat)


def bpf_prog_load(
    prog_type: int,
    insns: Insns,
    license: str = "GPL",
    *,
    name: str = "",
    log_level: int = 0,
    log_size: int = 1 << 20,
    prog_flags: int = 0,
    expected_attach_type: int = 0,
    fd_array: Sequence[int] = (),
    btf_fd: int = 0,
    func_info: Readable = b"",
    line_info: Readable = b"",
    log_out: list[str] | None = None,
    backend: str = "user",
    caps: str = "all",
) -> int:
    """PROG_LOAD: the program's fd; VerifierError with the log when log_level is above 0, else Error.

    func_info, line_info: packed bpf_func_info and bpf_line_info records of the BTF in btf_fd.
    log_out: a list that gets the log of a program that was accepted.
    """
    code = _Memory(_code(insns))
    text = _Memory(license.encode() + b"\0")
    fds = _Memory(b"".join(fd.to_bytes(4, "little", signed=True) for fd in fd_array))
    log = _Memory(log_size if log_level else 0)
    funcs, lines = _Memory(func_info), _Memory(line_info)
    attr = _pack(
        Cmd.PROG_LOAD,
        prog_type=prog_type,
        insn_cnt=len(code.bytes()) // 8,
        insns=code.address,
        license=text.address,
        log_level=log_level,
        log_size=log_size if log_level else 0,
        log_buf=log.address if log_level else 0,
        prog_name=name.encode()[: kinds.OBJ_NAME_LEN - 1],
        prog_flags=prog_flags,
        expected_attach_type=expected_attach_type,
        fd_array=fds.address if fd_array else 0,
        prog_btf_fd=btf_fd,
        func_info_rec_size=FUNC_INFO_SIZE if len(func_info) else 0,
        func_info=funcs.address if len(func_info) else 0,
        func_info_cnt=len(func_info) // FUNC_INFO_SIZE,
        line_info_rec_size=LINE_INFO_SIZE if len(line_info) else 0,
        line_info=lines.address if len(line_info) else 0,
        line_info_cnt=len(line_info) // LINE_INFO_SIZE,
    )
    try:
        fd = bpf(Cmd.PROG_LOAD, attr, backend=backend, caps=caps)
        if log_out is not None:
            log_out.append(_text(log))
        return fd
    except VerifierError:
        raise
    except Error as exc:
        text_log = _text(log)
        if not text_log:
            raise
        raise VerifierError(exc.errno or errno.EINVAL, _reason(text_log), log=text_log) from None


def _text(log: _Memory) -> str:
    return log.bytes().partition(b"\0")[0].decode("utf-8", "replace")


def _reason(log: str) -> str:
    """The last line before the statistics."""
    lines = [
        line for line in log.splitlines() if not line.startswith(("processed ", "verification time", "stack depth"))
    ]
    return lines[-1] if lines else "the program was refused"


def bpf_prog_test_run(
    fd: int,
    data: Readable = b"",
    *,
    repeat: int = 1,
    ctx: Readable | None = None,
    data_size_out: int | None = None,
    backend: str = "user",
) -> TestRun:
    """PROG_TEST_RUN. data_size_out: room for the packet that comes back, by default 256 bytes more than went in."""
    data_in, ctx_in = _Memory(data), _Memory(ctx or b"")
    room = len(data) + 256 if data_size_out is None else data_size_out
    data_out, ctx_out = _Memory(room if len(data) else 0), _Memory(len(ctx or b""))
    attr = _pack(
        Cmd.PROG_TEST_RUN,
        prog_fd=fd,
        data_size_in=len(data),
        data_in=data_in.address if len(data) else 0,
        data_size_out=len(data_out.bytes()),
        data_out=data_out.address if data_out.bytes() else 0,
        repeat=repeat,
        ctx_size_in=len(ctx or b""),
        ctx_in=ctx_in.address if ctx else 0,
        ctx_size_out=len(ctx or b""),
        ctx_out=ctx_out.address if ctx else 0,
    )
    bpf(Cmd.PROG_TEST_RUN, attr, backend=backend)
    read = ATTR[Cmd.PROG_TEST_RUN].read
    return TestRun(
        read(attr, "retval"),
        data_out.bytes()[: read(attr, "data_size_out")],
        ctx_out.bytes()[: read(attr, "ctx_size_out")],
        read(attr, "duration"),
    )


def bpf_prog_bind_map(prog_fd: int, map_fd: int, *, backend: str = "user") -> None:
    """PROG_BIND_MAP."""
    bpf(Cmd.PROG_BIND_MAP, _pack(Cmd.PROG_BIND_MAP, prog_fd=prog_fd, map_fd=map_fd), backend=backend)


def bpf_btf_load(data: Readable, *, log_level: int = 0, log_size: int = 1 << 16, backend: str = "user") -> int:
    """BTF_LOAD: the fd."""
    blob, log = _Memory(data), _Memory(log_size if log_level else 0)
    attr = _pack(
        Cmd.BTF_LOAD,
        btf=blob.address,
        btf_size=len(data),
        btf_log_buf=log.address if log_level else 0,
        btf_log_size=log_size if log_level else 0,
        btf_log_level=log_level,
    )
    return bpf(Cmd.BTF_LOAD, attr, backend=backend)


def bpf_obj_pin(fd: int, path: str | os.PathLike[str], *, backend: str = "user") -> None:
    """OBJ_PIN; EEXIST."""
    name = _Memory(os.fsencode(path) + b"\0")
    bpf(Cmd.OBJ_PIN, _pack(Cmd.OBJ_PIN, pathname=name.address, bpf_fd=fd), backend=backend)


def bpf_obj_get(path: str | os.PathLike[str], file_flags: int = 0, *, backend: str = "user") -> int:
    """OBJ_GET: a new fd; ENOENT."""
    name = _Memory(os.fsencode(path) + b"\0")
    return bpf(Cmd.OBJ_GET, _pack(Cmd.OBJ_GET, pathname=name.address, file_flags=file_flags), backend=backend)


def bpf_obj_get_info(fd: int, layout: Layout, *, backend: str = "user", **members: int) -> dict[str, int | bytes]:
    """OBJ_GET_INFO_BY_FD: the struct's members. `members` are set before the call (pointers and their lengths)."""
    info = layout.pack(**members)
    memory = _Memory(info)
    attr = _pack(Cmd.OBJ_GET_INFO_BY_FD, bpf_fd=fd, info_len=len(info), info=memory.address)
    bpf(Cmd.OBJ_GET_INFO_BY_FD, attr, backend=backend)
    return layout.unpack(memory.bytes())


def _next_id(cmd: Cmd, start: int, backend: str) -> int:
    attr = _pack(cmd, id=start)
    bpf(cmd, attr, backend=backend)
    return ATTR[cmd].read(attr, "next_id")


def bpf_map_get_next_id(start: int = 0, *, backend: str = "user") -> int:
    """MAP_GET_NEXT_ID: the smallest map id above `start`; ENOENT."""
    return _next_id(Cmd.MAP_GET_NEXT_ID, start, backend)


def bpf_prog_get_next_id(start: int = 0, *, backend: str = "user") -> int:
    """PROG_GET_NEXT_ID; ENOENT."""
    return _next_id(Cmd.PROG_GET_NEXT_ID, start, backend)


def bpf_btf_get_next_id(start: int = 0, *, backend: str = "user") -> int:
    """BTF_GET_NEXT_ID; ENOENT."""
    return _next_id(Cmd.BTF_GET_NEXT_ID, start, backend)


def bpf_link_get_next_id(start: int = 0, *, backend: str = "user") -> int:
    """LINK_GET_NEXT_ID; ENOENT."""
    return _next_id(Cmd.LINK_GET_NEXT_ID, start, backend)


def bpf_map_get_fd_by_id(obj_id: int, *, open_flags: int = 0, backend: str = "user") -> int:
    """MAP_GET_FD_BY_ID; ENOENT."""
    attr = _pack(Cmd.MAP_GET_FD_BY_ID, id=obj_id, open_flags=open_flags)
    return bpf(Cmd.MAP_GET_FD_BY_ID, attr, backend=backend)


def bpf_prog_get_fd_by_id(obj_id: int, *, backend: str = "user") -> int:
    """PROG_GET_FD_BY_ID; ENOENT."""
    return bpf(Cmd.PROG_GET_FD_BY_ID, _pack(Cmd.PROG_GET_FD_BY_ID, id=obj_id), backend=backend)


def bpf_btf_get_fd_by_id(obj_id: int, *, backend: str = "user") -> int:
    """BTF_GET_FD_BY_ID; ENOENT."""
    return bpf(Cmd.BTF_GET_FD_BY_ID, _pack(Cmd.BTF_GET_FD_BY_ID, id=obj_id), backend=backend)


def bpf_link_get_fd_by_id(obj_id: int, *, backend: str = "user") -> int:
    """LINK_GET_FD_BY_ID; ENOENT."""
    return bpf(Cmd.LINK_GET_FD_BY_ID, _pack(Cmd.LINK_GET_FD_BY_ID, id=obj_id), backend=backend)


def bpf_enable_stats(stats_type: int = 0, *, backend: str = "user") -> int:
    """ENABLE_STATS: an fd; run times are measured while it is open."""
    return bpf(Cmd.ENABLE_STATS, _pack(Cmd.ENABLE_STATS, type=stats_type), backend=backend)


def bpf_prog_attach(prog_fd: int, target_fd: int, attach_type: int, flags: int = 0, *, backend: str = "user") -> None:
    """PROG_ATTACH."""
    attr = _pack(
        Cmd.PROG_ATTACH, target_fd=target_fd, attach_bpf_fd=prog_fd, attach_type=attach_type, attach_flags=flags
    )
    bpf(Cmd.PROG_ATTACH, attr, backend=backend)


def bpf_prog_detach(target_fd: int, attach_type: int, prog_fd: int = 0, *, backend: str = "user") -> None:
    """PROG_DETACH."""
    attr = _pack(Cmd.PROG_DETACH, target_fd=target_fd, attach_bpf_fd=prog_fd, attach_type=attach_type)
    bpf(Cmd.PROG_DETACH, attr, backend=backend)


def bpf_prog_query(target_fd: int, attach_type: int, *, room: int = 64, backend: str = "user") -> list[int]:
    """PROG_QUERY: ids of the programs attached; ENOSPC when there are more than `room`."""
    ids = _Memory(4 * room)
    attr = _pack(Cmd.PROG_QUERY, target_fd=target_fd, attach_type=attach_type, prog_ids=ids.address, count=room)
    bpf(Cmd.PROG_QUERY, attr, backend=backend)
    count = ATTR[Cmd.PROG_QUERY].read(attr, "count")
    return [int.from_bytes(ids.bytes()[4 * i : 4 * i + 4], "little") for i in range(count)]


def bpf_link_create(
    prog_fd: int, target: int, attach_type: int, flags: int = 0, *, cookie: int = 0, backend: str = "user"
) -> int:
    """LINK_CREATE: the link's fd."""
    attr = _pack(
        Cmd.LINK_CREATE, prog_fd=prog_fd, target_fd=target, attach_type=attach_type, flags=flags, cookie=cookie
    )
    return bpf(Cmd.LINK_CREATE, attr, backend=backend)


def bpf_link_update(link_fd: int, new_prog_fd: int, *, backend: str = "user") -> None:
    """LINK_UPDATE."""
    bpf(Cmd.LINK_UPDATE, _pack(Cmd.LINK_UPDATE, link_fd=link_fd, new_prog_fd=new_prog_fd), backend=backend)


def bpf_link_detach(link_fd: int, *, backend: str = "user") -> None:
    """LINK_DETACH."""
    bpf(Cmd.LINK_DETACH, _pack(Cmd.LINK_DETACH, link_fd=link_fd), backend=backend)


def bpf_raw_tracepoint_open(name: str, prog_fd: int, *, backend: str = "user") -> int:
    """RAW_TRACEPOINT_OPEN: the link's fd."""
    text = _Memory(name.encode() + b"\0")
    attr = _pack(Cmd.RAW_TRACEPOINT_OPEN, name=text.address if name else 0, prog_fd=prog_fd)
    return bpf(Cmd.RAW_TRACEPOINT_OPEN, attr, backend=backend)


def attach(prog_fd: int, target: object) -> int:
    """Attach to an object that bpf(2) has no command for (a TracePoint, a socket, a hook): the link's fd."""
    rt = runtime()
    prog, _ = rt.fds.peek(prog_fd, ProgObj)
    return rt.fds.install(attach_object(rt.links, prog, AttachRequest(target=target), rt.targets))


_CONSTANTS = {"BPF_MAP_TYPE_": kinds.MapType, "BPF_PROG_TYPE_": kinds.ProgType}


def __getattr__(name: str) -> int:
    """Linux's constants by name: BPF_MAP_TYPE_HASH, BPF_PROG_TYPE_XDP, BPF_ANY, BPF_F_RDONLY, ..."""
    for prefix, enum in _CONSTANTS.items():
        if name.startswith(prefix) and name.removeprefix(prefix) in enum.__members__:
            return int(enum[name.removeprefix(prefix)])
    value = getattr(kinds, name, None) if name.startswith("BPF_") else None
    if not isinstance(value, int):
        raise AttributeError(f"module 'pyebpf.syscall' has no attribute {name!r}")
    return value
