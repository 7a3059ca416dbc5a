"""Layouts of bpf(2): union bpf_attr command by command, the info structs, and the limits around them.

A layout is written as C would declare it, every member at its natural alignment (uapi/linux/bpf.h, 6.18):

    "u32 map_fd; u64 key value flags"       map_fd at 0, key at 8, value at 16, flags at 24
    "c16 map_name"                          16 bytes
    "@8 u32 prog_btf_fd"                    the next member is at offset 8 (unions, padding)
"""

import errno
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pyebpf.errors import Error
from pyebpf.spec.kinds import Cmd

ATTR_SIZE: Final = 168
"""sizeof(union bpf_attr): bytes behind it must be zero (E2BIG)."""
PAGE_SIZE: Final = 4096
"""A struct that user space gives is never longer (E2BIG)."""

_FORMATS: Final = {"u8": "B", "u16": "H", "u32": "I", "s32": "i", "u64": "Q"}


@dataclass(frozen=True, slots=True)
class Member:
    """A member's place; `codec` is None for a character array."""

    offset: int
    size: int
    codec: struct.Struct | None


@dataclass(frozen=True, slots=True)
class Layout:
    """Members by name.  end: offset behind the last one; what follows it must be zero (EINVAL)."""

    members: Mapping[str, Member]
    end: int

    @property
    def size(self) -> int:
        """sizeof the struct, which is 8-aligned."""
        return (self.end + 7) & ~7

    def read(self, data: bytes | bytearray, name: str) -> int:
        """The integer member `name` of `data`."""
        member = self.members[name]
        assert member.codec is not None
        value: int = member.codec.unpack_from(data, member.offset)[0]
        return value

    def write(self, data: bytearray, name: str, value: int | bytes) -> None:
        """Set `name` in `data`; a character array is padded with zeros, a negative number is two's complement.

        A number that does not fit is EINVAL, never its low bits.
        """
        member = self.members[name]
        if isinstance(value, bytes):
            data[member.offset : member.offset + member.size] = value.ljust(member.size, b"\0")[: member.size]
            return
        assert member.codec is not None
        if not hasattr(value, "__index__"):
            raise TypeError(f"{name} is {value!r}, expected an integer")
        bits = 8 * member.size
        if not -1 << bits - 1 <= value < 1 << bits:
            raise Error(errno.EINVAL, f"{name} is {value}, expected {-1 << bits - 1} to {(1 << bits) - 1}")
        value = int(value) & (1 << bits) - 1
        if member.codec.format == "<i" and value >> 31:
            value -= 1 << 32
        member.codec.pack_into(data, member.offset, value)

    def unpack(self, data: bytes | bytearray) -> dict[str, int | bytes]:
        """All members by name; character arrays as bytes."""
        return {
            name: bytes(data[m.offset : m.offset + m.size]) if m.codec is None else self.read(data, name)
            for name, m in self.members.items()
        }

    def pack(self, **values: int | bytes) -> bytearray:
        """A zeroed struct with `values` set."""
        data = bytearray(self.size)
        for name, value in values.items():
            self.write(data, name, value)
        return data


def layout(text: str, *, end: str = "") -> Layout:
    """Read the notation above; `end` names the last member (default: the one declared last)."""
    members: dict[str, Member] = {}
    offset = 0
    for declaration in filter(None, (part.strip() for part in text.split(";"))):
        kind, *names = declaration.split()
        if kind.startswith("@"):
            offset = int(kind[1:])
            kind, *names = names
        array = re.fullmatch(r"c(\d+)", kind)
        codec = None if array else struct.Struct("<" + _FORMATS[kind])
        size = int(array[1]) if array else struct.calcsize(_FORMATS[kind])
        align = 1 if array else size
        for name in names:
            offset = (offset + align - 1) // align * align
            members[name] = Member(offset, size, codec)
            offset += size
    last = members[end or names[-1]]  # Members behind it are of other commands.
    bound = last.offset + last.size
    return Layout({name: place for name, place in members.items() if place.offset < bound}, bound)


