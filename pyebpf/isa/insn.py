"""One instruction as a value, and its 8-byte encoding."""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from pyebpf.isa import table

INSN_SIZE = 8
_PACK = struct.Struct("<BBhi")


@dataclass(frozen=True, slots=True)
class Insn:
    """An 8-byte slot. A 64-bit constant is two of them; the second has opcode 0 and the high half.

    opcode: u8, dst and src: 0..15, off: s16, imm: s32.
    """

    opcode: int
    dst: int = 0
    src: int = 0
    off: int = 0
    imm: int = 0

    def __bytes__(self) -> bytes:
        return _PACK.pack(self.opcode, self.src << 4 | self.dst, self.off, self.imm)

    @property
    def op(self) -> table.Op | None:
        """The table row, None for an encoding no row has."""
        return table.find(self.opcode, self.src, self.off, self.imm)


Nested: TypeAlias = "Iterable[Insn | Nested]"
"""Instructions in sequences of any depth: a 64-bit constant is a pair, a function may be a list."""


def flatten(insns: Nested) -> Iterator[Insn]:
    """The slots of nested sequences in order."""
    for insn in insns:
        if isinstance(insn, Insn):
            yield insn
        else:
            yield from flatten(insn)


def encode(insns: Nested) -> bytes:
    """Instructions as they stand in memory, little-endian, 8 bytes each; nested sequences are flattened."""
    return b"".join(bytes(insn) for insn in flatten(insns))


def decode(code: bytes | bytearray | memoryview) -> Iterator[Insn]:
    """The instructions of `code`; ValueError when its length is not a multiple of 8."""
    if len(code) % INSN_SIZE:
        raise ValueError(f"program is {len(code)} bytes, expected a multiple of {INSN_SIZE}")
    for opcode, regs, off, imm in _PACK.iter_unpack(code):
        yield Insn(opcode, regs & 15, regs >> 4, off, imm)
