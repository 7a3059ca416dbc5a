"""Level 2 logs of Linux and of ours, without what only Linux prints."""

from collections.abc import Sequence

from pyebpf.errors import VerifierError
from pyebpf.isa.insn import Insn, encode
from pyebpf.spec.kinds import BPF_F_SLEEPABLE, ProgType
from pyebpf.verifier import VerifierInput, verify
from tests.fuzz.verdicts import Descriptions
from tests.linux import progs

STACK_LIVENESS = "(0) "  # Linux's notes on its dataflow of stack slots


def our_log(insns: Sequence[Insn], kind: ProgType) -> str:
    """The log, and the errno in front of it."""
    flags = BPF_F_SLEEPABLE if kind == ProgType.SYSCALL else 0
    try:
        verified = verify(VerifierInput(encode(insns), kind, log_level=2, prog_flags=flags), Descriptions())
    except VerifierError as e:
        return f"{e.errno}\n{e.log}"
    return f"0\n{verified.log}"


def linux_log(insns: Sequence[Insn], kind: ProgType) -> str:
    """The same of Linux, for programs without maps."""
    fd, errno, log = progs._load(insns, kind, log_level=2)
    if fd >= 0:
        progs.Prog(fd, kind).close()
    return f"{errno}\n{log}"


def comparable(log: str) -> list[str]:
    """The lines that both print."""
    return [line for line in log.splitlines() if not line.startswith(STACK_LIVENESS)]
