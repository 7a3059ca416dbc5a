"""From a verified program to the image that runs: context accesses go to where the values really are.

One instruction stays one instruction. A field with a native place (spec/contexts.py) is loaded from
there, whole; every other field is real memory at Linux's offset.
"""

from pyebpf.isa import table
from pyebpf.isa.insn import Insn, decode, encode
from pyebpf.spec.contexts import LAYOUTS, ContextLayout, CtxField
from pyebpf.spec.verified import FACT_SIZE, PtrKind, VerifiedProgram

LDX_DW = table.LDX | table.MEM | table.DW


def _native_field(layout: ContextLayout, off: int) -> CtxField | None:
    """The field at an offset, if it has a native place."""
    for f in layout.fields:
        if f.offset <= off < f.offset + f.size:
            return f if f.native else None
    return None


def _rewrite(insn: Insn, layout: ContextLayout) -> Insn:
    """A load from the context."""
    op = insn.op
    if op is None or op.kind != "ldx":
        return insn
    field = _native_field(layout, insn.off)
    if field is None:
        return insn
    return Insn(LDX_DW, insn.dst, insn.src, layout.native_offset(field.native), 0)


def lower(program: VerifiedProgram) -> bytes:
    """The executable image: 8 bytes an instruction, as csrc/prog.h describes it."""
    layout = LAYOUTS.get(program.prog_type)
    if layout is None:
        return program.insns
    out = []
    for i, insn in enumerate(decode(program.insns)):
        is_ctx = program.facts[FACT_SIZE * i + 1] == PtrKind.CTX
        out.append(_rewrite(insn, layout) if is_ctx else insn)
    return encode(out)
