"""One two-instruction program through the native core."""

from pyebpf import native
from pyebpf.isa.insn import Insn, encode
from pyebpf.isa.table import BY_NAME


def test_two_instructions_return_their_constant() -> None:
    code = encode([Insn(BY_NAME["MOV64_K"].opcode, imm=42), Insn(BY_NAME["EXIT"].opcode)])
    assert native.NativeProg(code, type=1).run_raw() == 42
