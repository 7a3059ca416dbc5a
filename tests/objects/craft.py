"""Builds ELF and BTF by hand, right or wrong."""

import struct
from dataclasses import dataclass, field

HEADER, ENTRY = 64, 64


@dataclass
class Sec:
    """A section to write; size only for those without data."""

    name: str
    data: bytes = b""
    type: int = 1
    flags: int = 0
    link: int = 0
    info: int = 0
    entsize: int = 0
    size: int | None = None


@dataclass
class Sym:
    """A symbol to write."""

    name: str
    section: int
    value: int = 0
    size: int = 0
    type: int = 2
    bind: int = 1
    other: int = 0


@dataclass
class Elf:
    """An object with sections of one's own from number 1; strings and symbols follow."""

    sections: list[Sec] = field(default_factory=list)
    symbols: list[Sym] = field(default_factory=list)

    def add(self, section: Sec) -> int:
        """Add a section; its number."""
        self.sections.append(section)
        return len(self.sections)

    def code(self, name: str, insns: bytes, *functions: tuple[str, int, int]) -> int:
        """A code section with functions (name, offset, size)."""
        index = self.add(Sec(name, insns, flags=6))
        self.symbols += [Sym(n, index, at, size) for n, at, size in functions]
        return index

    def rel(self, target: int, *relocs: tuple[int, int]) -> int:
        """Relocations (offset, symbol number counted from 1) of a section."""
        data = b"".join(struct.pack("<QQ", at, symbol << 32 | 1) for at, symbol in relocs)
        # link: the symbol table, which comes after all of these
        return self.add(Sec(".rel", data, type=9, link=-1, info=target, entsize=16))

    def build(self) -> bytes:
        """The bytes."""
        strings = bytearray(b"\0")
        known: dict[str, int] = {"": 0}

        def name(text: str) -> int:
            if text not in known:
                known[text] = len(strings)
                strings.extend(text.encode() + b"\0")
            return known[text]

        symbols = bytearray(24)
        for s in self.symbols:
            symbols += struct.pack("<IBBHQQ", name(s.name), s.bind << 4 | s.type, s.other, s.section, s.value, s.size)
        string_index, symbol_index = len(self.sections) + 1, len(self.sections) + 2
        every = [Sec("", type=0), *self.sections, Sec(".strtab", type=3), Sec(".symtab", bytes(symbols), 2, entsize=24)]
        every[symbol_index].link = string_index
        names = [name(s.name) for s in every]
        every[string_index].data = bytes(strings)
        body, headers = bytearray(), b""
        for s, at in zip(every, names, strict=True):
            offset = HEADER + len(body)
            link = symbol_index if s.link == -1 else s.link
            size = len(s.data) if s.size is None else s.size
            headers += struct.pack("<IIQQQQIIQQ", at, s.type, s.flags, 0, offset, size, link, s.info, 8, s.entsize)
            body += s.data + bytes(-len(s.data) % 8)
        ident = b"\x7fELF\2\1\1" + bytes(9)
        head = ident + struct.pack(
            "<HHIQQQIHHHHHH", 1, 247, 1, 0, 0, HEADER + len(body), 0, HEADER, 0, 0, ENTRY, len(every), string_index
        )
        return head + bytes(body) + headers


EXIT0 = bytes.fromhex("b700000000000000 9500000000000000")
LD_IMM64 = bytes.fromhex("1801000000000000 0000000000000000")


def simple() -> Elf:
    """One program that returns 0."""
    elf = Elf()
    elf.code("socket", EXIT0, ("main", 0, len(EXIT0)))
    return elf


def patched(raw: bytes, at: int, form: str, value: int) -> bytes:
    """A copy with a number changed."""
    out = bytearray(raw)
    struct.pack_into("<" + form, out, at, value)
    return bytes(out)


class Btf:
    """Types in the order they are added, the first with id 1."""

    def __init__(self) -> None:
        self.types, self.strings, self.count = b"", b"\0", 0

    def string(self, text: str) -> int:
        """The offset of a string."""
        at = len(self.strings)
        self.strings += text.encode() + b"\0"
        return at

    def add(self, kind: int, name: str = "", value: int = 0, vlen: int = 0, kflag: int = 0, tail: bytes = b"") -> int:
        """Add a type; its id."""
        name_off = self.string(name) if name else 0
        self.types += struct.pack("<III", name_off, kflag << 31 | kind << 24 | vlen, value) + tail
        self.count += 1
        return self.count

    def int32(self, name: str = "int") -> int:
        """A signed 32-bit int."""
        return self.add(1, name, 4, tail=struct.pack("<I", 1 << 24 | 32))

    def struct(self, name: str, size: int, *members: tuple[str, int, int], kind: int = 4) -> int:
        """A struct of (name, type, bit offset)."""
        tail = b"".join(struct.pack("<III", self.string(n) if n else 0, t, at) for n, t, at in members)
        return self.add(kind, name, size, len(members), tail=tail)

    def array(self, element: int, count: int) -> int:
        """An array."""
        return self.add(3, tail=struct.pack("<III", element, element, count))

    def build(self) -> bytes:
        """The section."""
        head = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(self.types), len(self.types), len(self.strings))
        return head + self.types + self.strings
