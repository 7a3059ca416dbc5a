"""Where the functions of a program start."""

from collections.abc import Sequence

from pyebpf.isa.insn import Insn
from pyebpf.isa.table import PSEUDO_FUNC


def subprogs(insns: Sequence[Insn]) -> list[tuple[int, int, bool]]:
    """(first instruction, stack bytes, is a callback) of each function, the stack unknown and so whole."""
    callbacks, starts = set(), {0}
    for index, insn in enumerate(insns):
        op = insn.op
        if op is not None and op.kind == "call_local":
            starts.add(index + 1 + insn.imm)
        if op is not None and op.kind == "ld_imm64" and insn.src == PSEUDO_FUNC:
            callbacks.add(index + 1 + insn.imm)
    return [(start, 512, start in callbacks) for start in sorted(starts | callbacks)]
