"""Reads BTF: bytes in, types by id and name out, each made when it is first asked for.

    [ magic:u16 0xEB9F | version:u8 | flags:u8 | hdr_len:u32 | type_off type_len str_off str_len:u32 ] types strings

Offsets count from the end of the header. Type ids start at 1 in the order of the types; 0 is void.
"""

import struct
from array import array
from collections.abc import Iterator

from pyebpf.btf.types import EXTRA_SIZE, MEMBER_SIZE, MODIFIERS, TYPE_SIZE, VOID, Kind, Type
from pyebpf.btf.unpack import UNPACK, RawType
from pyebpf.errors import BtfError

SECTION = ".BTF"
MAGIC = 0xEB9F
HEADER_SIZE = 24
MAX_SIZE = 16 << 20
MAX_TYPES = 1 << 18
MAX_NAME = 4096
MAX_DEPTH = 32
"""Modifiers, typedefs and arrays between a name and what it stands for, as libbpf and Linux bound them."""

_HEADER = struct.Struct("<HBBIIIII")
_TYPE = struct.Struct("<III")
_U32 = struct.Struct("<I")
_MAX_KIND = max(Kind)
_MEMBER = tuple(MEMBER_SIZE.get(Kind(k), 0) for k in range(_MAX_KIND + 1))
_FIXED = tuple(TYPE_SIZE + EXTRA_SIZE.get(Kind(k), 0) for k in range(_MAX_KIND + 1))


