"""verify(): a program's instructions in, a VerifiedProgram or a VerifierError out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pyebpf.spec.debuginfo import FuncInfo, LineInfo
from pyebpf.spec.kinds import ProgType
from pyebpf.spec.verified import MapDesc, VerifiedProgram

__all__ = ["FuncInfo", "LineInfo", "MapSource", "VerifierInput", "verify"]


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


def verify(program: VerifierInput, maps: MapSource) -> VerifiedProgram:
    """Decide whether `program` is safe to run, as Linux 6.18 does; VerifierError if it is not."""
    raise NotImplementedError
