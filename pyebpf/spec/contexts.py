"""Context layouts: what r1 points to for each program type.

A context has Linux's user-visible layout at its front, so that programs see Linux's offsets; behind
it the native struct (csrc/gen/ctx.h, generated from here) holds what Linux keeps elsewhere, packet
pointers above all. An access to a field with a `native` place is turned into one access of that
place, so instruction numbers never move:

    r2 = *(u32 *)(r1 + 4)       xdp_md.data_end      ->  r2 = *(u64 *)(r1 + offsetof(struct ebpf_xdp, data_end))
"""

from dataclasses import dataclass
from enum import IntEnum, auto

from pyebpf.spec.kinds import ProgType


class FieldKind(IntEnum):
    """What a load of the field gives."""

    SCALAR = 1
    PKT = auto()
    PKT_META = auto()
    PKT_END = auto()
    FLOW_KEYS = auto()
    SOCK_OR_NULL = auto()


@dataclass(frozen=True, slots=True)
class CtxField:
    """A field at Linux's offset and size. `native`: the native struct's u64 member that stands for it.

    narrow: loads smaller than the field are allowed.  wide: an 8-byte load of a 4-byte array element is.
    """

    name: str
    offset: int
    size: int
    kind: FieldKind = FieldKind.SCALAR
    native: str = ""
    narrow: bool = True
    wide: bool = False


@dataclass(frozen=True, slots=True)
class ContextLayout:
    """name: Linux's struct.  c_struct: ours.  size: bytes a program may address.
    tail: u64 members of the native struct behind the visible part, in order. The verifier never lets
    a program reach them by offset; fixups does.
    """

    name: str
    c_struct: str
    size: int
    fields: tuple[CtxField, ...]
    tail: tuple[str, ...] = ()

    def native_offset(self, member: str) -> int:
        """Offset of a tail member in the native struct."""
        return (self.size + 7) // 8 * 8 + 8 * self.tail.index(member)


XDP_MD = ContextLayout(
    "xdp_md",
    "ebpf_xdp",
    24,
    (
        CtxField("data", 0, 4, FieldKind.PKT, native="data", narrow=False),
        CtxField("data_end", 4, 4, FieldKind.PKT_END, native="data_end", narrow=False),
        CtxField("data_meta", 8, 4, FieldKind.PKT_META, native="data_meta", narrow=False),
        CtxField("ingress_ifindex", 12, 4),
        CtxField("rx_queue_index", 16, 4),
        CtxField("egress_ifindex", 20, 4),
    ),
    # data_meta <= data <= data_end lie in hard_start .. hard_end; xdp_adjust_* move them there.
    tail=("data", "data_end", "data_meta", "hard_start", "hard_end"),
)

_SKB_FIELDS = (
    "len pkt_type mark queue_mapping protocol vlan_present vlan_tci vlan_proto priority "
    "ingress_ifindex ifindex tc_index"
).split()

SK_BUFF = ContextLayout(
    "__sk_buff",
    "ebpf_skb",
    192,
    (
        *(CtxField(name, 4 * i, 4) for i, name in enumerate(_SKB_FIELDS)),
        CtxField("cb", 48, 20, wide=True),
        CtxField("hash", 68, 4),
        CtxField("tc_classid", 72, 4),
        CtxField("data", 76, 4, FieldKind.PKT, native="data", narrow=False),
        CtxField("data_end", 80, 4, FieldKind.PKT_END, native="data_end", narrow=False),
        CtxField("napi_id", 84, 4),
        CtxField("family", 88, 4),
        CtxField("remote_ip4", 92, 4),
        CtxField("local_ip4", 96, 4),
        CtxField("remote_ip6", 100, 16),
        CtxField("local_ip6", 116, 16),
        CtxField("remote_port", 132, 4),
        CtxField("local_port", 136, 4),
        CtxField("data_meta", 140, 4, FieldKind.PKT_META, native="data_meta", narrow=False),
        CtxField("flow_keys", 144, 8, FieldKind.FLOW_KEYS, native="flow_keys", narrow=False),
        CtxField("tstamp", 152, 8),
        CtxField("wire_len", 160, 4),
        CtxField("gso_segs", 164, 4),
        CtxField("sk", 168, 8, FieldKind.SOCK_OR_NULL, native="sk", narrow=False),
        CtxField("gso_size", 176, 4),
        CtxField("tstamp_type", 180, 1),
        CtxField("hwtstamp", 184, 8),
    ),
    tail=("data", "data_end", "data_meta", "flow_keys", "sk", "hard_start", "hard_end", "net_off"),
)

