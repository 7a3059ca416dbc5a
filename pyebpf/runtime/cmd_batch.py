"""Batch commands: many elements in one call.

in_batch and out_batch point to 4 bytes, the place in the map to go on from, as for Linux's hash and array.
"""

import errno
import struct

from pyebpf import native
from pyebpf.errors import ENOTSUPP, Error
from pyebpf.runtime.call import Call
from pyebpf.runtime.cmd_map import check_writable
from pyebpf.runtime.mapobj import MapObj
from pyebpf.spec.kinds import Cmd, MapType

_HASHES = (MapType.HASH, MapType.PERCPU_HASH)
_TYPES = (*_HASHES, MapType.ARRAY, MapType.PERCPU_ARRAY)
_READS = (Cmd.MAP_LOOKUP_BATCH, Cmd.MAP_LOOKUP_AND_DELETE_BATCH)
_DELETES = (Cmd.MAP_LOOKUP_AND_DELETE_BATCH, Cmd.MAP_DELETE_BATCH)
_CHUNK_BYTES = 1 << 20
_CURSOR = struct.Struct("<I")


def _map(call: Call) -> MapObj:
    """The map; EPERM for its access, ENOTSUPP for its type, EINVAL for flags."""
    obj, file = call.rt.fds.peek(call["map_fd"], MapObj)
    if call.cmd in _READS and not file.readable:
        raise Error(errno.EPERM, f"fd {call['map_fd']} is write-only")
    if call.cmd != Cmd.MAP_LOOKUP_BATCH:
        check_writable(obj, file)
    if obj.type not in _TYPES or (call.cmd in _DELETES and obj.type not in _HASHES):
        raise Error(ENOTSUPP, f"{obj.type.name} maps have no {call.cmd.name}")
    if call["elem_flags"]:
        raise call.invalid(f"elem_flags {call['elem_flags']:#x}", "0: values here have no bpf_spin_lock")
    if call["flags"] and obj.type in _HASHES and call.cmd in _READS:
        raise call.invalid(f"flags {call['flags']:#x}", "0")
    return obj


def _chunk(obj: MapObj) -> int:
    """Elements to move at once: bounded memory, whatever count the caller gives."""
    return max(1, _CHUNK_BYTES // (obj.key_size + obj.user_value_size))


def read(call: Call) -> int:
    """MAP_LOOKUP_BATCH and MAP_LOOKUP_AND_DELETE_BATCH; ENOENT with the last elements."""
    obj = _map(call)
    wanted = call["count"]
    if not wanted:
        return 0
    call.put("count", 0)
    elements = obj.elements()
    cursor = _CURSOR.unpack(native.copy_from_user(call["in_batch"], 4))[0] if call["in_batch"] else 0
    if cursor > obj.max_entries and obj.type not in _HASHES:
        cursor = obj.max_entries
    walk = elements.drain if call.cmd == Cmd.MAP_LOOKUP_AND_DELETE_BATCH else elements.lookup_batch
    done, ended = 0, False
    while done < wanted and not ended:
        n = min(wanted - done, _chunk(obj))
        keys, values, cursor, got = walk(cursor, n)
        native.copy_to_user(call["keys"] + done * obj.key_size, keys)
        native.copy_to_user(call["values"] + done * obj.user_value_size, values)
        done += got
        ended = got < n
    if not ended and obj.type in _HASHES:
        ended = elements.lookup_batch(cursor, 1)[3] == 0
    call.put("count", done)
    if done or obj.type in _HASHES:
        native.copy_to_user(call["out_batch"], _CURSOR.pack(min(cursor, 0xFFFFFFFF)))
    if ended:
        raise Error(errno.ENOENT, f"map {obj.name or obj.id}: that was the last element")
    return 0


def write(call: Call) -> int:
    """MAP_UPDATE_BATCH and MAP_DELETE_BATCH; the first error ends it, count says how many came before."""
    obj = _map(call)
    wanted = call["count"]
    if not wanted:
        return 0
    elements = obj.elements()
    update = call.cmd == Cmd.MAP_UPDATE_BATCH
    done = 0
    try:
        while done < wanted:
            n = min(wanted - done, _chunk(obj))
            keys = native.copy_from_user(call["keys"] + done * obj.key_size, n * obj.key_size)
            if update:
                start = call["values"] + done * obj.user_value_size
                done += elements.update_batch(keys, native.copy_from_user(start, n * obj.user_value_size))
            else:
                done += elements.delete_batch(keys)
    except Error as exc:
        call.put("count", done + getattr(exc, "done", 0))
        raise
    call.put("count", done)
    return 0


COMMANDS = {
    Cmd.MAP_LOOKUP_BATCH: read,
    Cmd.MAP_LOOKUP_AND_DELETE_BATCH: read,
    Cmd.MAP_UPDATE_BATCH: write,
    Cmd.MAP_DELETE_BATCH: write,
}
