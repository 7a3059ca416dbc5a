"""What a program says of its functions and source lines: BTF records with their names resolved."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FuncInfo:
    """A bpf_func_info record: where a function starts, its BTF type and name."""

    insn_idx: int
    type_id: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class LineInfo:
    """A bpf_line_info record with its strings resolved."""

    insn_idx: int
    file: str
    text: str
    line: int
    column: int
