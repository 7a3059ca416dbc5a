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
