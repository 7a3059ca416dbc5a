"""verify(): a program's instructions in, a VerifiedProgram or a VerifierError out."""

import errno
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pyebpf.errors import VerifierError
from pyebpf.spec.contexts import RULES
from pyebpf.spec.debuginfo import FuncInfo, LineInfo
from pyebpf.spec.kinds import ProgType
from pyebpf.spec.verified import MapDesc, ProgFlag, Subprog, VerifiedProgram, VerifierStats
from pyebpf.verify.run import Report, run

__all__ = ["FuncInfo", "LineInfo", "MapSource", "VerifierInput", "verify"]

MAX_INSNS = 1_000_000
GPL_COMPATIBLE = frozenset(
    ("GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL")
)


class MapSource(Protocol):
    """How the verifier asks for the maps a program names; None: no such map."""

    def by_fd(self, fd: int) -> MapDesc | None:
        """The map of PSEUDO_MAP_FD / PSEUDO_MAP_VALUE's imm."""

    def by_index(self, index: int) -> MapDesc | None:
        """The map of PSEUDO_MAP_IDX / PSEUDO_MAP_IDX_VALUE's imm, an index into fd_array."""


@dataclass(frozen=True, slots=True)
class VerifierInput:
    """Everything a verdict depends on.  caps: "all", "bpf" (CAP_BPF without CAP_PERFMON) or "none"."""

    insns: bytes
    prog_type: ProgType
    license: str = "GPL"
    expected_attach_type: int = 0
    prog_flags: int = 0
    log_level: int = 0
    caps: str = "all"
    name: str = ""
    func_info: Sequence[FuncInfo] = ()
    line_info: Sequence[LineInfo] = ()
    attach_btf_id: int = 0


def _check_input(program: VerifierInput) -> None:
    """What Linux refuses before its verifier begins."""
    n = len(program.insns) // 8
    if n == 0 or len(program.insns) % 8:
        raise VerifierError(errno.E2BIG, f"program is {len(program.insns)} bytes, expected instructions of 8 bytes")
    if n > MAX_INSNS:
        raise VerifierError(errno.E2BIG, f"program has {n} instructions, at most {MAX_INSNS} are allowed")
    if program.caps not in ("all", "bpf", "none"):
        raise VerifierError(errno.EINVAL, f"caps is {program.caps!r}, expected all, bpf or none")
    if program.caps == "none" and program.prog_type != ProgType.SOCKET_FILTER:
        raise VerifierError(errno.EPERM, "only socket_filter programs can be loaded without privileges")
    if program.prog_type not in RULES or program.attach_btf_id:
        name = getattr(program.prog_type, "name", str(program.prog_type)).lower()
        raise VerifierError(errno.EOPNOTSUPP, f"unsupported: programs of type {name}", unsupported=True)


def _source(program: VerifierInput, insn_idx: int) -> str:
    """The source line of an instruction: that of the last record at or before it."""
    best = None
    for line in program.line_info:
        if line.insn_idx <= insn_idx and (best is None or line.insn_idx >= best.insn_idx):
            best = line
    return f"{best.file}:{best.line}: {best.text.strip()}" if best else ""


def _accepted(program: VerifierInput, report: Report, time_ns: int) -> VerifiedProgram:
    subprogs = tuple(Subprog(*row) for row in report.subprogs)
    stats = VerifierStats(report.processed, report.max_states, report.total_states, report.peak_states, time_ns)
    return VerifiedProgram(
        program.prog_type,
        report.insns,
        report.facts,
        tuple(report.maps),
        subprogs,
        ProgFlag(report.flags),
        program.expected_attach_type,
        program.name,
        report.max_insns,
        report.log,
        stats,
    )


def verify(program: VerifierInput, maps: MapSource) -> VerifiedProgram:
    """Decide whether `program` is safe to run, as Linux 6.18 does; VerifierError if it is not."""
    _check_input(program)
    started = time.perf_counter_ns()
    report = run(program, maps, RULES[program.prog_type], program.license in GPL_COMPATIBLE)
    time_ns = time.perf_counter_ns() - started
    error = report.error
    if error is not None:
        raise VerifierError(
            error.errno or errno.EINVAL,
            error.strerror or "",
            log=report.log,
            insn_idx=error.insn_idx,
            source=_source(program, error.insn_idx),
            unsupported=error.unsupported,
        )
    return _accepted(program, report, time_ns)
