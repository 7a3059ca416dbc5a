"""Helper prototypes by Linux's numbers: THE table. The verifier checks calls against it, the
assembler names helpers by it, and csrc/gen/helpers.h (ids and the C implementations) comes from it.
"""

from dataclasses import dataclass
from enum import IntEnum, auto

from pyebpf.spec.helper_access import GPL_ONLY


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
    MEM_UNINIT_OR_NULL = auto()
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
    changes_pkt: invalidates packet pointers.
    pkt_access: arguments may point into the packet.
    """

    id: int
    name: str
    ret: Ret
    args: tuple[Arg, ...]
    native: bool = False
    changes_pkt: bool = False
    pkt_access: bool = False

    @property
    def gpl_only(self) -> bool:
        """Only for programs under a GPL-compatible license."""
        return self.id in GPL_ONLY


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
    HelperProto(4, "probe_read", Ret.INTEGER, (Arg.MEM_UNINIT, Arg.CONST_SIZE_OR_ZERO, Arg.ANYTHING), native=True),
    HelperProto(5, "ktime_get_ns", Ret.INTEGER, (), native=True),
    HelperProto(6, "trace_printk", Ret.INTEGER, (Arg.MEM, Arg.CONST_SIZE), native=True),
    HelperProto(7, "get_prandom_u32", Ret.INTEGER, (), native=True),
    HelperProto(8, "get_smp_processor_id", Ret.INTEGER, (), native=True),
    HelperProto(
        9,
        "skb_store_bytes",
        Ret.INTEGER,
        (Arg.CTX, Arg.ANYTHING, Arg.MEM, Arg.CONST_SIZE, Arg.ANYTHING),
        changes_pkt=True,
        native=True,
    ),
    HelperProto(
        10,
        "l3_csum_replace",
        Ret.INTEGER,
        (Arg.CTX, Arg.ANYTHING, Arg.ANYTHING, Arg.ANYTHING, Arg.ANYTHING),
        changes_pkt=True,
        native=True,
    ),
    HelperProto(
        11,
        "l4_csum_replace",
        Ret.INTEGER,
        (Arg.CTX, Arg.ANYTHING, Arg.ANYTHING, Arg.ANYTHING, Arg.ANYTHING),
        changes_pkt=True,
        native=True,
    ),
    HelperProto(12, "tail_call", Ret.VOID, (Arg.CTX, Arg.CONST_MAP_PTR, Arg.ANYTHING)),
    HelperProto(13, "clone_redirect", Ret.INTEGER, (Arg.CTX, Arg.ANYTHING, Arg.ANYTHING), changes_pkt=True),
    HelperProto(14, "get_current_pid_tgid", Ret.INTEGER, (), native=True),
    HelperProto(15, "get_current_uid_gid", Ret.INTEGER, (), native=True),
    HelperProto(16, "get_current_comm", Ret.INTEGER, (Arg.MEM_UNINIT, Arg.CONST_SIZE), native=True),
    HelperProto(18, "skb_vlan_push", Ret.INTEGER, (Arg.CTX, Arg.ANYTHING, Arg.ANYTHING), changes_pkt=True),
    HelperProto(19, "skb_vlan_pop", Ret.INTEGER, (Arg.CTX,), changes_pkt=True),
    HelperProto(22, "perf_event_read", Ret.INTEGER, (Arg.CONST_MAP_PTR, Arg.ANYTHING)),
    HelperProto(23, "redirect", Ret.INTEGER, (Arg.ANYTHING, Arg.ANYTHING)),
    HelperProto(24, "get_route_realm", Ret.INTEGER, (Arg.CTX,)),
    HelperProto(
        25,
        "perf_event_output",
        Ret.INTEGER,
        (Arg.CTX, Arg.CONST_MAP_PTR, Arg.ANYTHING, Arg.MEM, Arg.CONST_SIZE_OR_ZERO),
    ),
    HelperProto(
        26, "skb_load_bytes", Ret.INTEGER, (Arg.CTX, Arg.ANYTHING, Arg.MEM_UNINIT, Arg.CONST_SIZE), native=True
    ),
    HelperProto(27, "get_stackid", Ret.INTEGER, (Arg.CTX, Arg.CONST_MAP_PTR, Arg.ANYTHING), native=True),
    HelperProto(
        28,
        "csum_diff",
        Ret.INTEGER,
        (Arg.MEM_OR_NULL, Arg.CONST_SIZE_OR_ZERO, Arg.MEM_OR_NULL, Arg.CONST_SIZE_OR_ZERO, Arg.ANYTHING),
        pkt_access=True,
        native=True,
    ),
    HelperProto(31, "skb_change_proto", Ret.INTEGER, (Arg.CTX, Arg.ANYTHING, Arg.ANYTHING), changes_pkt=True),
    HelperProto(32, "skb_change_type", Ret.INTEGER, (Arg.CTX, Arg.ANYTHING)),
    HelperProto(34, "get_hash_recalc", Ret.INTEGER, (Arg.CTX,)),
    HelperProto(35, "get_current_task", Ret.INTEGER, ()),
    HelperProto(38, "skb_change_tail", Ret.INTEGER, (Arg.CTX, Arg.ANYTHING, Arg.ANYTHING), changes_pkt=True),
    HelperProto(39, "skb_pull_data", Ret.INTEGER, (Arg.CTX, Arg.ANYTHING), changes_pkt=True, native=True),
    HelperProto(40, "csum_update", Ret.INTEGER, (Arg.CTX, Arg.ANYTHING)),
    HelperProto(41, "set_hash_invalid", Ret.INTEGER, (Arg.CTX,), native=True),
    HelperProto(42, "get_numa_node_id", Ret.INTEGER, (), native=True),
    HelperProto(43, "skb_change_head", Ret.INTEGER, (Arg.CTX, Arg.ANYTHING, Arg.ANYTHING), changes_pkt=True),
    HelperProto(44, "xdp_adjust_head", Ret.INTEGER, (Arg.CTX, Arg.ANYTHING), changes_pkt=True, native=True),
    HelperProto(45, "probe_read_str", Ret.INTEGER, (Arg.MEM_UNINIT, Arg.CONST_SIZE_OR_ZERO, Arg.ANYTHING), native=True),
    HelperProto(48, "set_hash", Ret.INTEGER, (Arg.CTX, Arg.ANYTHING), native=True),
    HelperProto(
        50, "skb_adjust_room", Ret.INTEGER, (Arg.CTX, Arg.ANYTHING, Arg.ANYTHING, Arg.ANYTHING), changes_pkt=True
    ),
    HelperProto(51, "redirect_map", Ret.INTEGER, (Arg.CONST_MAP_PTR, Arg.ANYTHING, Arg.ANYTHING)),
    HelperProto(54, "xdp_adjust_meta", Ret.INTEGER, (Arg.CTX, Arg.ANYTHING), changes_pkt=True, native=True),
    HelperProto(
        55, "perf_event_read_value", Ret.INTEGER, (Arg.CONST_MAP_PTR, Arg.ANYTHING, Arg.MEM_UNINIT, Arg.CONST_SIZE)
    ),
    HelperProto(56, "perf_prog_read_value", Ret.INTEGER, (Arg.CTX, Arg.MEM_UNINIT, Arg.CONST_SIZE)),
    HelperProto(65, "xdp_adjust_tail", Ret.INTEGER, (Arg.CTX, Arg.ANYTHING), changes_pkt=True, native=True),
    HelperProto(67, "get_stack", Ret.INTEGER, (Arg.CTX, Arg.MEM_UNINIT, Arg.CONST_SIZE_OR_ZERO, Arg.ANYTHING)),
    HelperProto(
        68,
        "skb_load_bytes_relative",
        Ret.INTEGER,
        (Arg.CTX, Arg.ANYTHING, Arg.MEM_UNINIT, Arg.CONST_SIZE, Arg.ANYTHING),
        native=True,
    ),
    HelperProto(69, "fib_lookup", Ret.INTEGER, (Arg.CTX, Arg.MEM_WRITE, Arg.CONST_SIZE, Arg.ANYTHING)),
    HelperProto(80, "get_current_cgroup_id", Ret.INTEGER, ()),
    HelperProto(87, "map_push_elem", Ret.INTEGER, (Arg.CONST_MAP_PTR, Arg.MAP_VALUE, Arg.ANYTHING), pkt_access=True),
    HelperProto(88, "map_pop_elem", Ret.INTEGER, (Arg.CONST_MAP_PTR, Arg.MAP_VALUE_UNINIT)),
    HelperProto(89, "map_peek_elem", Ret.INTEGER, (Arg.CONST_MAP_PTR, Arg.MAP_VALUE_UNINIT)),
    HelperProto(105, "strtol", Ret.INTEGER, (Arg.MEM, Arg.CONST_SIZE, Arg.ANYTHING, Arg.LONG)),
    HelperProto(106, "strtoul", Ret.INTEGER, (Arg.MEM, Arg.CONST_SIZE, Arg.ANYTHING, Arg.LONG)),
    HelperProto(109, "send_signal", Ret.INTEGER, (Arg.ANYTHING,)),
    HelperProto(
        112, "probe_read_user", Ret.INTEGER, (Arg.MEM_UNINIT, Arg.CONST_SIZE_OR_ZERO, Arg.ANYTHING), native=True
    ),
    HelperProto(
        113, "probe_read_kernel", Ret.INTEGER, (Arg.MEM_UNINIT, Arg.CONST_SIZE_OR_ZERO, Arg.ANYTHING), native=True
    ),
    HelperProto(
        114, "probe_read_user_str", Ret.INTEGER, (Arg.MEM_UNINIT, Arg.CONST_SIZE_OR_ZERO, Arg.ANYTHING), native=True
    ),
    HelperProto(
        115, "probe_read_kernel_str", Ret.INTEGER, (Arg.MEM_UNINIT, Arg.CONST_SIZE_OR_ZERO, Arg.ANYTHING), native=True
    ),
    HelperProto(117, "send_signal_thread", Ret.INTEGER, (Arg.ANYTHING,)),
    HelperProto(118, "jiffies64", Ret.INTEGER, (), native=True),
    HelperProto(
        119, "read_branch_records", Ret.INTEGER, (Arg.CTX, Arg.MEM_OR_NULL, Arg.CONST_SIZE_OR_ZERO, Arg.ANYTHING)
    ),
    HelperProto(
        120, "get_ns_current_pid_tgid", Ret.INTEGER, (Arg.ANYTHING, Arg.ANYTHING, Arg.MEM_UNINIT, Arg.CONST_SIZE)
    ),
    HelperProto(123, "get_current_ancestor_cgroup_id", Ret.INTEGER, (Arg.ANYTHING,)),
    HelperProto(125, "ktime_get_boot_ns", Ret.INTEGER, (), native=True),
    HelperProto(130, "ringbuf_output", Ret.INTEGER, (Arg.CONST_MAP_PTR, Arg.MEM, Arg.CONST_SIZE_OR_ZERO, Arg.ANYTHING)),
    HelperProto(
        131, "ringbuf_reserve", Ret.RINGBUF_MEM_OR_NULL, (Arg.CONST_MAP_PTR, Arg.CONST_ALLOC_SIZE_OR_ZERO, Arg.ANYTHING)
    ),
    HelperProto(132, "ringbuf_submit", Ret.VOID, (Arg.RINGBUF_MEM, Arg.ANYTHING)),
    HelperProto(133, "ringbuf_discard", Ret.VOID, (Arg.RINGBUF_MEM, Arg.ANYTHING)),
    HelperProto(134, "ringbuf_query", Ret.INTEGER, (Arg.CONST_MAP_PTR, Arg.ANYTHING)),
    HelperProto(135, "csum_level", Ret.INTEGER, (Arg.CTX, Arg.ANYTHING)),
    HelperProto(
        152, "redirect_neigh", Ret.INTEGER, (Arg.ANYTHING, Arg.MEM_OR_NULL, Arg.CONST_SIZE_OR_ZERO, Arg.ANYTHING)
    ),
    HelperProto(155, "redirect_peer", Ret.INTEGER, (Arg.ANYTHING, Arg.ANYTHING)),
    HelperProto(160, "ktime_get_coarse_ns", Ret.INTEGER, (), native=True),
    HelperProto(
        164,
        "for_each_map_elem",
        Ret.INTEGER,
        (Arg.CONST_MAP_PTR, Arg.FUNC, Arg.STACK_OR_NULL, Arg.ANYTHING),
        native=True,
    ),
    HelperProto(
        165,
        "snprintf",
        Ret.INTEGER,
        (Arg.MEM_UNINIT_OR_NULL, Arg.CONST_SIZE_OR_ZERO, Arg.CONST_STR, Arg.MEM_OR_NULL, Arg.CONST_SIZE_OR_ZERO),
        native=True,
    ),
    HelperProto(
        177,
        "trace_vprintk",
        Ret.INTEGER,
        (Arg.MEM, Arg.CONST_SIZE, Arg.MEM_OR_NULL, Arg.CONST_SIZE_OR_ZERO),
        native=True,
    ),
    HelperProto(181, "loop", Ret.INTEGER, (Arg.ANYTHING, Arg.FUNC, Arg.STACK_OR_NULL, Arg.ANYTHING), native=True),
    HelperProto(182, "strncmp", Ret.INTEGER, (Arg.MEM, Arg.CONST_SIZE, Arg.CONST_STR), native=True),
    HelperProto(188, "xdp_get_buff_len", Ret.INTEGER, (Arg.CTX,), native=True),
    HelperProto(
        189, "xdp_load_bytes", Ret.INTEGER, (Arg.CTX, Arg.ANYTHING, Arg.MEM_UNINIT, Arg.CONST_SIZE), native=True
    ),
    HelperProto(190, "xdp_store_bytes", Ret.INTEGER, (Arg.CTX, Arg.ANYTHING, Arg.MEM, Arg.CONST_SIZE), native=True),
    HelperProto(192, "skb_set_tstamp", Ret.INTEGER, (Arg.CTX, Arg.ANYTHING, Arg.ANYTHING)),
    HelperProto(
        195,
        "map_lookup_percpu_elem",
        Ret.MAP_VALUE_OR_NULL,
        (Arg.CONST_MAP_PTR, Arg.MAP_KEY, Arg.ANYTHING),
        native=True,
        pkt_access=True,
    ),
    HelperProto(208, "ktime_get_tai_ns", Ret.INTEGER, (), native=True),
)
"""In order of number. tail_call has no C function: the engines do it themselves."""

BY_ID = {h.id: h for h in HELPERS}
BY_NAME = {h.name: h for h in HELPERS}
