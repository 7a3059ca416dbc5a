"""pyebpf: eBPF in the user's own process. Verified programs at native speed, maps shared with Python."""

from pyebpf.errors import AsmError, BtfError, Error, ObjectError, VerifierError
from pyebpf.loader import CollectionSpec

__all__ = ["AsmError", "BtfError", "CollectionSpec", "Error", "ObjectError", "VerifierError"]
