"""Ids, fds, pins and what keeps an object alive."""

import ctypes
import errno
import os
import threading
from pathlib import Path

import pytest

import pyebpf.syscall as sc
from pyebpf.runtime.mapobj import MapObj
from pyebpf.runtime.state import runtime
from pyebpf.spec import attr
from pyebpf.spec.kinds import Cmd, MapType
from tests.runtime.duo import RETURN_2, Side, create, load, name, same


def attempt(call: object, *args: object, **named: object) -> str:
    """ "ok", or the errno's name."""
    try:
        call(*args, **named)  # type: ignore[operator]
    except OSError as exc:
        return name(-(exc.errno or 0))
    return "ok"


def map_id(fd: int) -> int:
    return int(sc.bpf_obj_get_info(fd, attr.MAP_INFO)["id"])


def test_fds_start_at_two_to_the_thirty_and_are_never_reused() -> None:
    first = sc.bpf_create_map(1, 4, 4, 1)
    sc.close(first)
    second = sc.bpf_create_map(1, 4, 4, 1)
    assert 1 << 30 <= first < second
    for fd in (first, -1, 0, 1, 1 << 29):
        assert attempt(sc.close, fd) == "EBADF"
    with pytest.raises(OSError) as caught:
        os.close(second)
    assert caught.value.errno == errno.EBADF
    sc.close(second)


def test_a_map_goes_with_its_last_fd() -> None:
    fd = sc.bpf_create_map(1, 4, 4, 1)
    number = map_id(fd)
    again = sc.bpf_map_get_fd_by_id(number)
    sc.close(fd)
    assert map_id(again) == number
    sc.close(again)
    assert attempt(sc.bpf_map_get_fd_by_id, number) == "ENOENT"


def test_a_program_holds_the_maps_bound_to_it() -> None:
    side = Side("user")
    prog, fd = load(side), create(side)
    number = map_id(fd)
    sc.bpf_prog_bind_map(prog, fd)
    side.close(fd)
    again = sc.bpf_map_get_fd_by_id(number)
    sc.close(again)
    side.close(prog)
    assert attempt(sc.bpf_map_get_fd_by_id, number) == "ENOENT"


def uses(fd: int) -> bytes:
    """r1 = map; r0 = 0; exit."""
    return bytes([0x18, 0x11, 0, 0]) + fd.to_bytes(4, "little") + bytes(8) + bytes.fromhex(
        "b700000000000000" "9500000000000000"
    )  # fmt: skip


def test_a_program_holds_the_maps_it_names() -> None:
    def script(side: Side) -> None:
        fd = create(side)
        info = side.mem(attr.MAP_INFO.size)
        side.call(Cmd.OBJ_GET_INFO_BY_FD, bpf_fd=fd, info_len=attr.MAP_INFO.size, info=info)
        number = attr.MAP_INFO.read(ctypes.string_at(info, attr.MAP_INFO.size), "id")
        prog = load(side, uses(fd))
        side.close(fd)
        by_id, _ = side.call(Cmd.MAP_GET_FD_BY_ID, id=number)
        side.note("reachable by id", by_id)
        side.close(by_id)
        side.close(prog)
        if side.backend == "user":  # Linux lets go a moment later.
            result, _ = side.call(Cmd.MAP_GET_FD_BY_ID, id=number)
            assert name(result) == "ENOENT"

    same(script)


def test_a_load_whose_log_does_not_fit_takes_no_reference() -> None:
    side = Side("user")
    fd = create(side)
    obj, _ = runtime().fds.peek(fd, MapObj)
    insns, log = uses(fd), side.mem(8)
    side.step(
        "load", Cmd.PROG_LOAD, prog_type=1, insn_cnt=len(insns) // 8, insns=side.mem(insns), license=side.mem(b"GPL\0"),
        log_level=1, log_size=8, log_buf=log,
    )  # fmt: skip
    assert side.steps == [("load", "ENOSPC")]
    assert obj.refs == 1
    side.close_all()


def test_prog_array_lets_its_programs_go_when_user_space_cannot_reach_it() -> None:
    side = Side("user")
    array = create(side, map_type=MapType.PROG_ARRAY, value_size=4)
    prog = load(side, uses(array))
    number = int(sc.bpf_obj_get_info(prog, attr.PROG_INFO)["id"])
    array_number = map_id(array)
    sc.bpf_update_elem(array, bytes(4), prog.to_bytes(4, "little"))
    side.close(prog)
    prog = sc.bpf_prog_get_fd_by_id(number)
    sc.close(prog)
    side.close(array)
    assert attempt(sc.bpf_prog_get_fd_by_id, number) == "ENOENT"
    assert attempt(sc.bpf_map_get_fd_by_id, array_number) == "ENOENT"


