"""The Linux oracle: the running kernel's bpf(2) through ctypes, for tests that compare with it.

    from tests import linux, require

    require.linux()                                     # skip where bpf(2) is refused
    with linux.create_map("array", 4, 8, 1) as counts:
        counts.update(0, 7)                             # ints are packed to the map's key and value size
        with linux.prog_load(insns, "xdp") as prog:     # LoadError (an OSError) with .log when refused
            run = prog.test_run(data=bytes(64))         # TestRun(retval, data_out, ctx_out, duration_ns)
        assert counts.lookup(0) == bytes([8, 0, 0, 0, 0, 0, 0, 0])
    verdict = linux.verdict(insns, "xdp", log_level=1)  # Verdict(errno, log); nothing stays loaded

`insns` is bytes or an iterable of Insn; types are an enum member, its number or its name in any case. An fd
object closes once, by `with` or `close()`.
"""

from tests.linux.maps import LinuxMap, create_map
from tests.linux.progs import LoadError, Prog, ProgInfo, TestRun, Verdict, btf_load, prog_load, reason, verdict
from tests.linux.sys import Fd, bpf

__all__ = [
    "Fd",
    "LinuxMap",
    "LoadError",
    "Prog",
    "ProgInfo",
    "TestRun",
    "Verdict",
    "bpf",
    "btf_load",
    "create_map",
    "prog_load",
    "reason",
    "verdict",
]
