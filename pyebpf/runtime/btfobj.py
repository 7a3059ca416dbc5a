"""BtfObj: type information as BTF_LOAD keeps it."""

import errno
import struct
from typing import ClassVar

from pyebpf.btf import Btf, Kind, layout, size_of
from pyebpf.btf.reader import HEADER_SIZE, MAGIC, SECTION
from pyebpf.errors import ENOTSUPP, BtfError, Error
from pyebpf.runtime.kobject import KObject


class BtfObj(KObject):
    """A BTF blob and its parsed types."""

    kind: ClassVar[str] = "btf"

    def __init__(self, types: Btf) -> None:
        super().__init__()
        self.types = types

    @property
    def data(self) -> bytes:
        """The blob as it was loaded."""
        return self.types.raw

    def size_of(self, type_id: int) -> int:
        """Bytes of a type, typedefs and qualifiers followed; EINVAL when it has no size."""
        return size_of(self.types, type_id)

    def is_section(self, type_id: int) -> bool:
        """A DATASEC."""
        return self.types.type(type_id).kind is Kind.DATASEC

    def is_u32(self, type_id: int) -> bool:
        """A plain 32-bit integer."""
        found = self.types.resolve(type_id)
        return found.kind is Kind.INT and found.size == 4 and found.bits == 32 and not found.bit_offset

    def func_name(self, type_id: int) -> str | None:
        """The name of a FUNC; None when the id is no function's."""
        try:
            found = self.types.type(type_id)
        except Error:
            return None
        return found.name if found.kind is Kind.FUNC else None

    def string(self, offset: int) -> str | None:
        """The string at an offset; None when there is none."""
        try:
            return self.types.string(offset)
        except Error:
            return None


def parse_btf(data: bytes) -> Btf:
    """The types of a blob as BTF_LOAD takes it, every one looked at; BtfError, ENOTSUPP, E2BIG."""
    _check_header(data)
    types = Btf(data)
    layout.check(types)
    return types


_HEADER = struct.Struct("<HBBI")


def _check_header(data: bytes) -> None:
    """What Linux asks of the header beyond what a reader needs: no unknown version, flags, members or sections."""
    if len(data) < _HEADER.size:
        raise BtfError("hdr_len not found", section=SECTION)
    magic, version, flags, header_size = _HEADER.unpack_from(data)
    if len(data) < header_size:
        raise BtfError("btf_header not found", section=SECTION)
    if any(data[HEADER_SIZE:header_size]):
        raise Error(errno.E2BIG, "Unsupported btf_header")
    if magic != MAGIC:
        raise BtfError("Invalid magic", section=SECTION)
    if version != 1:
        raise Error(ENOTSUPP, "Unsupported version")
    if flags:
        raise Error(ENOTSUPP, "Unsupported flags")
    type_off, type_len, str_off, str_len = struct.unpack_from("<4I", data.ljust(HEADER_SIZE, b"\0"), 8)
    if max(type_off + type_len, str_off + str_len) != len(data) - header_size:
        raise BtfError("Unsupported section found", section=SECTION)