def test_frozen_prog_array_lets_its_programs_go_too() -> None:
    side = Side("user")
    array = create(side, map_type=MapType.PROG_ARRAY, value_size=4)
    prog = load(side)
    number = int(sc.bpf_obj_get_info(prog, attr.PROG_INFO)["id"])
    sc.bpf_update_elem(array, bytes(4), prog.to_bytes(4, "little"))
    sc.bpf_map_freeze(array)
    assert attempt(sc.bpf_delete_elem, array, bytes(4)) == "EPERM"
    side.close(prog)
    side.close(array)
    assert attempt(sc.bpf_prog_get_fd_by_id, number) == "ENOENT"


def test_next_id_walks_all_ids() -> None:
    fds = [sc.bpf_create_map(1, 4, 4, 1) for _ in range(3)]
    wanted = {map_id(fd) for fd in fds}
    seen, at = set(), 0
    while True:
        try:
            at = sc.bpf_map_get_next_id(at)
        except OSError as exc:
            assert exc.errno == errno.ENOENT
            break
        seen.add(at)
    assert wanted <= seen
    for fd in fds:
        sc.close(fd)


def test_ids_that_cannot_be() -> None:
    def script(side: Side) -> None:
        for cmd in (Cmd.MAP_GET_NEXT_ID, Cmd.PROG_GET_NEXT_ID, Cmd.BTF_GET_NEXT_ID, Cmd.LINK_GET_NEXT_ID):
            for start in ((1 << 31) - 2, (1 << 31) - 1, 1 << 31, (1 << 32) - 1):
                side.step(f"{cmd.name} {start}", cmd, id=start)
        for cmd in (Cmd.MAP_GET_FD_BY_ID, Cmd.PROG_GET_FD_BY_ID, Cmd.BTF_GET_FD_BY_ID, Cmd.LINK_GET_FD_BY_ID):
            for number in (0, 0x7FFFFFF0, 1 << 31, (1 << 32) - 1):
                side.step(f"{cmd.name} {number}", cmd, id=number)
        fd = create(side)
        info = side.mem(attr.MAP_INFO.size)
        side.call(Cmd.OBJ_GET_INFO_BY_FD, bpf_fd=fd, info_len=attr.MAP_INFO.size, info=info)
        number = attr.MAP_INFO.read(ctypes.string_at(info, attr.MAP_INFO.size), "id")
        for flags in (0, 1, 8, 16, 24, 32, 1 << 31):
            got = side.step(f"open_flags {flags}", Cmd.MAP_GET_FD_BY_ID, id=number, open_flags=flags)
            assert got

    same(script)


def masked(side: Side, fd: int, layout: attr.Layout, size: int, hide: tuple[str, ...]) -> dict[str, object]:
    """An info struct without what differs by machine."""
    memory = side.mem(size)
    side.step(f"info of {size}", Cmd.OBJ_GET_INFO_BY_FD, bpf_fd=fd, info_len=size, info=memory)
    content = ctypes.string_at(memory, size).ljust(layout.size, b"\0")[: layout.size]
    return {k: v for k, v in layout.unpack(content).items() if k not in hide}


def test_map_info() -> None:
    def script(side: Side) -> None:
        fd = create(side, map_name=b"flows", map_flags=1)
        for size in (0, 1, 4, 8, 40, 80, attr.MAP_INFO.size, 200):
            side.note(f"size {size}", masked(side, fd, attr.MAP_INFO, size, ("id",)))
        dirty = side.mem(bytes(104) + b"\1")
        side.step("dirty tail", Cmd.OBJ_GET_INFO_BY_FD, bpf_fd=fd, info_len=105, info=dirty)
        side.step("page", Cmd.OBJ_GET_INFO_BY_FD, bpf_fd=fd, info_len=4096, info=side.mem(4096))
        side.step("more than a page", Cmd.OBJ_GET_INFO_BY_FD, bpf_fd=fd, info_len=4097, info=side.mem(4097))

    same(script)


MACHINE = (
    *("id", "load_time", "jited_prog_len", "xlated_prog_len", "nr_jited_ksyms", "nr_jited_func_lens"),
    *("jited_prog_insns", "xlated_prog_insns", "map_ids", "prog_tags"),
)


