"""OBJ_GET_INFO_BY_FD: an object as bpf_map_info, bpf_prog_info, bpf_btf_info or bpf_link_info."""

import errno
import struct
from collections.abc import Callable
from typing import Any

from pyebpf import native
from pyebpf.errors import Error
from pyebpf.runtime.btfobj import BtfObj
from pyebpf.runtime.call import Call
from pyebpf.runtime.linkobj import LinkObj, LinkType
from pyebpf.runtime.mapobj import MapObj
from pyebpf.runtime.progobj import ProgObj
from pyebpf.spec import attr
from pyebpf.spec.attr import Layout
from pyebpf.spec.kinds import OBJ_NAME_LEN, Cmd


class Info:
    """The caller's info struct: read as far as it goes, changed, written back."""

    def __init__(self, call: Call, layout: Layout, size: int = 0) -> None:
        self._call = call
        self._layout = layout
        size = size or layout.size
        given = call["info_len"]
        if given > attr.PAGE_SIZE:
            raise Error(errno.E2BIG, f"info_len is {given}, expected at most {attr.PAGE_SIZE}")
        self._length = min(given, size)
        raw = native.copy_from_user(call["info"], given) if given else b""
        if any(raw[size:]):
            raise Error(errno.E2BIG, f"the info struct has non-zero bytes behind the {size} that are known")
        self._given = raw[:size].ljust(size, b"\0")
        self._data = bytearray(size)

    def given(self, name: str) -> int:
        """A member as the caller set it: a pointer, or the room behind it."""
        return self._layout.read(self._given, name)

    def set(self, **values: int | bytes) -> None:
        """Set members."""
        for name, value in values.items():
            self._layout.write(self._data, name, value)

    def array(self, pointer: str, count: str, content: bytes, width: int = 1) -> None:
        """Copy `content` to where `pointer` points, as much as `count` allows; `count` then has the whole number."""
        room, address = self.given(count) * width, self.given(pointer)
        if room and content:
            native.copy_to_user(address, content[:room])
        self.set(**{pointer: address, count: len(content) // width})

    def finish(self) -> int:
        """Write it back; what the caller's length cuts off is not written."""
        if self._length:
            native.copy_to_user(self._call["info"], bytes(self._data[: self._length]))
        self._call.put("info_len", self._length)
        return 0


def _name(text: str) -> bytes:
    return text.encode("latin-1", "replace")[: OBJ_NAME_LEN - 1]


def map_info(call: Call, obj: MapObj) -> int:
    """struct bpf_map_info."""
    info = Info(call, attr.MAP_INFO)
    info.set(
        type=obj.type,
        id=obj.id,
        key_size=obj.key_size,
        value_size=obj.value_size,
        max_entries=obj.max_entries,
        map_flags=obj.flags,
        name=_name(obj.name),
        btf_id=obj.btf.id if obj.btf else 0,
        btf_key_type_id=obj.args.btf_key_type_id if obj.btf else 0,
        btf_value_type_id=obj.args.btf_value_type_id if obj.btf else 0,
        map_extra=obj.args.extra,
    )
    return info.finish()


def prog_info(call: Call, prog: ProgObj) -> int:
    """struct bpf_prog_info."""
    info = Info(call, attr.PROG_INFO)
    for record, size in (("func_info_rec_size", 8), ("line_info_rec_size", 16), ("jited_line_info_rec_size", 8)):
        count = "nr_" + record.removesuffix("_rec_size")
        if (info.given(count) or info.given(record)) and info.given(record) != size:
            raise call.invalid(f"{record} {info.given(record)}", str(size))
        info.set(**{record: size})
    map_ids = struct.pack(f"<{len(prog.maps)}I", *(obj.id for obj in prog.maps))
    info.array("map_ids", "nr_map_ids", map_ids, 4)
    info.array("xlated_prog_insns", "xlated_prog_len", prog.xlated)
    info.array("jited_prog_insns", "jited_prog_len", prog.jited)
    info.array("func_info", "nr_func_info", prog.debug.func_bytes, 8)
    info.array("line_info", "nr_line_info", prog.debug.line_bytes, 16)
    info.array("prog_tags", "nr_prog_tags", prog.tag, 8)
    info.set(
        type=min(prog.type, 0xFFFFFFFF),
        id=prog.id,
        tag=prog.tag,
        load_time=prog.load_time_ns,
        created_by_uid=prog.uid,
        name=_name(prog.name),
        gpl_compatible=int(prog.gpl_compatible),
        btf_id=prog.btf.id if prog.btf else 0,
        run_time_ns=prog.native.run_time_ns if prog.native else 0,
        run_cnt=prog.native.run_cnt if prog.native else 0,
        verified_insns=prog.verified.stats.processed,
    )
    return info.finish()


def btf_info(call: Call, btf: BtfObj) -> int:
    """struct bpf_btf_info."""
    info = Info(call, attr.BTF_INFO)
    room, address = info.given("btf_size"), info.given("btf")
    if room:
        native.copy_to_user(address, btf.data[:room])
    if bool(info.given("name")) != bool(info.given("name_len")):
        raise call.invalid("only one of name and name_len", "both or none")
    if info.given("name"):
        native.copy_to_user(info.given("name"), b"\0")
    info.set(btf=address, btf_size=len(btf.data), id=btf.id, name=info.given("name"), name_len=0)
    return info.finish()


def link_info(call: Call, link: LinkObj) -> int:
    """struct bpf_link_info."""
    info = Info(call, attr.LINK_INFO)
    info.set(type=link.type, id=link.id, prog_id=link.prog.id)
    if link.type == LinkType.RAW_TRACEPOINT:
        _tp_name(call, info, link.request.name.encode() + b"\0")
    return info.finish()


def _tp_name(call: Call, info: Info, name: bytes) -> None:
    room, address = info.given("name_len"), info.given("name")
    if bool(room) != bool(address):
        raise call.invalid("only one of tp_name and tp_name_len", "both or none")
    info.set(name=address, name_len=len(name))
    if not room:
        return
    cut = name if len(name) <= room else name[: room - 1] + b"\0"
    native.copy_to_user(address, cut)
    if len(name) > room:
        raise Error(errno.ENOSPC, f"tp_name_len is {room}, the name has {len(name)} bytes")


_INFO: dict[type, Callable[[Call, Any], int]] = {
    MapObj: map_info,
    ProgObj: prog_info,
    BtfObj: btf_info,
    LinkObj: link_info,
}


def get_info(call: Call) -> int:
    """OBJ_GET_INFO_BY_FD."""
    fd = call["bpf_fd"]
    if fd not in call.rt.fds:
        raise Error(errno.EBADFD, f"fd {fd} is not an open file descriptor of pyebpf")
    obj = call.rt.fds.file(fd).obj
    make = _INFO.get(type(obj))
    if make is None:
        raise call.invalid(f"a {obj.kind}", "a map, program, BTF or link")
    return make(call, obj)


COMMANDS = {Cmd.OBJ_GET_INFO_BY_FD: get_info}
