"""A program's instructions beside its source lines."""

from collections.abc import Iterator
from dataclasses import dataclass

from pyebpf.isa.disasm import disassemble
from pyebpf.spec.collection import ProgramSpec
from pyebpf.spec.debuginfo import LineInfo


@dataclass(frozen=True, slots=True)
class ListedInsn:
    """An instruction: its number, text, the function that begins here and the source line that begins here."""

    insn_idx: int
    text: str
    function: str = ""
    line: LineInfo | None = None


def line_infos(program: ProgramSpec) -> list[LineInfo]:
    """Its line_info with strings resolved; [] without BTF."""
    if program.line_info is None or program.btf is None:
        return []
    text = program.btf.string
    return [
        LineInfo(int(at), text(int(file)), text(int(line)), int(place) >> 10, int(place) & 1023)
        for at, file, line, place in program.line_info.tolist()
    ]


def listing(code: bytes, functions: dict[int, str], lines: dict[int, LineInfo]) -> Iterator[ListedInsn]:
    """The instructions of `code`; a source line is given where it differs from the one before."""
    last: tuple[str, int] | None = None
    for insn_idx, text in disassemble(code):
        line = lines.get(insn_idx)
        if line is not None and (line.file, line.line) == last:
            line = None
        if line is not None:
            last = line.file, line.line
        yield ListedInsn(insn_idx, text, functions.get(insn_idx, ""), line)


def render(insns: Iterator[ListedInsn]) -> str:
    """Text as llvm-objdump -S lays it out: `; source` above the instructions it became."""
    out = []
    for insn in insns:
        if insn.function:
            out.append(f"{insn.function}:")
        if insn.line is not None:
            out.append(f"; {insn.line.text.strip()}  @ {insn.line.file}:{insn.line.line}")
        out.append(f"{insn.insn_idx:6}: {insn.text}")
    return "\n".join(out)
