"""The minimiser keeps a failure while it drops what does not matter."""

from collections.abc import Sequence

from pyebpf.isa.asm import assemble
from pyebpf.isa.insn import Insn
from tests.engine import model
from tests.fuzz.minimize import minimize, without

PROGRAM = """
    r2 = 5
    r3 = 0x100000000 ll
    r4 = 6
    if r2 == 9 goto out
    r4 += 1
    r2 *= 3
    call f
    r2 += 1
out: r0 = r2
    exit
f:  r0 = 1
    exit
"""


def returns_15_or_more(insns: Sequence[Insn]) -> bool:
    try:
        return model.run(insns)[0] >= 15
    except (model.OutOfModel, IndexError, KeyError):
        return False


def test_only_what_the_failure_needs_stays() -> None:
    small = minimize(assemble(PROGRAM), returns_15_or_more)
    assert returns_15_or_more(small)
    assert len(small) <= 4


def test_jumps_and_calls_still_go_where_they_went() -> None:
    insns = assemble(PROGRAM)
    without_r4 = PROGRAM.replace("r4 = 6\n", "").replace("r4 += 1\n", "")
    assert without(insns, {3, 5}) == assemble(without_r4)