def test_prog_info() -> None:
    def script(side: Side) -> None:
        fd = create(side)
        prog = load(side, uses(fd), prog_name=b"probe")
        for size in (0, 4, 8, 80, 184, attr.PROG_INFO.size, 300):
            side.note(f"size {size}", masked(side, prog, attr.PROG_INFO, size, MACHINE))
        for members in ({"nr_map_ids": 1}, {"nr_map_ids": 5, "map_ids": 0x10}, {"func_info_rec_size": 4},
                        {"nr_line_info": 1}, {"xlated_prog_len": 8, "xlated_prog_insns": 0x10}):  # fmt: skip
            info = side.mem(bytes(attr.PROG_INFO.pack(**members)))
            side.step(f"{members}", Cmd.OBJ_GET_INFO_BY_FD, bpf_fd=prog, info_len=attr.PROG_INFO.size, info=info)
        ids = side.mem(16)
        info = side.mem(bytes(attr.PROG_INFO.pack(nr_map_ids=4, map_ids=ids)))
        side.step("map ids", Cmd.OBJ_GET_INFO_BY_FD, bpf_fd=prog, info_len=attr.PROG_INFO.size, info=info)
        content = ctypes.string_at(info, attr.PROG_INFO.size)
        side.note("count", f"{attr.PROG_INFO.read(content, 'nr_map_ids')}")
        side.note("one id", [bool(i) for i in ctypes.string_at(ids, 16)][::4])

    same(script)


def test_tag_is_linux_s() -> None:
    def script(side: Side) -> None:
        for insns in (RETURN_2, uses(create(side))):
            prog = load(side, insns)
            side.note("tag", masked(side, prog, attr.PROG_INFO, attr.PROG_INFO.size, ())["tag"])

    same(script)


def test_pins(tmp_path: Path) -> None:
    fd = sc.bpf_create_map(1, 4, 4, 1)
    number = map_id(fd)
    path = tmp_path / "flows"
    sc.bpf_obj_pin(fd, path)
    assert attempt(sc.bpf_obj_pin, fd, path) == "EEXIST"
    sc.close(fd)
    again = sc.bpf_obj_get(f"{tmp_path}/../{tmp_path.name}/flows")
    assert map_id(again) == number
    sc.close(again)
    sc.unpin(path)
    assert attempt(sc.bpf_map_get_fd_by_id, number) == "ENOENT"
    assert attempt(sc.bpf_obj_get, path) == "ENOENT"
    assert attempt(sc.unpin, path) == "ENOENT"


def test_pin_paths_that_cannot_be(tmp_path: Path) -> None:
    fd = sc.bpf_create_map(1, 4, 4, 1)
    (tmp_path / "file").write_text("")
    for path, wanted in (
        (tmp_path / "missing" / "x", "ENOENT"),
        (tmp_path / "file" / "x", "ENOTDIR"),
        (tmp_path / "file", "EEXIST"),
        ("", "ENOENT"),
        (tmp_path / ("n" * 256), "ENAMETOOLONG"),
        ("/", "EEXIST"),
    ):
        assert (str(path), attempt(sc.bpf_obj_pin, fd, path)) == (str(path), wanted)
    assert attempt(sc.bpf_obj_get, tmp_path / "file") == "EACCES"
    assert attempt(sc.bpf_obj_pin, 12345, tmp_path / "y") == "EBADF"
    sc.close(fd)


def test_a_pinned_read_only_fd(tmp_path: Path) -> None:
    fd = sc.bpf_create_map(1, 4, 4, 1)
    sc.bpf_obj_pin(fd, tmp_path / "m")
    reader = sc.bpf_obj_get(tmp_path / "m", 8)
    assert attempt(sc.bpf_update_elem, reader, bytes(4), bytes(4)) == "EPERM"
    assert attempt(sc.bpf_lookup_elem, reader, bytes(4)) == "ENOENT"
    sc.unpin(tmp_path / "m")
    sc.close(reader)
    sc.close(fd)


def test_stats_count_while_the_switch_is_open() -> None:
    side = Side("user")
    prog = load(side)
    sc.bpf_prog_test_run(prog, bytes(14), repeat=3)
    switch = sc.bpf_enable_stats()
    sc.bpf_prog_test_run(prog, bytes(14), repeat=5)
    sc.close(switch)
    sc.bpf_prog_test_run(prog, bytes(14), repeat=7)
    assert sc.bpf_obj_get_info(prog, attr.PROG_INFO)["run_cnt"] == 5
    side.close_all()


def test_two_threads_open_and_close() -> None:
    fd = sc.bpf_create_map(1, 4, 4, 1)
    number = map_id(fd)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(2000):
                mine = sc.bpf_map_get_fd_by_id(number)
                sc.bpf_update_elem(mine, bytes(4), bytes(4))
                sc.close(mine)
        except BaseException as exc:
            errors.append(exc)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    obj = runtime().maps.get(number)
    assert obj.refs == 2
    obj.put()
    sc.close(fd)


def test_a_child_has_its_own_copy() -> None:
    fd = sc.bpf_create_map(1, 4, 4, 2)
    sc.bpf_update_elem(fd, bytes(4), b"mine")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            seen = sc.bpf_lookup_elem(fd, bytes(4))
            sc.bpf_update_elem(fd, bytes(4), b"hers")
            sc.close(sc.bpf_create_map(1, 4, 4, 1))
            sc.close(fd)
            code = 0 if seen == b"mine" else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert sc.bpf_lookup_elem(fd, bytes(4)) == b"mine"
    sc.close(fd)
