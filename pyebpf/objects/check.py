"""check(): what the verifier says of every program of an object, without keeping any of it."""

import errno
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from pyebpf.errors import Error, VerifierError
from pyebpf.loader import CollectionSpec, Source
from pyebpf.objects.collection import Loading, Options
from pyebpf.objects.program import Program
from pyebpf.spec.collection import CollectionContents, ProgramSpec
from pyebpf.spec.kinds import ProgType

PROCESSED = re.compile(r"^processed (\d+) insns", re.M)
LAST_INSN = re.compile(r"^(\d+): \([0-9a-f]{2}\)", re.M)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one program.

    error: None if it was accepted.  insn: the instruction refused, -1 for none or the program as a whole.
    unsupported: refused for something that pyebpf does not know yet.  processed: instructions explored.
    """

    name: str
    type: ProgType
    error: Error | None
    log: str
    processed: int
    time_ns: int

    @property
    def accepted(self) -> bool:
        """The verifier took it."""
        return self.error is None

    @property
    def insn(self) -> int:
        """The instruction that was refused."""
        if not isinstance(self.error, VerifierError):
            return -1
        if self.error.insn_idx >= 0 or self.unsupported:
            return self.error.insn_idx
        reached = LAST_INSN.findall(self.log)  # Linux says it in its log alone
        return int(reached[-1]) if reached else -1

    @property
    def unsupported(self) -> bool:
        """Not a verdict: pyebpf lacks what it needs."""
        return isinstance(self.error, VerifierError) and self.error.unsupported


def check(
    source: "Source | CollectionContents",
    *,
    programs: Sequence[str] | None = None,
    backend: str = "user",
    caps: str = "all",
    log_level: int = 0,
) -> list[Verdict]:
    """Verify every program of an object file, SEC("?...") included, each on its own; or those named in `programs`.

    ObjectError, Error: the object cannot be read, has no such program, or its maps cannot be created.
    """
    spec = source if isinstance(source, CollectionContents) else CollectionSpec.load(source)
    for name in programs or ():
        if name not in spec.programs:
            found = ", ".join(spec.programs) or "none"
            raise Error(errno.ENOENT, f"no program {name!r}, found {found}")
    loading = Loading(spec, Options(backend=backend, caps=caps, log_level=log_level, explain=False), {})
    try:
        loading.create_maps({})
        chosen = spec.programs if programs is None else programs
        return [_check_one(loading, spec.programs[name]) for name in chosen]
    finally:
        loading.undo()
        loading.close_btf()


def _check_one(loading: Loading, spec: ProgramSpec) -> Verdict:
    start = time.perf_counter_ns()
    error: Error | None = None
    log, processed = "", 0
    program: Program | None = None
    try:
        program = loading.load_program(spec)
    except Error as exc:
        error, log = exc, getattr(exc, "log", "")
        counted = PROCESSED.search(log)
        processed = int(counted[1]) if counted else 0
    elapsed = time.perf_counter_ns() - start
    if program is not None:
        log, processed = program.verifier_log, program.info.verified_insns
        program.close()
    return Verdict(spec.name, spec.type, error, log, processed, elapsed)
