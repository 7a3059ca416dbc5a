"""Which attach types PROG_LOAD takes for each program type, and which privileges the types need (Linux 6.18)."""

from typing import Final

from pyebpf.spec.kinds import AttachType, ProgType

_A = AttachType
LOAD_TYPES: Final[dict[ProgType, frozenset[AttachType]]] = {
    ProgType.CGROUP_SOCK: frozenset(
        {_A.CGROUP_INET_SOCK_CREATE, _A.CGROUP_INET_SOCK_RELEASE, _A.CGROUP_INET4_POST_BIND, _A.CGROUP_INET6_POST_BIND}
    ),
    ProgType.CGROUP_SOCK_ADDR: frozenset(
        {
            _A.CGROUP_INET4_BIND,
            _A.CGROUP_INET6_BIND,
            _A.CGROUP_INET4_CONNECT,
            _A.CGROUP_INET6_CONNECT,
            _A.CGROUP_UNIX_CONNECT,
            _A.CGROUP_INET4_GETPEERNAME,
            _A.CGROUP_INET6_GETPEERNAME,
            _A.CGROUP_UNIX_GETPEERNAME,
            _A.CGROUP_INET4_GETSOCKNAME,
            _A.CGROUP_INET6_GETSOCKNAME,
            _A.CGROUP_UNIX_GETSOCKNAME,
            _A.CGROUP_UDP4_SENDMSG,
            _A.CGROUP_UDP6_SENDMSG,
            _A.CGROUP_UNIX_SENDMSG,
            _A.CGROUP_UDP4_RECVMSG,
            _A.CGROUP_UDP6_RECVMSG,
            _A.CGROUP_UNIX_RECVMSG,
        }
    ),
    ProgType.CGROUP_SKB: frozenset({_A.CGROUP_INET_INGRESS, _A.CGROUP_INET_EGRESS}),
    ProgType.CGROUP_SOCKOPT: frozenset({_A.CGROUP_SETSOCKOPT, _A.CGROUP_GETSOCKOPT}),
    ProgType.SK_LOOKUP: frozenset({_A.SK_LOOKUP}),
    ProgType.SK_REUSEPORT: frozenset({_A.SK_REUSEPORT_SELECT, _A.SK_REUSEPORT_SELECT_OR_MIGRATE}),
    ProgType.NETFILTER: frozenset({_A.NETFILTER}),
}
"""Program types for which expected_attach_type must be one of these. SYSCALL and EXT want 0; the others take any."""

LOAD_DEFAULT: Final[dict[ProgType, AttachType]] = {
    ProgType.CGROUP_SOCK: _A.CGROUP_INET_SOCK_CREATE,
    ProgType.SK_REUSEPORT: _A.SK_REUSEPORT_SELECT,
}
"""What 0 stands for, so that programs from before expected_attach_type still load."""

NET_ADMIN_TYPES: Final = frozenset(
    {
        ProgType.SCHED_CLS,
        ProgType.SCHED_ACT,
        ProgType.XDP,
        ProgType.LWT_IN,
        ProgType.LWT_OUT,
        ProgType.LWT_XMIT,
        ProgType.LWT_SEG6LOCAL,
        ProgType.SK_SKB,
        ProgType.SK_MSG,
        ProgType.FLOW_DISSECTOR,
        ProgType.CGROUP_DEVICE,
        ProgType.CGROUP_SOCK,
        ProgType.CGROUP_SOCK_ADDR,
        ProgType.CGROUP_SOCKOPT,
        ProgType.CGROUP_SYSCTL,
        ProgType.SOCK_OPS,
        ProgType.NETFILTER,
    }
)
"""Types that need CAP_NET_ADMIN."""

PERFMON_TYPES: Final = frozenset(
    {
        ProgType.KPROBE,
        ProgType.TRACEPOINT,
        ProgType.PERF_EVENT,
        ProgType.RAW_TRACEPOINT,
        ProgType.RAW_TRACEPOINT_WRITABLE,
        ProgType.TRACING,
        ProgType.LSM,
        ProgType.STRUCT_OPS,
        ProgType.EXT,
    }
)
"""Types that need CAP_PERFMON, which caps="bpf" has not."""
