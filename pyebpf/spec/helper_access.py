"""Which helpers a program type may call, by Linux's numbers; each read off Linux 6.18's own refusals
("program of this type cannot use helper"), with every privilege and, for cgroup types, one attach type.
tests/verify asks Linux again.
"""

from typing import Final

from pyebpf.spec.kinds import ProgType


def _numbers(ranges: str) -> frozenset[int]:
    """The numbers of "1-3 7"."""
    found: set[int] = set()
    for part in ranges.split():
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


BASE: Final = _numbers(
    "1-3 5-8 12 14-17 22 35 37 42 55 80 87-89 93-94 105-106 109 112-115 117-118 120 123 125 130-134 141 "
    "148-149 153-154 156-158 164-165 169-172 175-177 180-182 191 194-195 197-203 208-211"
)
"""Every program type may call these."""

EXTRA: Final[dict[ProgType, frozenset[int]]] = {
    ProgType.SOCKET_FILTER: _numbers("25-26 46-47 68 122 136-140 160 178 196"),
    ProgType.KPROBE: _numbers("4 25 27 45 67 173-174"),
    ProgType.SCHED_CLS: _numbers(
        "9-11 13 18-21 23-26 28-34 38-41 43 46-48 50 66 68-69 79 83-86 95-100 107-108 110 122 124 135-140 "
        "151-152 155 160 163 178 192 196 204-207"
    ),
    ProgType.SCHED_ACT: _numbers(
        "9-11 13 18-21 23-26 28-34 38-41 43 46-48 50 66 68-69 79 83-86 95-100 107-108 110 122 124 135-140 "
        "151-152 155 160 163 178 192 196 204-207"
    ),
    ProgType.TRACEPOINT: _numbers("4 25 27 45 67 173-174"),
    ProgType.XDP: _numbers("23 25 28 44 51 54 65 69 84-86 99-100 110 136-140 160 163 178 188-190 196 204-207"),
    ProgType.PERF_EVENT: _numbers("4 25 27 45 56 67 119 173-174"),
    ProgType.CGROUP_SKB: _numbers("25-26 46-47 68 79 81 83-86 95-99 107-108 122 128-129 136-140 160 178 196"),
    ProgType.CGROUP_SOCK: _numbers("25 46 81 107 122 160 186-187"),
    ProgType.LWT_IN: _numbers("24-26 28 33-34 39 73 136-140 160 178 196"),
    ProgType.LWT_OUT: _numbers("24-26 28 33-34 39 136-140 160 178 196"),
    ProgType.LWT_XMIT: _numbers("9-11 13 20-21 23-26 28-30 33-34 38-41 43 73 135-140 160 178 196"),
    ProgType.SOCK_OPS: _numbers("25 46 49 53 57 59 70 81 96 107-108 122 136-140 142-144 160 178 196"),
    ProgType.SK_SKB: _numbers("9 25-26 38-39 43 46-47 50 52 72 84-86 99 136-140 160 178 196"),
    ProgType.CGROUP_DEVICE: _numbers("25 81"),
    ProgType.SK_MSG: _numbers("25 60-63 71 90-91 107-108 122 136-140 160 178 196"),
    ProgType.RAW_TRACEPOINT: _numbers("4 25 27 45 67 173-174"),
    ProgType.CGROUP_SOCK_ADDR: _numbers("25 46 49 57 81 84-86 99 107-108 122 136-140 160 178 186-187 196"),
    ProgType.LWT_SEG6LOCAL: _numbers("24-26 28 33-34 39 74-76 136-140 160 178 196"),
    ProgType.SK_REUSEPORT: _numbers("26 46 68 82 160"),
    ProgType.FLOW_DISSECTOR: _numbers("26 136-140 160 178 196"),
    ProgType.CGROUP_SYSCTL: _numbers("25 81 101-104 160"),
    ProgType.RAW_TRACEPOINT_WRITABLE: _numbers("4 25 27 45 67 173-174"),
    ProgType.CGROUP_SOCKOPT: _numbers("25 81 96 107-108 122 186-187"),
    ProgType.SK_LOOKUP: _numbers("25 86 124 136-140 160 178 196"),
    ProgType.SYSCALL: _numbers("4 25 27 45-46 67 107-108 111 121 136-140 147 162 166-168 173 178-179 188 196"),
    ProgType.NETFILTER: frozenset(),
}
"""And these beside."""

GPL_ONLY: Final = _numbers("4 6 22 25 27 35 45 55-56 67 69 100 110-115 119 121 158 163 165 169-173 175-177 191 204-207")
"""Refused to a program whose license is not GPL-compatible."""

MAX_HELPER: Final = 211
"""The highest number 6.18 knows."""


def allowed(prog_type: ProgType, helper: int) -> bool:
    """Whether programs of the type may call the helper; False for types that are not listed."""
    return prog_type in EXTRA and (helper in BASE or helper in EXTRA[prog_type])
