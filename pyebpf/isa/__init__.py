"""The instruction set: constructors, `Insn`, `encode`, `assemble`, `disassemble`.

Helper functions are attributes under Linux's names without "bpf_", for CALL: `from pyebpf.isa import
map_lookup_elem`; a star import leaves them out, since some (`bind`, `loop`) are everyday words.
"""

from pyebpf.isa import ctors as _ctors
from pyebpf.isa.asm import assemble
from pyebpf.isa.ctors import *  # noqa: F403  (its public names are listed below)
from pyebpf.isa.disasm import disassemble, format_insn
from pyebpf.isa.helper_names import HELPER_IDS as _HELPER_IDS
from pyebpf.isa.insn import Insn, decode, encode

_CONSTRUCTORS = [name for name in vars(_ctors) if name[0].isupper() and name not in ("Final", "HELPER_IDS")]

__all__ = [*_CONSTRUCTORS, "Insn", "assemble", "decode", "disassemble", "encode", "format_insn"]


def __getattr__(name: str) -> int:
    """The number of a helper."""
    try:
        return _HELPER_IDS[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