_ID = "u32 id next_id open_flags; s32 token_fd"
_KEY = "u32 map_fd; u64 key value flags"
_BATCH = "u64 in_batch out_batch keys values; u32 count map_fd; u64 elem_flags flags"
_ATTACH = "u32 target_fd attach_bpf_fd attach_type attach_flags replace_bpf_fd relative_fd; u64 expected_revision"

ATTR: Final[dict[Cmd, Layout]] = {
    Cmd.MAP_CREATE: layout(
        "u32 map_type key_size value_size max_entries map_flags inner_map_fd numa_node; c16 map_name; "
        "u32 map_ifindex btf_fd btf_key_type_id btf_value_type_id btf_vmlinux_value_type_id; u64 map_extra; "
        "s32 value_type_btf_obj_fd map_token_fd; u64 excl_prog_hash; u32 excl_prog_hash_size"
    ),
    Cmd.MAP_LOOKUP_ELEM: layout(_KEY),
    Cmd.MAP_UPDATE_ELEM: layout(_KEY),
    Cmd.MAP_DELETE_ELEM: layout(_KEY, end="key"),
    Cmd.MAP_GET_NEXT_KEY: layout("u32 map_fd; u64 key next_key"),
    Cmd.MAP_LOOKUP_AND_DELETE_ELEM: layout(_KEY),
    Cmd.MAP_FREEZE: layout("u32 map_fd"),
    Cmd.MAP_LOOKUP_BATCH: layout(_BATCH),
    Cmd.MAP_LOOKUP_AND_DELETE_BATCH: layout(_BATCH),
    Cmd.MAP_UPDATE_BATCH: layout(_BATCH),
    Cmd.MAP_DELETE_BATCH: layout(_BATCH),
    Cmd.PROG_LOAD: layout(
        "u32 prog_type insn_cnt; u64 insns license; u32 log_level log_size; u64 log_buf; u32 kern_version prog_flags; "
        "c16 prog_name; u32 prog_ifindex expected_attach_type prog_btf_fd func_info_rec_size; u64 func_info; "
        "u32 func_info_cnt line_info_rec_size; u64 line_info; u32 line_info_cnt attach_btf_id attach_prog_fd "
        "core_relo_cnt; u64 fd_array core_relos; u32 core_relo_rec_size log_true_size; s32 prog_token_fd; "
        "u32 fd_array_cnt; u64 signature; u32 signature_size; s32 keyring_id"
    ),
    Cmd.OBJ_PIN: layout("u64 pathname; u32 bpf_fd file_flags; s32 path_fd"),
    Cmd.OBJ_GET: layout("u64 pathname; u32 bpf_fd file_flags; s32 path_fd"),
    Cmd.PROG_ATTACH: layout(_ATTACH),
    Cmd.PROG_DETACH: layout(_ATTACH),
    Cmd.PROG_TEST_RUN: layout(
        "u32 prog_fd retval data_size_in data_size_out; u64 data_in data_out; u32 repeat duration ctx_size_in "
        "ctx_size_out; u64 ctx_in ctx_out; u32 flags cpu batch_size"
    ),
    Cmd.PROG_GET_NEXT_ID: layout(_ID, end="next_id"),
    Cmd.MAP_GET_NEXT_ID: layout(_ID, end="next_id"),
    Cmd.BTF_GET_NEXT_ID: layout(_ID, end="next_id"),
    Cmd.LINK_GET_NEXT_ID: layout(_ID, end="next_id"),
    Cmd.PROG_GET_FD_BY_ID: layout(_ID, end="id"),
    Cmd.MAP_GET_FD_BY_ID: layout(_ID, end="open_flags"),
    Cmd.BTF_GET_FD_BY_ID: layout(_ID, end="token_fd"),
    Cmd.LINK_GET_FD_BY_ID: layout(_ID, end="id"),
    Cmd.OBJ_GET_INFO_BY_FD: layout("u32 bpf_fd info_len; u64 info"),
    Cmd.PROG_QUERY: layout(
        "u32 target_fd attach_type query_flags attach_flags; u64 prog_ids; u32 count; u64 prog_attach_flags "
        "link_ids link_attach_flags revision"
    ),
    Cmd.RAW_TRACEPOINT_OPEN: layout("u64 name; u32 prog_fd; u64 cookie"),
    Cmd.BTF_LOAD: layout(
        "u64 btf btf_log_buf; u32 btf_size btf_log_size btf_log_level btf_log_true_size btf_flags; s32 btf_token_fd"
    ),
    Cmd.LINK_CREATE: layout(
        "u32 prog_fd target_fd attach_type flags; u64 cookie; @16 u32 target_btf_id; @16 u32 multi_flags multi_count; "
        "u64 path_or_syms offsets_or_addrs ref_ctr_offsets_or_cookies uprobe_cookies; u32 uprobe_flags uprobe_pid",
        end="uprobe_pid",
    ),
    Cmd.LINK_UPDATE: layout("u32 link_fd new_prog_fd flags old_prog_fd"),
    Cmd.LINK_DETACH: layout("u32 link_fd"),
    Cmd.ENABLE_STATS: layout("u32 type"),
    Cmd.ITER_CREATE: layout("u32 link_fd flags"),
    Cmd.PROG_BIND_MAP: layout("u32 prog_fd map_fd flags"),
    Cmd.TASK_FD_QUERY: layout("u32 pid fd flags buf_len; u64 buf; u32 prog_id fd_type; u64 probe_offset probe_addr"),
    Cmd.TOKEN_CREATE: layout("u32 flags bpffs_fd"),
    Cmd.PROG_STREAM_READ_BY_FD: layout("u64 stream_buf; u32 stream_buf_len stream_id prog_fd"),
}
"""union bpf_attr for each command of Linux 6.18."""

