"""What a section's name says of the programs in it: THE table, with libbpf's names and pyebpf's own hook/NAME."""

from dataclasses import dataclass
from enum import Enum

from pyebpf.spec import kinds
from pyebpf.spec.kinds import AttachType as A
from pyebpf.spec.kinds import ProgType as P


class Target(Enum):
    """Whether text may follow the name: SEC("name/text")."""

    NONE = 0
    OPTIONAL = 1
    REQUIRED = 2


@dataclass(frozen=True, slots=True)
class SectionKind:
    """A section name, or the part of it before the slash; attach_type is what PROG_LOAD is told to expect."""

    name: str
    prog_type: P
    attach_type: int = 0
    target: Target = Target.NONE
    prog_flags: int = 0


@dataclass(frozen=True, slots=True)
class SectionMeaning:
    """What SEC("...") says. target: the text after the slash. autoload: False for SEC("?...")."""

    prog_type: P
    attach_type: int = 0
    target: str = ""
    prog_flags: int = 0
    autoload: bool = True


_SLEEPABLE = kinds.BPF_F_SLEEPABLE
_FRAGS = kinds.BPF_F_XDP_HAS_FRAGS
_OPT = Target.OPTIONAL

_PROBES = tuple(
    SectionKind(name, P.KPROBE, 0, _OPT, _SLEEPABLE if name.endswith(".s") else 0)
    for name in "kprobe kretprobe uprobe uretprobe uprobe.s uretprobe.s ksyscall kretsyscall usdt usdt.s".split()
) + tuple(
    SectionKind(f"{name}{sleep}", P.KPROBE, attach, _OPT, _SLEEPABLE if sleep else 0)
    for name, attach, sleeps in (
        ("kprobe.multi", A.TRACE_KPROBE_MULTI, ("",)),
        ("kretprobe.multi", A.TRACE_KPROBE_MULTI, ("",)),
        ("kprobe.session", A.TRACE_KPROBE_SESSION, ("",)),
        ("uprobe.multi", A.TRACE_UPROBE_MULTI, ("", ".s")),
        ("uretprobe.multi", A.TRACE_UPROBE_MULTI, ("", ".s")),
        ("uprobe.session", A.TRACE_UPROBE_SESSION, ("", ".s")),
    )
    for sleep in sleeps
)

_TRACING = (
    SectionKind("tracepoint", P.TRACEPOINT, 0, _OPT),
    SectionKind("tp", P.TRACEPOINT, 0, _OPT),
    SectionKind("raw_tracepoint", P.RAW_TRACEPOINT, 0, _OPT),
    SectionKind("raw_tp", P.RAW_TRACEPOINT, 0, _OPT),
    SectionKind("raw_tracepoint.w", P.RAW_TRACEPOINT_WRITABLE, 0, _OPT),
    SectionKind("raw_tp.w", P.RAW_TRACEPOINT_WRITABLE, 0, _OPT),
    SectionKind("tp_btf", P.TRACING, A.TRACE_RAW_TP, _OPT),
    SectionKind("freplace", P.EXT, 0, _OPT),
    SectionKind("lsm_cgroup", P.LSM, A.LSM_CGROUP, _OPT),
    SectionKind("perf_event", P.PERF_EVENT),
    SectionKind("syscall", P.SYSCALL, prog_flags=_SLEEPABLE),
) + tuple(
    SectionKind(name + sleep, prog_type, attach, _OPT, _SLEEPABLE if sleep else 0)
    for name, prog_type, attach in (
        ("fentry", P.TRACING, A.TRACE_FENTRY),
        ("fexit", P.TRACING, A.TRACE_FEXIT),
        ("fmod_ret", P.TRACING, A.MODIFY_RETURN),
        ("iter", P.TRACING, A.TRACE_ITER),
        ("lsm", P.LSM, A.LSM_MAC),
        ("struct_ops", P.STRUCT_OPS, 0),
    )
    for sleep in ("", ".s")
)

_PACKETS = (
    SectionKind("socket", P.SOCKET_FILTER),
    SectionKind("classifier", P.SCHED_CLS),
    SectionKind("tc", P.SCHED_CLS),
    SectionKind("tc/ingress", P.SCHED_CLS, A.TCX_INGRESS),
    SectionKind("tc/egress", P.SCHED_CLS, A.TCX_EGRESS),
    SectionKind("tcx/ingress", P.SCHED_CLS, A.TCX_INGRESS),
    SectionKind("tcx/egress", P.SCHED_CLS, A.TCX_EGRESS),
    SectionKind("netkit/primary", P.SCHED_CLS, A.NETKIT_PRIMARY),
    SectionKind("netkit/peer", P.SCHED_CLS, A.NETKIT_PEER),
    SectionKind("action", P.SCHED_ACT),
    SectionKind("xdp", P.XDP, A.XDP),
    SectionKind("xdp/devmap", P.XDP, A.XDP_DEVMAP),
    SectionKind("xdp/cpumap", P.XDP, A.XDP_CPUMAP),
    SectionKind("xdp.frags", P.XDP, A.XDP, prog_flags=_FRAGS),
    SectionKind("xdp.frags/devmap", P.XDP, A.XDP_DEVMAP, prog_flags=_FRAGS),
    SectionKind("xdp.frags/cpumap", P.XDP, A.XDP_CPUMAP, prog_flags=_FRAGS),
    SectionKind("lwt_in", P.LWT_IN),
    SectionKind("lwt_out", P.LWT_OUT),
    SectionKind("lwt_xmit", P.LWT_XMIT),
    SectionKind("lwt_seg6local", P.LWT_SEG6LOCAL),
    SectionKind("flow_dissector", P.FLOW_DISSECTOR, A.FLOW_DISSECTOR),
    SectionKind("lirc_mode2", P.LIRC_MODE2, A.LIRC_MODE2),
    SectionKind("netfilter", P.NETFILTER, A.NETFILTER),
)

