"""Commands on maps and their elements."""

import ctypes
import errno
from dataclasses import replace

from pyebpf import native
from pyebpf.errors import ENOTSUPP, Error
from pyebpf.runtime.btfobj import BtfObj
from pyebpf.runtime.call import Call
from pyebpf.runtime.create import check_args, new_map, set_btf, set_inner
from pyebpf.runtime.fdtable import File
from pyebpf.runtime.mapobj import MapObj
from pyebpf.runtime.maprules import CreateArgs
from pyebpf.runtime.progobj import ProgObj
from pyebpf.runtime.state import Runtime
from pyebpf.spec import kinds
from pyebpf.spec.attr import BPF_F_TOKEN_FD
from pyebpf.spec.kinds import MapType

_ACCESS = kinds.BPF_F_RDONLY | kinds.BPF_F_WRONLY
_POP = (MapType.QUEUE, MapType.STACK)
_LOOKUP_AND_DELETE = (*_POP, MapType.HASH, MapType.PERCPU_HASH, MapType.LRU_HASH, MapType.LRU_PERCPU_HASH)


def create(call: Call) -> int:
    """MAP_CREATE."""
    args = CreateArgs(
        type=call["map_type"],
        key_size=call["key_size"],
        value_size=call["value_size"],
        max_entries=call["max_entries"],
        flags=call["map_flags"],
        extra=call["map_extra"],
        btf_key_type_id=call["btf_key_type_id"],
        btf_value_type_id=call["btf_value_type_id"],
        btf_vmlinux_value_type_id=call["btf_vmlinux_value_type_id"],
    )
    _refuse_unsupported(call, args)
    args = replace(args, name=call.name("map_name"))
    obj = new_map(args, call.caps)
    if obj.type in (MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS):
        set_inner(obj, call.rt.fds.peek(call["inner_map_fd"], MapObj)[0])
    if args.btf_key_type_id or args.btf_value_type_id:
        set_btf(obj, call.rt.fds.peek(call["btf_fd"], BtfObj)[0])
    call.rt.maps.add(obj)
    readable, writable = not args.flags & kinds.BPF_F_WRONLY, not args.flags & kinds.BPF_F_RDONLY
    return call.rt.fds.install(obj, readable=readable, writable=writable)


def _refuse_unsupported(call: Call, args: CreateArgs) -> None:
    """What only makes sense in a kernel."""
    check_args(args)
    if args.flags & BPF_F_TOKEN_FD:
        raise call.no_token(call["map_token_fd"])
    if args.flags & kinds.BPF_F_NUMA_NODE and call["numa_node"] > 0:
        raise call.invalid(f"NUMA node {call['numa_node']}", "node 0, the only one here")
    if call["map_ifindex"]:
        raise Error(errno.ENOTSUP, "maps cannot be offloaded to a device here")
    if call["excl_prog_hash"] and call["excl_prog_hash_size"] != 32:
        raise call.invalid(f"excl_prog_hash_size {call['excl_prog_hash_size']}", "32")
    if call["excl_prog_hash"]:
        raise Error(ENOTSUPP, "maps bound to a program's hash are not supported")
    if call["excl_prog_hash_size"]:
        raise call.invalid("excl_prog_hash_size without a hash", "0")


def _map(call: Call, *, read: bool = False, write: bool = False) -> MapObj:
    """The map of map_fd; EBADF, EINVAL, EPERM when the fd or a frozen map forbids it."""
    obj, file = call.rt.fds.peek(call["map_fd"], MapObj)
    if read and not file.readable:
        raise Error(errno.EPERM, f"{call.cmd.name}: fd {call['map_fd']} is write-only")
    if write:
        check_writable(obj, file)
    return obj


def check_writable(obj: MapObj, file: File) -> None:
    """EPERM when user space may not write through `file`."""
    if not file.writable or obj.frozen:
        why = "is frozen" if obj.frozen else "was opened read-only"
        raise Error(errno.EPERM, f"map {obj.name or obj.id} {why}")


def _key(call: Call, obj: MapObj) -> bytes:
    if obj.key_size:
        return native.copy_from_user(call["key"], obj.key_size)
    if call["key"]:
        raise call.invalid("a key", f"none: {obj.type.name} maps have no keys")
    return b""


def _element_flags(call: Call, obj: MapObj) -> int:
    """EINVAL for BPF_F_LOCK without a spin lock in the value (which no map here has)."""
    flags = call["flags"]
    if flags & kinds.BPF_F_LOCK:
        raise call.invalid(f"BPF_F_LOCK on map {obj.name or obj.id}", "a value with a bpf_spin_lock")
    return flags


