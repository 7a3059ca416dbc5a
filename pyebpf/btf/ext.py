"""Reads .BTF.ext: function, line and CO-RE records by section name.

    [ magic:u16 | version:u8 | flags:u8 | hdr_len:u32 | func_off func_len line_off line_len [core_off core_len]:u32 ]
    each part: [ record size:u32 ] then for each section [ name_off:u32 | count:u32 ] records

Offsets count from the end of the header; instruction offsets are bytes from the start of the section.
"""

import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyebpf.btf.reader import MAGIC, Btf
from pyebpf.errors import BtfError

SECTION = ".BTF.ext"
_HEADER = struct.Struct("<HBBIIIII")
_U32 = struct.Struct("<I")
_PAIR = struct.Struct("<II")

FUNC_INFO = np.dtype([("insn_off", "<u4"), ("type_id", "<u4")])
LINE_INFO = np.dtype([("insn_off", "<u4"), ("file_off", "<u4"), ("line_off", "<u4"), ("line_col", "<u4")])
CORE_RELO = np.dtype([("insn_off", "<u4"), ("type_id", "<u4"), ("access_off", "<u4"), ("kind", "<u4")])
"""struct bpf_func_info, bpf_line_info (line_col: [ line:22 | column:10 ]) and bpf_core_relo."""

MAX_SECTIONS = 4096
MAX_CORE_RELOS = 1 << 16

Records = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class BtfExt:
    """Records by the name of the section they are about, in the order of their instructions."""

    func_info: Records = field(default_factory=dict)
    line_info: Records = field(default_factory=dict)
    core_relos: Records = field(default_factory=dict)


def read(raw: bytes | memoryview, btf: Btf) -> BtfExt:
    """The records of a .BTF.ext section whose strings are in `btf`; BtfError says where it is malformed."""
    data = bytes(raw)
    if len(data) < _HEADER.size:
        raise BtfError(f"{len(data)} bytes, expected at least {_HEADER.size}", section=SECTION, offset=0)
    magic, version, flags, hdr_len, *places = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise BtfError(f"magic is {magic:#x}, expected {MAGIC:#x}", section=SECTION, offset=0)
    if version != 1 or flags:
        raise BtfError(f"version {version} with flags {flags:#x}, expected 1 and 0", section=SECTION, offset=2)
    if not _HEADER.size <= hdr_len <= len(data):
        raise BtfError(f"header has {hdr_len} bytes, expected {_HEADER.size} to {len(data)}", section=SECTION, offset=4)
    core = _PAIR.unpack_from(data, _HEADER.size) if hdr_len >= _HEADER.size + _PAIR.size else (0, 0)
    relos = _part(data, hdr_len, core[0], core[1], CORE_RELO, btf)
    if sum(map(len, relos.values())) > MAX_CORE_RELOS:
        raise BtfError(f"more than {MAX_CORE_RELOS} CO-RE relocations", section=SECTION, offset=hdr_len + core[0])
    return BtfExt(
        _part(data, hdr_len, places[0], places[1], FUNC_INFO, btf),
        _part(data, hdr_len, places[2], places[3], LINE_INFO, btf),
        relos,
    )


def _part(data: bytes, hdr_len: int, offset: int, length: int, form: "np.dtype[Any]", btf: Btf) -> Records:
    if not length:
        return {}
    at, end = hdr_len + offset, hdr_len + offset + length
    if offset % 4 or length < 4 or end > len(data):
        raise BtfError(f"part at {at:#x} has {length:#x} bytes, the section {len(data):#x}", section=SECTION, offset=8)
    (size,) = _U32.unpack_from(data, at)
    if size < form.itemsize or size % 4 or size > 4096:
        raise BtfError(f"records of {size} bytes, expected {form.itemsize} or more", section=SECTION, offset=at)
    at += 4
    out: dict[str, list[NDArray[Any]]] = {}
    heads = 0
    while at < end:
        if end - at < _PAIR.size:
            raise BtfError(f"{end - at} bytes are left for a section's head, expected 8", section=SECTION, offset=at)
        name_off, count = _PAIR.unpack_from(data, at)
        start = at + _PAIR.size
        heads += 1
        if heads > MAX_SECTIONS:
            raise BtfError(f"records of more than {MAX_SECTIONS} sections", section=SECTION, offset=at)
        if not count or count * size > end - start:
            raise BtfError(f"{count} records of {size} bytes in {end - start}", section=SECTION, offset=at + 4)
        words = np.frombuffer(data, "<u4", count * size // 4, start).reshape(count, size // 4)
        known = np.ascontiguousarray(words[:, : form.itemsize // 4])
        out.setdefault(btf.string(name_off, at), []).append(known.view(form).reshape(count))
        at = start + count * size
    return {name: _ordered(parts) for name, parts in out.items()}


def _ordered(parts: list[NDArray[Any]]) -> NDArray[Any]:
    records = np.concatenate(parts) if len(parts) > 1 else parts[0]
    places = records["insn_off"]
    if len(places) > 1 and (places[1:] < places[:-1]).any():
        records = records[np.argsort(places, kind="stable")]
    return records
