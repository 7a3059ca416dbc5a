"""func_info and line_info of PROG_LOAD: records read from user memory, checked as Linux does, strings resolved."""

import errno
import struct
from dataclasses import dataclass

from pyebpf import native
from pyebpf.errors import Error, VerifierError
from pyebpf.runtime.btfobj import BtfObj
from pyebpf.spec.attr import FUNC_INFO_SIZE, LINE_INFO_SIZE, MAX_INFO_REC_SIZE
from pyebpf.verifier import FuncInfo, LineInfo

_FUNC = struct.Struct("<II")
_LINE = struct.Struct("<IIII")


@dataclass(frozen=True, slots=True)
class DebugInfo:
    """Records resolved for the verifier, and as bpf_prog_info shows them."""

    funcs: tuple[FuncInfo, ...] = ()
    lines: tuple[LineInfo, ...] = ()
    func_bytes: bytes = b""
    line_bytes: bytes = b""


def _reject(code: int, message: str) -> VerifierError:
    return VerifierError(code, message, log=message + "\n")


def read_records(address: int, count: int, rec_size: int, known: int, what: str) -> bytes:
    """`count` records cut to the `known` bytes; EINVAL rec_size, E2BIG for non-zero bytes behind them, EFAULT."""
    if rec_size < known or rec_size > MAX_INFO_REC_SIZE or rec_size % 4:
        label = "func info" if what == "func info" else "line info"
        raise _reject(errno.EINVAL, f"invalid {label} rec size {rec_size}")
    data = native.copy_from_user(address, count * rec_size)
    if rec_size == known:
        return data
    records = [data[i : i + rec_size] for i in range(0, len(data), rec_size)]
    if any(any(record[known:]) for record in records):
        name = "func info" if what == "func info" else "line_info"
        raise _reject(errno.E2BIG, f"nonzero tailing record in {name}")
    return b"".join(record[:known] for record in records)


def resolve_funcs(data: bytes, btf: BtfObj) -> tuple[FuncInfo, ...]:
    """func_info records with names; EINVAL."""
    funcs: list[FuncInfo] = []
    for i, (offset, type_id) in enumerate(_FUNC.iter_unpack(data)):
        if i == 0 and offset:
            raise _reject(errno.EINVAL, f"nonzero insn_off {offset} for the first func info record")
        if i and offset <= funcs[-1].insn_idx:
            before = funcs[-1].insn_idx
            raise _reject(
                errno.EINVAL, f"same or smaller insn offset ({offset}) than previous func info record ({before})"
            )
        name = btf.func_name(type_id)
        if name is None:
            raise _reject(errno.EINVAL, f"invalid type id {type_id} in func info")
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
    return tuple(lines)


def from_bytes(func_bytes: bytes, line_bytes: bytes, btf: BtfObj, insns: bytes) -> DebugInfo:
    """Records of the known sizes, resolved; raises VerifierError as Linux's checks do."""
    if len(func_bytes) % FUNC_INFO_SIZE or len(line_bytes) % LINE_INFO_SIZE:
        raise Error(errno.EINVAL, "func_info and line_info have whole records of 8 and 16 bytes")
    return DebugInfo(resolve_funcs(func_bytes, btf), resolve_lines(line_bytes, btf, insns), func_bytes, line_bytes)
