"""CO-RE relocations. Resolving them against another BTF is not done yet: what needs it says so when it is loaded.

    bpf_core_relo  [ insn_off:u32 | type_id:u32 | access_str_off:u32 | kind:u32 ]

The compiler has put in the object's own answer already: an offset, a size, a type id by its own BTF.
That answer is right where the types are the object's own, and wrong where they are some kernel's.
"""

from enum import IntEnum

from pyebpf.btf.ext import BtfExt
from pyebpf.btf.reader import Btf
from pyebpf.isa.insn import INSN_SIZE
from pyebpf.relo.functions import Functions
from pyebpf.spec import contexts, sections
from pyebpf.spec.kinds import ProgType


class CoreKind(IntEnum):
    """enum bpf_core_relo_kind."""

    FIELD_BYTE_OFFSET = 0
    FIELD_BYTE_SIZE = 1
    FIELD_EXISTS = 2
    FIELD_SIGNED = 3
    FIELD_LSHIFT_U64 = 4
    FIELD_RSHIFT_U64 = 5
    TYPE_ID_LOCAL = 6
    TYPE_ID_TARGET = 7
    TYPE_EXISTS = 8
    TYPE_SIZE = 9
    ENUMVAL_EXISTS = 10
    ENUMVAL_VALUE = 11
    TYPE_MATCHES = 12


_OWN = frozenset(layout.name for layout in contexts.LAYOUTS.values()) | {
    "bpf_flow_keys",
    "pt_regs",
    "bpf_perf_event_data",
}
"""Kernel structs whose layout is part of an interface, so that the object's is the kernel's (pt_regs: x86-64's)."""


def mark(functions: Functions, ext: BtfExt | None, btf: Btf | None) -> None:
    """Note on each function the first relocation that only a target BTF could resolve."""
    if ext is None or btf is None:
        return
    in_section = {f.section.name: f.section.index for f in reversed(functions.all)}
    for name, records in ext.core_relos.items():
        if name not in in_section or sections.meaning(name).prog_type is ProgType.HOOK:
            continue
        for insn_off, type_id, access_off, kind in records.tolist():
            function = functions.containing(in_section[name], insn_off // INSN_SIZE)
            if function is None or function.problem or kind == CoreKind.TYPE_ID_LOCAL:
                continue
            root = btf.resolve(type_id)
            if root.name in _OWN:
                continue
            label = CoreKind(kind).name if kind in CoreKind._value2member_map_ else f"kind {kind}"
            function.problem = (
                f"insn {insn_off // INSN_SIZE - function.start} of {function.name!r}: CO-RE relocation {label} of "
                f"{root.kind.name.lower()} {root.name!r} (access {btf.string(access_off)!r}) needs a target BTF"
            )
