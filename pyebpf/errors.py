"""The exceptions pyebpf raises; every one is an OSError with Linux's errno."""

import errno as _errno

ENOTSUPP = 524
"""Linux's in-kernel "operation is not supported", which bpf(2) lets through to its caller."""


class Error(OSError):
    """Base of all pyebpf errors: `errno` as Linux gives it, `strerror` says where, seen, wanted."""

    def __init__(self, errno: int, message: str) -> None:
        super().__init__(errno, message)

    def __str__(self) -> str:
        code = self.errno or 0
        name = "ENOTSUPP" if code == ENOTSUPP else _errno.errorcode.get(code, str(code))
        return f"[{name}] {self.strerror}"


class VerifierError(Error):
    """A program was rejected.

    log: the whole verifier log, never truncated.
    insn_idx: the instruction that was refused, -1 when the program as a whole was.
    source: the source line under that instruction ("file:line: text"), "" without line info.
    unsupported: True when pyebpf does not know a feature yet, as against a rule being broken.
    """

    def __init__(
        self,
        errno: int,
        message: str,
        *,
        log: str = "",
        insn_idx: int = -1,
        source: str = "",
        unsupported: bool = False,
    ) -> None:
        super().__init__(errno, message)
        self.log = log
        self.insn_idx = insn_idx
        self.source = source
        self.unsupported = unsupported

    def __str__(self) -> str:
        if self.insn_idx < 0:
            return super().__str__()
        return Error(self.errno or 0, f"insn {self.insn_idx}: {self.strerror}").__str__()


class ObjectError(Error):
    """An object file is malformed or asks for what is not there: EINVAL, with the place."""

    def __init__(self, message: str, *, section: str = "", offset: int = -1) -> None:
        place = section + (f"+{offset:#x}" if offset >= 0 else "")
        super().__init__(_errno.EINVAL, f"{place}: {message}" if place else message)
        self.section = section
        self.offset = offset


class BtfError(ObjectError):
    """BTF data is malformed; `section` and `offset` say where."""


class AsmError(Error):
    """Assembly text that cannot be read: EINVAL, with line and column (from 1)."""

    def __init__(self, message: str, *, line: int, column: int = 1) -> None:
        super().__init__(_errno.EINVAL, f"line {line}, column {column}: {message}")
        self.line = line
        self.column = column
