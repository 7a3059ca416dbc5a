"""pyebpf: eBPF in the user's own process. Verified programs at native speed, maps shared with Python."""

from pyebpf.errors import AsmError, BtfError, Error, ObjectError, VerifierError

__all__ = ["AsmError", "BtfError", "Error", "ObjectError", "VerifierError"]
