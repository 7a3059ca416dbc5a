"""The oracle itself: what it sends and reads back is what bpf(2) documents."""

import errno

import pytest

from pyebpf.isa.insn import Insn
from pyebpf.isa.table import BY_NAME
from tests import linux, require

MOV = BY_NAME["MOV64_K"].opcode
EXIT = Insn(BY_NAME["EXIT"].opcode)
RETURN_2 = [Insn(MOV, imm=2), EXIT]


@pytest.fixture(autouse=True)
def _linux() -> None:
    require.linux()


def test_map_is_created_filled_iterated_and_emptied() -> None:
    with linux.create_map("hash", 4, 8, 4, name="oracle") as m:
        assert m.lookup(1) is None
        m.update(1, 10)
        m.update(2, 20)
        assert dict(m.items()) == {b"\1\0\0\0": (10).to_bytes(8, "little"), b"\2\0\0\0": (20).to_bytes(8, "little")}
        with pytest.raises(OSError) as e:
            m.update(1, 11, 1)
        assert e.value.errno == errno.EEXIST
        m.delete(1)
        m.delete(2)
        assert m.next_key(None) is None


def test_percpu_value_has_a_slot_for_each_possible_cpu() -> None:
    with linux.create_map("percpu_array", 4, 4, 1) as m:
        assert m.lookup(0) == bytes(m.user_size)
        assert m.user_size % 8 == 0


def test_program_is_loaded_run_and_read_back() -> None:
    with linux.prog_load(RETURN_2, "xdp", log_level=2, name="two") as prog:
        run = prog.test_run(bytes(range(64)))
        assert run.retval == 2
        assert run.data_out == bytes(range(64))
        info = prog.info()
        assert info.name == "two"
        assert info.xlated == b"".join(map(bytes, RETURN_2))
        assert info.jited
        assert info.verified_insns == 2
        assert "0: (b7) r0 = 2" in prog.log


def test_context_goes_in_and_out() -> None:
    st = BY_NAME["ST_W"].opcode
    with linux.prog_load([Insn(st, dst=1, imm=7), Insn(MOV), EXIT], "syscall", flags=1 << 4) as prog:
        assert prog.test_run(ctx=bytes(8)).ctx_out == b"\7\0\0\0\0\0\0\0"


def test_refused_program_has_errno_and_message() -> None:
    with pytest.raises(linux.LoadError) as e:
        linux.prog_load([EXIT], "xdp", log_level=1)
    assert e.value.errno == errno.EACCES
    assert "R0 !read_ok" in e.value.log
    assert linux.verdict([EXIT], "xdp").message == "R0 !read_ok"
    assert linux.verdict(RETURN_2, "xdp").accepted


def test_long_log_is_whole() -> None:
    straight = [Insn(MOV, imm=i) for i in range(20000)] + [EXIT]
    log = linux.verdict(straight, "socket_filter", log_level=2).log
    assert "19999: (b7) r0 = 19999" in log
    assert "processed 20001 insns" in log


def test_fd_closes_once() -> None:
    m = linux.create_map("array", 4, 4, 1)
    m.close()
    m.close()
    with pytest.raises(OSError) as e:
        m.lookup(0)
    assert e.value.errno == errno.EBADF