LAYOUTS: dict[ProgType, ContextLayout] = {
    ProgType.XDP: XDP_MD,
    ProgType.SOCKET_FILTER: SK_BUFF,
    ProgType.SCHED_CLS: SK_BUFF,
    ProgType.SCHED_ACT: SK_BUFF,
    ProgType.FLOW_DISSECTOR: SK_BUFF,
}
"""Program types whose context is rewritten. The others (pt_regs, trace records, raw arguments, perf
data, a syscall program's own buffer) have Linux's bytes as they are and need no native struct."""


@dataclass(frozen=True, slots=True)
class AccessRule:
    """Which accesses of bytes start..end-1 of a context are allowed: aligned, of one of the sizes, inside.

    kind: what a load gives; a pointer is never loaded sign-extended.
    """

    start: int
    end: int
    read: frozenset[int] = frozenset((1, 2, 4))
    write: frozenset[int] = frozenset()
    kind: FieldKind = FieldKind.SCALAR


@dataclass(frozen=True, slots=True)
class ContextRules:
    """What a program type may do with its context, its packet and its LD_ABS (Linux: bpf_verifier_ops).

    packet: "" no packet pointers, "r" or "rw" what may be done through them.  ld_abs: LD_ABS and LD_IND exist.
    devmap_only: offset that needs attach type BPF_XDP_DEVMAP, -1.
    """

    rules: tuple[AccessRule, ...]
    packet: str = ""
    ld_abs: bool = False
    devmap_only: int = -1


_WORD = frozenset((4,))
_LONG = frozenset((8,))
_ANY = frozenset((1, 2, 4, 8))


def _skb_rules(names: str, writable: str) -> tuple[AccessRule, ...]:
    """Rules of the named __sk_buff fields."""
    whole = {"remote_ip4", "local_ip4", "remote_ip6", "local_ip6", "data", "data_end", "data_meta"}
    rows = []
    for f in SK_BUFF.fields:
        if f.name not in names.split():
            continue
        if f.name == "cb":
            read = write = _ANY
        elif f.size == 8:
            read = write = _LONG
        else:
            read, write = (_WORD if f.name in whole else frozenset((1, 2, 4))), _WORD
        if f.name == "tstamp_type":
            read = frozenset((1,))
        rows.append(
            AccessRule(f.offset, f.offset + f.size, read, write if f.name in writable.split() else frozenset(), f.kind)
        )
    return tuple(rows)


_COMMON = (
    "len pkt_type mark queue_mapping protocol vlan_present vlan_tci vlan_proto priority ingress_ifindex ifindex "
    "tc_index cb hash napi_id gso_segs gso_size sk "
)
_TC_FIELDS = _COMMON + "tc_classid data data_end data_meta tstamp wire_len tstamp_type hwtstamp"
_TC = ContextRules(
    _skb_rules(_TC_FIELDS, "mark tc_index priority tc_classid cb tstamp queue_mapping"), packet="rw", ld_abs=True
)
PT_REGS_SIZE = 168
MAX_TRACE_SIZE = 8192
MAX_RAW_ARGS = 12

RULES: dict[ProgType, ContextRules] = {
    ProgType.SOCKET_FILTER: ContextRules(_skb_rules(_COMMON, "cb"), ld_abs=True),
    ProgType.SCHED_CLS: _TC,
    ProgType.SCHED_ACT: _TC,
    ProgType.FLOW_DISSECTOR: ContextRules(_skb_rules("data data_end flow_keys", ""), packet="r"),
    ProgType.XDP: ContextRules(
        tuple(AccessRule(f.offset, f.offset + f.size, _WORD, kind=f.kind) for f in XDP_MD.fields),
        packet="rw",
        devmap_only=20,
    ),
    ProgType.KPROBE: ContextRules((AccessRule(0, PT_REGS_SIZE, _ANY),)),
    ProgType.TRACEPOINT: ContextRules((AccessRule(8, MAX_TRACE_SIZE, _ANY),)),
    ProgType.RAW_TRACEPOINT: ContextRules((AccessRule(0, 8 * MAX_RAW_ARGS, _ANY),)),
    ProgType.PERF_EVENT: ContextRules(
        (AccessRule(0, PT_REGS_SIZE, _LONG), AccessRule(PT_REGS_SIZE, PT_REGS_SIZE + 16, _ANY))
    ),
    ProgType.SYSCALL: ContextRules((AccessRule(0, 0xFFFF, _ANY, _ANY),)),
}
"""Program types that the verifier knows."""
