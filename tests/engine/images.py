"""One program text for Linux and for the native core, without the verifier in between.

Convention of these texts: R6 (and R1 until the first call) is the context and nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pyebpf import native
from pyebpf.isa.asm import assemble
from pyebpf.isa.insn import Insn, encode
from pyebpf.spec.contexts import LAYOUTS
from pyebpf.spec.kinds import MapType, ProgType
from tests import linux
from tests.linux import btf

LDX_DW = 0x79
LD_IMM64 = 0x18


def load_native(
    text: str,
    ptype: ProgType,
    maps: dict[str, native.NativeMap] | None = None,
    *,
    flags: int = 0,
    engine: int = 0,
    max_insns: int = 0,
) -> native.NativeProg:
    """The text for the in-process engine: context fields that stand elsewhere are turned into their native place."""
    maps = maps or {}
    insns = assemble(text, {name: i for i, name in enumerate(maps)})
    layout = LAYOUTS.get(ptype)
    special = {f.offset: layout.native_offset(f.native) for f in layout.fields if f.native} if layout else {}
    image = []
    for i, insn in enumerate(insns):
        out = insn
        if insn.opcode in (0x61, LDX_DW) and insn.src in ((6, 1) if not _called(insns[:i]) else (6,)):
            out = Insn(LDX_DW, insn.dst, insn.src, special[insn.off]) if insn.off in special else insn
        elif insn.opcode == LD_IMM64 and insn.src in (1, 2):
            out = Insn(LD_IMM64, insn.dst, insn.src + 4, 0, insn.imm)
        image.append(out)
    return native.NativeProg(
        encode(image), type=ptype, flags=flags, maps=list(maps.values()), engine=engine, max_insns=max_insns
    )


def _called(insns: Sequence[Insn]) -> bool:
    return any(insn.opcode == 0x85 for insn in insns)


@dataclass(frozen=True)
class Field:
    """A field of __sk_buff or xdp_md as a program text reads it."""

    name: str
    offset: int
    size: int

    @property
    def load(self) -> str:
        return f"r7 = *(u{8 * self.size} *)(r6 + {self.offset})"


def fields(ptype: ProgType) -> list[Field]:
    """Every readable unit of the context."""
    out = []
    for f in LAYOUTS[ptype].fields:
        unit = f.size if f.size in (1, 2, 4, 8) else 4
        out += [Field(f.name, f.offset + k, unit) for k in range(0, f.size, unit)]
    return out


def array(value_size: int = 8, max_entries: int = 1) -> native.NativeMap:
    return native.NativeMap(MapType.ARRAY, 4, value_size, max_entries)


def function_starts(insns: Sequence[Insn]) -> list[int]:
    """Where functions begin, in order."""
    names = {"CALL_LOCAL", "LD_FUNC"}
    return sorted({0} | {i + 1 + insn.imm for i, insn in enumerate(insns) if insn.op and insn.op.name in names})


def load_linux(text: str, ptype: ProgType, maps: dict[str, linux.LinuxMap] | None = None) -> linux.Prog:
    """The text for Linux, with the func_info that callbacks want."""
    insns = assemble(text, {name: m.fd for name, m in (maps or {}).items()})
    starts = function_starts(insns)
    if len(starts) == 1:
        return linux.prog_load(insns, ptype)
    with btf.load_functions() as types:
        return linux.prog_load(insns, ptype, btf=types, func_info=btf.func_info(starts))