class Btf:
    """The types of one .BTF section. Immutable; equal when the bytes are.

    raw: the section as it was read.  BtfError from any method when what it needs is malformed.
    """

    __slots__ = ("_by_name", "_cache", "_offsets", "_string_end", "_string_start", "_type_start", "raw")

    def __init__(self, raw: bytes | bytearray | memoryview) -> None:
        self.raw = bytes(raw)
        type_len = self._read_header()
        self._offsets = self._scan(type_len)
        self._cache: dict[int, Type] = {0: VOID}
        self._by_name: dict[str, list[int]] | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Btf) and self.raw == other.raw

    def __hash__(self) -> int:
        return hash(self.raw)

    def __repr__(self) -> str:
        return f"Btf({len(self) - 1} types, {len(self.raw)} bytes)"

    def __reduce__(self) -> tuple[type["Btf"], tuple[bytes]]:
        return Btf, (self.raw,)

    def __len__(self) -> int:
        """Number of types, void included: ids are below it."""
        return len(self._offsets)

    def __iter__(self) -> Iterator[Type]:
        """All types but void, by id."""
        return map(self.type, range(1, len(self)))

    def _read_header(self) -> int:
        raw = self.raw
        if not HEADER_SIZE <= len(raw) <= MAX_SIZE:
            raise BtfError(f"{len(raw)} bytes, expected {HEADER_SIZE} to {MAX_SIZE}", section=SECTION, offset=0)
        magic, version, flags, hdr_len, type_off, type_len, str_off, str_len = _HEADER.unpack_from(raw)
        if magic != MAGIC:
            seen = "big-endian BTF" if magic == 0x9FEB else f"{magic:#x}"
            raise BtfError(f"magic is {seen}, expected {MAGIC:#x}", section=SECTION, offset=0)
        if version != 1 or flags:
            raise BtfError(f"version {version} with flags {flags:#x}, expected 1 and 0", section=SECTION, offset=2)
        if not HEADER_SIZE <= hdr_len <= len(raw):
            raise BtfError(
                f"header has {hdr_len} bytes, expected {HEADER_SIZE} to {len(raw)}", section=SECTION, offset=4
            )
        if type_off % 4 or hdr_len + type_off + type_len > len(raw):
            raise BtfError(
                f"types at {hdr_len + type_off:#x} have {type_len:#x} bytes, the section {len(raw):#x}",
                section=SECTION,
                offset=8,
            )
        if not str_len or hdr_len + str_off + str_len > len(raw):
            raise BtfError(
                f"strings at {hdr_len + str_off:#x} have {str_len:#x} bytes, the section {len(raw):#x}",
                section=SECTION,
                offset=16,
            )
        self._type_start = hdr_len + type_off
        self._string_start, self._string_end = hdr_len + str_off, hdr_len + str_off + str_len
        if raw[self._string_start] or raw[self._string_end - 1]:
            raise BtfError("strings do not begin and end with NUL", section=SECTION, offset=self._string_start)
        return int(type_len)

    def _scan(self, type_len: int) -> "array[int]":
        """Where each type starts, found by the sizes of those before it."""
        offsets = array("I", [0])
        raw, at, end = self.raw, self._type_start, self._type_start + type_len
        unpack, append = _TYPE.unpack_from, offsets.append
        while at + TYPE_SIZE <= end:
            append(at)
            info = unpack(raw, at)[1]
            kind = info >> 24 & 0x1F
            if not 0 < kind <= _MAX_KIND:
                raise BtfError(
                    f"type {len(offsets) - 1} has kind {kind}, expected 1 to {_MAX_KIND}", section=SECTION, offset=at
                )
            at += _FIXED[kind] + _MEMBER[kind] * (info & 0xFFFF)
            if len(offsets) > MAX_TYPES:
                raise BtfError(f"more than {MAX_TYPES} types", section=SECTION, offset=at)
        if at != end:
            raise BtfError(
                f"type {len(offsets) - 1} ends at {at:#x}, the types at {end:#x}", section=SECTION, offset=offsets[-1]
            )
        return offsets

    def string(self, offset: int, at: int = -1) -> str:
        """The string at `offset` of the string section; `at` is where the offset stands, for the error."""
        start = self._string_start + offset
        if offset < 0 or start >= self._string_end:
            raise BtfError(
                f"string at {offset:#x}, the strings have {self._string_end - self._string_start:#x} bytes",
                section=SECTION,
                offset=at,
            )
        end = self.raw.index(0, start)
        if end - start > MAX_NAME:
            raise BtfError(f"string at {offset:#x} is longer than {MAX_NAME} bytes", section=SECTION, offset=at)
        return self.raw[start:end].decode("utf-8", "backslashreplace")

    def offset_of(self, type_id: int) -> int:
        """Bytes from the start of `raw` to a type (void has none)."""
        if not 0 < type_id < len(self._offsets):
            raise BtfError(f"type id {type_id}, expected 1 to {len(self._offsets) - 1}", section=SECTION)
        return self._offsets[type_id]

    def type(self, type_id: int) -> Type:
        """The type of an id."""
        found = self._cache.get(type_id)
        if found is None:
            found = self._cache[type_id] = self._make(type_id)
        return found

    def _make(self, type_id: int) -> Type:
        at = self.offset_of(type_id)
        name_off, info, value = _TYPE.unpack_from(self.raw, at)
        kind = Kind(info >> 24 & 0x1F)
        name = self.string(name_off, at) if name_off else ""
        raw = RawType(type_id, kind, name, info & 0xFFFF, bool(info >> 31), value, at)
        made = UNPACK[kind](self, raw)
        self._check_ids(made, at)
        return made

    def _check_ids(self, made: Type, at: int) -> None:
        """Every id a type names exists."""
        limit = len(self._offsets)
        ids = [made.type, made.index]
        if made.members:
            ids += [m.type for m in made.members]
        elif made.params:
            ids += [p.type for p in made.params]
        elif made.vars:
            ids += [v.type for v in made.vars]
        worst = max(ids)
        if worst >= limit:
            raise BtfError(f"type {made.id} refers to type {worst}, expected below {limit}", section=SECTION, offset=at)

    def resolve(self, type_id: int) -> Type:
        """The type behind typedefs, qualifiers and tags."""
        found = self.type(type_id)
        for _ in range(MAX_DEPTH):
            if found.kind not in MODIFIERS:
                return found
            found = self.type(found.type)
        raise BtfError(f"type {type_id} stands for itself, or more than {MAX_DEPTH} types deep", section=SECTION)

    def find(self, name: str, *kinds: Kind) -> Type | None:
        """The first type of that name, of one of `kinds` if any are given."""
        for type_id in self._names().get(name, ()):
            found = self.type(type_id)
            if not kinds or found.kind in kinds:
                return found
        return None

    def of_kind(self, kind: Kind) -> Iterator[Type]:
        """The types of one kind, by id."""
        for type_id in range(1, len(self)):
            if self.raw[self._offsets[type_id] + 7] & 0x1F == kind:
                yield self.type(type_id)

    def _names(self) -> dict[str, list[int]]:
        if self._by_name is None:
            self._by_name = {}
            for type_id in range(1, len(self)):
                at = self._offsets[type_id]
                (name_off,) = _U32.unpack_from(self.raw, at)
                if name_off:
                    self._by_name.setdefault(self.string(name_off, at), []).append(type_id)
        return self._by_name