def lookup_elem(call: Call) -> int:
    """MAP_LOOKUP_ELEM."""
    if call["flags"] & ~kinds.BPF_F_LOCK:
        raise call.invalid(f"flags {call['flags']:#x}", "0 or BPF_F_LOCK")
    obj = _map(call, read=True)
    _element_flags(call, obj)
    key = _key(call, obj)
    value = obj.lookup(key)
    if value is None:
        raise Error(errno.ENOENT, f"map {obj.name or obj.id} has no key {key.hex()}")
    native.copy_to_user(call["value"], value)
    return 0


def update_elem(call: Call) -> int:
    """MAP_UPDATE_ELEM."""
    obj = _map(call, write=True)
    flags = _element_flags(call, obj)
    key = _key(call, obj)
    value = native.copy_from_user(call["value"], obj.user_value_size)
    if obj.type == MapType.PROG_ARRAY:
        if flags != kinds.BPF_ANY:
            raise call.invalid(f"flags {flags}", "BPF_ANY")
        prog = call.rt.fds.get(int.from_bytes(value, "little"), ProgObj)
        try:
            obj.set_prog(key, prog)
        finally:
            prog.put()
    else:
        obj.update(key, value, flags)
    return 0


def delete_elem(call: Call) -> int:
    """MAP_DELETE_ELEM."""
    obj = _map(call, write=True)
    obj.delete(_key(call, obj))
    return 0


def get_next_key(call: Call) -> int:
    """MAP_GET_NEXT_KEY."""
    obj = _map(call, read=True)
    key = _key(call, obj) if call["key"] else None
    following = obj.next_key(key)
    if following is None:
        raise Error(errno.ENOENT, f"map {obj.name or obj.id}: that was the last key")
    native.copy_to_user(call["next_key"], following)
    return 0


def lookup_and_delete_elem(call: Call) -> int:
    """MAP_LOOKUP_AND_DELETE_ELEM."""
    if call["flags"] & ~kinds.BPF_F_LOCK:
        raise call.invalid(f"flags {call['flags']:#x}", "0 or BPF_F_LOCK")
    obj = _map(call, read=True, write=True)
    if obj.type in _POP and call["flags"]:
        raise call.invalid(f"flags {call['flags']:#x}", "0")
    _element_flags(call, obj)
    key = _key(call, obj)
    if obj.type not in _LOOKUP_AND_DELETE:
        raise Error(ENOTSUPP, f"{obj.type.name} maps have no lookup-and-delete")
    value = obj.lookup_and_delete(key)
    if value is None:
        raise Error(errno.ENOENT, f"map {obj.name or obj.id} has no key {key.hex()}")
    native.copy_to_user(call["value"], value)
    return 0


def freeze(call: Call) -> int:
    """MAP_FREEZE."""
    obj, file = call.rt.fds.peek(call["map_fd"], MapObj)
    check_writable(obj, file)
    obj.freeze()
    return 0


def sizes(rt: Runtime, fd: int) -> tuple[int, int]:
    """Bytes of a key and of a value as user space sees it; EBADF, EINVAL."""
    obj, _ = rt.fds.peek(fd, MapObj)
    return obj.key_size, obj.user_value_size


def mmap(rt: Runtime, fd: int, length: int, offset: int, writable: bool) -> memoryview:
    """A view of a BPF_F_MMAPABLE array's memory; EINVAL, EPERM."""
    obj, file = rt.fds.peek(fd, MapObj)
    if obj.type != MapType.ARRAY:
        raise Error(ENOTSUPP, f"{obj.type.name} maps cannot be mapped")
    if not obj.flags & kinds.BPF_F_MMAPABLE:
        raise Error(errno.EINVAL, f"map {obj.name or obj.id} was created without BPF_F_MMAPABLE")
    if writable:
        check_writable(obj, file)
    if offset % 4096 or length <= 0:
        raise Error(errno.EINVAL, f"offset {offset}, length {length}: expected a page offset and a length above 0")
    elements = obj.elements()
    stride = (obj.value_size + 7) & ~7
    nbytes = (stride * obj.max_entries + 4095) & ~4095
    if offset + length > nbytes:
        raise Error(errno.EINVAL, f"map {obj.name or obj.id} has {nbytes} bytes, asked for {offset} + {length}")
    memory = (ctypes.c_ubyte * length).from_address(elements.value_address + offset)
    memory.__dict__["map"] = elements  # The view keeps the map alive.
    view = memoryview(memory).cast("B")
    return view if writable else view.toreadonly()


COMMANDS = {
    kinds.Cmd.MAP_CREATE: create,
    kinds.Cmd.MAP_LOOKUP_ELEM: lookup_elem,
    kinds.Cmd.MAP_UPDATE_ELEM: update_elem,
    kinds.Cmd.MAP_DELETE_ELEM: delete_elem,
    kinds.Cmd.MAP_GET_NEXT_KEY: get_next_key,
    kinds.Cmd.MAP_LOOKUP_AND_DELETE_ELEM: lookup_and_delete_elem,
    kinds.Cmd.MAP_FREEZE: freeze,
}
