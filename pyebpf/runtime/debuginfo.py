"""func_info and line_info of PROG_LOAD: records read from user memory, checked as Linux does, strings resolved."""

import errno
import struct
from dataclasses import dataclass

from pyebpf import native
from pyebpf.errors import Error, VerifierError
from pyebpf.isa import table
from pyebpf.runtime.btfobj import BtfObj
from pyebpf.spec.attr import FUNC_INFO_SIZE, LINE_INFO_SIZE, MAX_INFO_REC_SIZE
from pyebpf.verifier import FuncInfo, LineInfo

_FUNC = struct.Struct("<II")
_LINE = struct.Struct("<IIII")
_CALL_LOCAL = table.BY_NAME["CALL_LOCAL"].opcode


@dataclass(frozen=True, slots=True)
class DebugInfo:
    """Records resolved for the verifier, and as bpf_prog_info shows them."""

    funcs: tuple[FuncInfo, ...] = ()
    lines: tuple[LineInfo, ...] = ()
    func_bytes: bytes = b""
    line_bytes: bytes = b""


_STATISTICS = "processed 0 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0\n"


def _reject(code: int, message: str, *, end: str = "\n", silent: bool = False) -> VerifierError:
    """A refusal. end: Linux forgets the newline behind some; silent: its log does not give the reason."""
    return VerifierError(code, message, log=("" if silent else message + end) + _STATISTICS)


def read_records(address: int, count: int, rec_size: int, known: int, what: str) -> bytes:
    """`count` records cut to the `known` bytes; EINVAL rec_size, E2BIG for non-zero bytes behind them, EFAULT."""
    if rec_size < known or rec_size > MAX_INFO_REC_SIZE or rec_size % 4:
        raise _reject(errno.EINVAL, f"invalid {what} rec size {rec_size}", silent=what != "func info")
    data = native.copy_from_user(address, count * rec_size)
    if rec_size == known:
        return data
    records = [data[i : i + rec_size] for i in range(0, len(data), rec_size)]
    if any(any(record[known:]) for record in records):
        raise _reject(errno.E2BIG, f"nonzero tailing record in {what}", end="")
    return b"".join(record[:known] for record in records)


def resolve_funcs(data: bytes, btf: BtfObj) -> tuple[FuncInfo, ...]:
    """func_info records with names; EINVAL."""
    funcs: list[FuncInfo] = []
    for i, (offset, type_id) in enumerate(_FUNC.iter_unpack(data)):
        if i == 0 and offset:
            raise _reject(errno.EINVAL, f"nonzero insn_off {offset} for the first func info record", end="")
        if i and offset <= funcs[-1].insn_idx:
            seen = f"({offset}) than previous func info record ({funcs[-1].insn_idx})"
            raise _reject(errno.EINVAL, f"same or smaller insn offset {seen}", end="")
        name = btf.func_name(type_id)
        if name is None:
            raise _reject(errno.EINVAL, f"invalid type id {type_id} in func info", end="")
        funcs.append(FuncInfo(offset, type_id, name))
    return tuple(funcs)


def resolve_lines(data: bytes, btf: BtfObj, insns: bytes) -> tuple[LineInfo, ...]:
    """line_info records with their strings; EINVAL."""
    lines: list[LineInfo] = []
    count = len(insns) // 8
    for i, (offset, file_off, line_off, line_col) in enumerate(_LINE.iter_unpack(data)):
        before = lines[-1].insn_idx if lines else 0
        if (i and offset <= before) or offset >= count:
            raise _reject(
                errno.EINVAL, f"Invalid line_info[{i}].insn_off:{offset} (prev_offset:{before} prog->len:{count})"
            )
        if not insns[8 * offset]:
            raise _reject(errno.EINVAL, f"Invalid insn code at line_info[{i}].insn_off")
        text, file = btf.string(line_off), btf.string(file_off)
        if text is None or file is None:
            raise _reject(errno.EINVAL, f"Invalid line_info[{i}].line_off or .file_name_off")
        lines.append(LineInfo(offset, file, text, line_col >> 10, line_col & 1023))
    if lines:
        _check_coverage([line.insn_idx for line in lines], function_starts(insns))
    return tuple(lines)


def _check_coverage(lines: list[int], starts: list[int]) -> None:
    """Every function has a line at its first instruction, and none before it."""
    at = 0
    for offset in lines:
        if at < len(starts) and offset == starts[at]:
            at += 1
        elif at < len(starts) and offset > starts[at]:
            raise _reject(errno.EINVAL, f"missing bpf_line_info for func#{at}")
    if at != len(starts):
        raise _reject(errno.EINVAL, f"missing bpf_line_info for {len(starts) - at} funcs starting from func#{at}")


def function_starts(insns: bytes) -> list[int]:
    """First instructions of all functions: what local calls and PSEUDO_FUNC constants lead to, and 0."""
    starts = {0}
    at, count = 0, len(insns) // 8
    while at < count:
        opcode, regs, imm = (
            insns[8 * at],
            insns[8 * at + 1],
            int.from_bytes(insns[8 * at + 4 : 8 * at + 8], "little", signed=True),
        )
        wide = opcode == table.LD | table.IMM | table.DW
        call = opcode == _CALL_LOCAL and regs >> 4 == table.PSEUDO_CALL
        if call or (wide and regs >> 4 == table.PSEUDO_FUNC):
            starts.add(at + imm + 1)
        at += 2 if wide else 1
    return sorted(start for start in starts if 0 <= start < count)


def from_bytes(func_bytes: bytes, line_bytes: bytes, btf: BtfObj, insns: bytes) -> DebugInfo:
    """Records of the known sizes, resolved; raises VerifierError as Linux's checks do."""
    if len(func_bytes) % FUNC_INFO_SIZE or len(line_bytes) % LINE_INFO_SIZE:
        raise Error(errno.EINVAL, "func_info and line_info have whole records of 8 and 16 bytes")
    return DebugInfo(resolve_funcs(func_bytes, btf), resolve_lines(line_bytes, btf, insns), func_bytes, line_bytes)