_SOCKETS = (
    SectionKind("sockops", P.SOCK_OPS, A.CGROUP_SOCK_OPS),
    SectionKind("sk_skb", P.SK_SKB),
    SectionKind("sk_skb/stream_parser", P.SK_SKB, A.SK_SKB_STREAM_PARSER),
    SectionKind("sk_skb/stream_verdict", P.SK_SKB, A.SK_SKB_STREAM_VERDICT),
    SectionKind("sk_skb/verdict", P.SK_SKB, A.SK_SKB_VERDICT),
    SectionKind("sk_msg", P.SK_MSG, A.SK_MSG_VERDICT),
    SectionKind("sk_lookup", P.SK_LOOKUP, A.SK_LOOKUP),
    SectionKind("sk_reuseport", P.SK_REUSEPORT, A.SK_REUSEPORT_SELECT),
    SectionKind("sk_reuseport/migrate", P.SK_REUSEPORT, A.SK_REUSEPORT_SELECT_OR_MIGRATE),
)

_CGROUP = (
    SectionKind("cgroup_skb/ingress", P.CGROUP_SKB, A.CGROUP_INET_INGRESS),
    SectionKind("cgroup_skb/egress", P.CGROUP_SKB, A.CGROUP_INET_EGRESS),
    SectionKind("cgroup/skb", P.CGROUP_SKB),
    SectionKind("cgroup/sock", P.CGROUP_SOCK, A.CGROUP_INET_SOCK_CREATE),
    SectionKind("cgroup/sock_create", P.CGROUP_SOCK, A.CGROUP_INET_SOCK_CREATE),
    SectionKind("cgroup/sock_release", P.CGROUP_SOCK, A.CGROUP_INET_SOCK_RELEASE),
    SectionKind("cgroup/post_bind4", P.CGROUP_SOCK, A.CGROUP_INET4_POST_BIND),
    SectionKind("cgroup/post_bind6", P.CGROUP_SOCK, A.CGROUP_INET6_POST_BIND),
    SectionKind("cgroup/sysctl", P.CGROUP_SYSCTL, A.CGROUP_SYSCTL),
    SectionKind("cgroup/dev", P.CGROUP_DEVICE, A.CGROUP_DEVICE),
    SectionKind("cgroup/getsockopt", P.CGROUP_SOCKOPT, A.CGROUP_GETSOCKOPT),
    SectionKind("cgroup/setsockopt", P.CGROUP_SOCKOPT, A.CGROUP_SETSOCKOPT),
) + tuple(
    SectionKind(f"cgroup/{name}", P.CGROUP_SOCK_ADDR, attach)
    for name, attach in (
        ("bind4", A.CGROUP_INET4_BIND),
        ("bind6", A.CGROUP_INET6_BIND),
        ("connect4", A.CGROUP_INET4_CONNECT),
        ("connect6", A.CGROUP_INET6_CONNECT),
        ("connect_unix", A.CGROUP_UNIX_CONNECT),
        ("sendmsg4", A.CGROUP_UDP4_SENDMSG),
        ("sendmsg6", A.CGROUP_UDP6_SENDMSG),
        ("sendmsg_unix", A.CGROUP_UNIX_SENDMSG),
        ("recvmsg4", A.CGROUP_UDP4_RECVMSG),
        ("recvmsg6", A.CGROUP_UDP6_RECVMSG),
        ("recvmsg_unix", A.CGROUP_UNIX_RECVMSG),
        ("getpeername4", A.CGROUP_INET4_GETPEERNAME),
        ("getpeername6", A.CGROUP_INET6_GETPEERNAME),
        ("getpeername_unix", A.CGROUP_UNIX_GETPEERNAME),
        ("getsockname4", A.CGROUP_INET4_GETSOCKNAME),
        ("getsockname6", A.CGROUP_INET6_GETSOCKNAME),
        ("getsockname_unix", A.CGROUP_UNIX_GETSOCKNAME),
    )
)

SECTIONS: tuple[SectionKind, ...] = (
    *_PROBES,
    *_TRACING,
    *_PACKETS,
    *_SOCKETS,
    *_CGROUP,
    SectionKind("hook", P.HOOK, target=Target.REQUIRED),
)
BY_NAME = {s.name: s for s in SECTIONS}


def meaning(section: str) -> SectionMeaning:
    """What a section's name says; ProgType.UNSPEC for a name that is not in the table."""
    autoload = not section.startswith("?")
    name = section.removeprefix("?")
    row = BY_NAME.get(name)
    if row is not None and row.target is not Target.REQUIRED:
        return SectionMeaning(row.prog_type, row.attach_type, "", row.prog_flags, autoload)
    head, slash, text = name.partition("/")
    row = BY_NAME.get(head)
    if row is None or not slash or row.target is Target.NONE or (row.target is Target.REQUIRED and not text):
        return SectionMeaning(P.UNSPEC, autoload=autoload)
    return SectionMeaning(row.prog_type, row.attach_type, text, row.prog_flags, autoload)
