"""Helper prototypes by Linux's numbers: THE table. The verifier checks calls against it, the
assembler names helpers by it, and csrc/gen/helpers.h (ids and the C implementations) comes from it.
"""

from dataclasses import dataclass
from enum import IntEnum, auto


class Ret(IntEnum):
    """What a helper returns in R0 (Linux: enum bpf_return_type)."""

    INTEGER = 1
    VOID = auto()
    MAP_VALUE = auto()
    MAP_VALUE_OR_NULL = auto()
    SOCKET_OR_NULL = auto()
    TCP_SOCK_OR_NULL = auto()
    SOCK_COMMON_OR_NULL = auto()
    RINGBUF_MEM_OR_NULL = auto()
    DYNPTR_MEM_OR_NULL = auto()
    MEM_OR_BTF_ID = auto()
    BTF_ID = auto()
    BTF_ID_OR_NULL = auto()


class Arg(IntEnum):
    """What an argument register must hold (Linux: enum bpf_arg_type)."""

    NONE = 0
    CONST_MAP_PTR = auto()
    MAP_KEY = auto()
    MAP_VALUE = auto()  # as many readable bytes as the map's values have
    MAP_VALUE_UNINIT = auto()
    MEM = auto()  # readable; its length is the argument after it
    MEM_WRITE = auto()
    MEM_UNINIT = auto()
    MEM_OR_NULL = auto()
    CONST_SIZE = auto()
    CONST_SIZE_OR_ZERO = auto()
    CONST_ALLOC_SIZE_OR_ZERO = auto()
    CTX = auto()
    CTX_OR_NULL = auto()
    ANYTHING = auto()
    FUNC = auto()  # a callback of the program (PSEUDO_FUNC)
    STACK_OR_NULL = auto()
    SPIN_LOCK = auto()
    TIMER = auto()
    KPTR = auto()
    DYNPTR = auto()
    CONST_STR = auto()
    LONG = auto()  # 8 aligned bytes the helper writes
    INT = auto()
    SOCK_COMMON = auto()
    SOCKET = auto()
    BTF_ID_SOCK_COMMON = auto()
    RINGBUF_MEM = auto()
    BTF_ID = auto()
    BTF_ID_OR_NULL = auto()
    PERCPU_BTF_ID = auto()


@dataclass(frozen=True, slots=True)
class HelperProto:
    """One helper.

    id, name: Linux's number and name without "bpf_".
    ret, args: its prototype; args beyond those named are unused registers.
    native: csrc defines helper_NAME(); without it a call verifies but a program that makes it does not run.
    gpl_only: only for programs under a GPL-compatible license.
    changes_pkt: invalidates packet pointers.
    pkt_access: arguments may point into the packet.
    """

    id: int
    name: str
    ret: Ret
    args: tuple[Arg, ...]
    native: bool = False
    gpl_only: bool = False
    changes_pkt: bool = False
    pkt_access: bool = False


HELPERS: tuple[HelperProto, ...] = (
    HelperProto(
        1, "map_lookup_elem", Ret.MAP_VALUE_OR_NULL, (Arg.CONST_MAP_PTR, Arg.MAP_KEY), native=True, pkt_access=True
    ),
    HelperProto(
        2,
        "map_update_elem",
        Ret.INTEGER,
        (Arg.CONST_MAP_PTR, Arg.MAP_KEY, Arg.MAP_VALUE, Arg.ANYTHING),
        native=True,
        pkt_access=True,
    ),
    HelperProto(3, "map_delete_elem", Ret.INTEGER, (Arg.CONST_MAP_PTR, Arg.MAP_KEY), native=True, pkt_access=True),
    HelperProto(5, "ktime_get_ns", Ret.INTEGER, ()),
    HelperProto(7, "get_prandom_u32", Ret.INTEGER, ()),
    HelperProto(8, "get_smp_processor_id", Ret.INTEGER, (), native=True),
    HelperProto(12, "tail_call", Ret.VOID, (Arg.CTX, Arg.CONST_MAP_PTR, Arg.ANYTHING)),  # the engines' own
    HelperProto(27, "get_stackid", Ret.INTEGER, (Arg.CTX, Arg.CONST_MAP_PTR, Arg.ANYTHING), native=True, gpl_only=True),
    HelperProto(
        164,
        "for_each_map_elem",
        Ret.INTEGER,
        (Arg.CONST_MAP_PTR, Arg.FUNC, Arg.STACK_OR_NULL, Arg.ANYTHING),
        native=True,
    ),
    HelperProto(
        195,
        "map_lookup_percpu_elem",
        Ret.MAP_VALUE_OR_NULL,
        (Arg.CONST_MAP_PTR, Arg.MAP_KEY, Arg.ANYTHING),
        native=True,
        pkt_access=True,
    ),
)

BY_ID = {h.id: h for h in HELPERS}
BY_NAME = {h.name: h for h in HELPERS}