MAP_INFO: Final = layout(
    "u32 type id key_size value_size max_entries map_flags; c16 name; u32 ifindex btf_vmlinux_value_type_id; "
    "u64 netns_dev netns_ino; u32 btf_id btf_key_type_id btf_value_type_id btf_vmlinux_id; u64 map_extra hash; "
    "u32 hash_size"
)
PROG_INFO: Final = layout(
    "u32 type id; c8 tag; u32 jited_prog_len xlated_prog_len; u64 jited_prog_insns xlated_prog_insns load_time; "
    "u32 created_by_uid nr_map_ids; u64 map_ids; c16 name; u32 ifindex gpl_compatible; u64 netns_dev netns_ino; "
    "u32 nr_jited_ksyms nr_jited_func_lens; u64 jited_ksyms jited_func_lens; u32 btf_id func_info_rec_size; "
    "u64 func_info; u32 nr_func_info nr_line_info; u64 line_info jited_line_info; u32 nr_jited_line_info "
    "line_info_rec_size jited_line_info_rec_size nr_prog_tags; u64 prog_tags run_time_ns run_cnt recursion_misses; "
    "u32 verified_insns attach_btf_obj_id attach_btf_id"
)
BTF_INFO: Final = layout("u64 btf; u32 btf_size id; u64 name; u32 name_len kernel_btf")
LINK_INFO: Final = layout("u32 type id prog_id; @16 u64 name; u32 name_len; @60 u32 tail")
"""bpf_link_info; of its union only raw_tracepoint's members are named. 64 bytes in all."""

FUNC_INFO_SIZE: Final = 8
LINE_INFO_SIZE: Final = 16
MAX_INFO_REC_SIZE: Final = 252

BPF_OBJ_FLAG_MASK: Final = 0x18
"""BPF_F_RDONLY | BPF_F_WRONLY of OBJ_GET and *_GET_FD_BY_ID."""
BPF_F_TOKEN_FD: Final = 1 << 16
BPF_F_PATH_FD: Final = 1 << 14
LOG_LEVEL1, LOG_LEVEL2, LOG_STATS, LOG_FIXED = 1, 2, 4, 8
LOG_MASK: Final = LOG_LEVEL1 | LOG_LEVEL2 | LOG_STATS | LOG_FIXED
