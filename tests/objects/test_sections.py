"""Section names mean what libbpf says they mean."""

import ctypes

import pytest

from pyebpf.spec import kinds, sections
from pyebpf.spec.kinds import AttachType, ProgType
from pyebpf.spec.sections import Target
from tests.objects import libbpf

LATER = frozenset(
    """usdt.s kprobe.session uprobe.multi uprobe.multi.s uretprobe.multi uretprobe.multi.s uprobe.session
    uprobe.session.s struct_ops.s tc/ingress tc/egress tcx/ingress tcx/egress netkit/primary netkit/peer netfilter
    sk_skb/verdict cgroup/connect_unix cgroup/sendmsg_unix cgroup/recvmsg_unix cgroup/getpeername_unix
    cgroup/getsockname_unix hook""".split()
)
"""Names that libbpf 1.1 does not have: those of later versions, and our own."""


def ask(name: str) -> tuple[int, int] | None:
    """Program and attach type by libbpf."""
    prog, attach = ctypes.c_int(), ctypes.c_int()
    error = libbpf.library().libbpf_prog_type_by_name(name.encode(), ctypes.byref(prog), ctypes.byref(attach))
    return None if error else (prog.value, attach.value)


@pytest.mark.parametrize("row", [r for r in sections.SECTIONS if r.name not in LATER], ids=lambda r: r.name)
@pytest.mark.parametrize("suffix", ["", "/x", "/a/b.c+1", "x", "/"])
def test_a_name_means_what_libbpf_says(row, suffix) -> None:
    means = sections.meaning(row.name + suffix)
    ours = (int(means.prog_type), int(means.attach_type)) if means.prog_type else None
    assert ours == ask(row.name + suffix)


@pytest.mark.parametrize("name", sorted(LATER))
def test_a_later_name_is_unknown_to_this_libbpf(name) -> None:
    assert ask(name) is None and ask(name + "/x") is None


@pytest.mark.parametrize("name", ["", "?", "/", "maps", "xdpx", "fentryx/y", "hook", "hook/", "kprobe.multix", "\x00"])
def test_a_name_that_is_none_has_no_type(name) -> None:
    assert sections.meaning(name).prog_type is ProgType.UNSPEC


def test_what_follows_the_slash_is_the_target() -> None:
    assert sections.meaning("tp/skb/kfree_skb").target == "skb/kfree_skb"
    assert sections.meaning("hook/order").target == "order"
    assert sections.meaning("hook/order").prog_type is ProgType.HOOK
    assert sections.meaning("tcx/egress").attach_type == AttachType.TCX_EGRESS
    assert sections.meaning("tcx/egress").target == ""


def test_a_question_mark_leaves_a_program_out() -> None:
    assert not sections.meaning("?xdp").autoload
    assert sections.meaning("?xdp").prog_type is ProgType.XDP


def test_flags_of_a_name() -> None:
    assert sections.meaning("xdp.frags").prog_flags == kinds.BPF_F_XDP_HAS_FRAGS
    assert sections.meaning("fentry.s/x").prog_flags == kinds.BPF_F_SLEEPABLE
    assert sections.meaning("syscall").prog_flags == kinds.BPF_F_SLEEPABLE
    assert all(r.target is Target.NONE for r in sections.SECTIONS if r.name.startswith("xdp"))
