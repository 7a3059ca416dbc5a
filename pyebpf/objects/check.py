"""check(): what the verifier says of every program of an object, without keeping any of it."""

import time
from dataclasses import dataclass

from pyebpf.errors import Error, VerifierError
from pyebpf.loader import CollectionSpec, Source
from pyebpf.objects.collection import Loading, Options
from pyebpf.objects.program import Program
from pyebpf.spec.collection import CollectionContents, ProgramSpec
from pyebpf.spec.kinds import ProgType


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
        return self.error.insn_idx if isinstance(self.error, VerifierError) else -1

    @property
    def unsupported(self) -> bool:
        """Not a verdict: pyebpf lacks what it needs."""
        return isinstance(self.error, VerifierError) and self.error.unsupported


def check(
    source: "Source | CollectionContents", *, backend: str = "user", caps: str = "all", log_level: int = 0
) -> list[Verdict]:
    """Verify every program of an object file, SEC("?...") included, each on its own.

    ObjectError, Error: the object cannot be read, or its maps cannot be created.
    """
    spec = source if isinstance(source, CollectionContents) else CollectionSpec.load(source)
    loading = Loading(spec, Options(backend=backend, caps=caps, log_level=log_level, explain=False), {})
    try:
        loading.create_maps({})
        return [_check_one(loading, program) for program in spec.programs.values()]
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
    elapsed = time.perf_counter_ns() - start
    if program is not None:
        log, processed = program.verifier_log, program.info.verified_insns
        program.close()
    return Verdict(spec.name, spec.type, error, log, processed, elapsed)
