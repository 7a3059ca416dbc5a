"""BTF_LOAD, and PROG_LOAD with func_info and line_info, as Linux takes and refuses them."""

import ctypes
import struct

import pytest

from pyebpf import CollectionSpec
from pyebpf.runtime.state import runtime
from pyebpf.spec import attr
from pyebpf.spec.attr import ATTR
from pyebpf.spec.kinds import Cmd
from tests.objects import build
from tests.runtime.duo import BAD_POINTER, Side, create, same


@pytest.fixture(scope="module")
def spec() -> CollectionSpec:
    return CollectionSpec.load(build.zig("count"), name="count")


def load_btf(side: Side, raw: bytes) -> int:
    return side.fd(Cmd.BTF_LOAD, btf=side.mem(raw), btf_size=len(raw))


def test_btf_is_loaded_and_read_back(spec: CollectionSpec) -> None:
    assert spec.btf is not None
    raw = spec.btf.raw

    def script(side: Side) -> None:
        fd = load_btf(side, raw)
        room = side.mem(len(raw))
        info = side.mem(bytes(attr.BTF_INFO.pack(btf=room, btf_size=len(raw))))
        side.step("info", Cmd.OBJ_GET_INFO_BY_FD, bpf_fd=fd, info_len=attr.BTF_INFO.size, info=info)
        content = ctypes.string_at(info, attr.BTF_INFO.size)
        side.note("size", f"{attr.BTF_INFO.read(content, 'btf_size')}")
        side.note("content", ctypes.string_at(room, len(raw)) == raw)
        number = attr.BTF_INFO.read(content, "id")
        again, _ = side.call(Cmd.BTF_GET_FD_BY_ID, id=number)
        side.note("by id", again)
        for size, name_len, name in ((8, 0, 0), (32, 4, 0), (32, 0, side.mem(8)), (32, 8, side.mem(8))):
            info = side.mem(bytes(attr.BTF_INFO.pack(name=name, name_len=name_len)))
            side.step(f"info {size} {name_len}", Cmd.OBJ_GET_INFO_BY_FD, bpf_fd=fd, info_len=size, info=info)

    same(script)


def test_btf_members_and_damage(spec: CollectionSpec) -> None:
    assert spec.btf is not None
    raw = spec.btf.raw

    def script(side: Side) -> None:
        def attempt(label: str, content: bytes, **more: int | bytes) -> None:
            side.step(label, Cmd.BTF_LOAD, **{"btf": side.mem(content), "btf_size": len(content), **more})

        attempt("whole", raw)
        attempt("nothing", b"")
        attempt("header only", raw[:24])
        attempt("half a header", raw[:11])
        attempt("cut", raw[:-1])
        attempt("longer", raw + b"\0")
        attempt("bad address", raw, btf=BAD_POINTER)
        attempt("too large", raw, btf_size=(16 << 20) + 1)
        attempt("flags", raw, btf_flags=1)
        attempt("log without level", raw, btf_log_buf=side.mem(64), btf_log_size=64)
        attempt("log without buffer", raw, btf_log_size=64, btf_log_level=1)
        attempt("log", raw, btf_log_buf=side.mem(1 << 16), btf_log_size=1 << 16, btf_log_level=1)
        for at in range(24):
            damaged = bytearray(raw)
            damaged[at] ^= 0xFF
            attempt(f"header byte {at}", bytes(damaged))

    same(script)


def program(side: Side, spec: CollectionSpec, **more: int | bytes) -> dict[str, int | bytes]:
    """PROG_LOAD of the object's program with its debug information."""
    prog = spec.programs["count"]
    assert spec.btf is not None
    assert prog.func_info is not None
    assert prog.line_info is not None
    fds = []
    for name in prog.maps:
        m = spec.maps[name]
        fds.append(
            create(
                side,
                map_type=m.type,
                key_size=m.key_size,
                value_size=m.value_size,
                max_entries=m.max_entries,
                map_flags=m.flags,
            )
        )
    funcs, lines = prog.func_info.tobytes(), prog.line_info.tobytes()
    return {
        "prog_type": prog.type,
        "insn_cnt": len(prog.insns) // 8,
        "insns": side.mem(prog.insns),
        "license": side.mem(b"GPL\0"),
        "fd_array": side.mem(struct.pack(f"<{len(fds)}i", *fds)),
        "prog_btf_fd": load_btf(side, spec.btf.raw),
        "func_info": side.mem(funcs),
        "func_info_rec_size": 8,
        "func_info_cnt": len(funcs) // 8,
        "line_info": side.mem(lines),
        "line_info_rec_size": 16,
        "line_info_cnt": len(lines) // 16,
        **more,
    }


def test_program_with_debug_information(spec: CollectionSpec) -> None:
    def script(side: Side) -> None:
        log = side.mem(1 << 16)
        members = program(side, spec, log_level=1, log_size=1 << 16, log_buf=log)
        fd, _ = side.call(Cmd.PROG_LOAD, **members)
        side.note("load", fd)
        room_f, room_l = side.mem(1 << 12), side.mem(1 << 12)
        info = side.mem(bytes(attr.PROG_INFO.pack(
            func_info=room_f, nr_func_info=16, func_info_rec_size=8, line_info=room_l, nr_line_info=64,
            line_info_rec_size=16,
        )))  # fmt: skip
        side.step("info", Cmd.OBJ_GET_INFO_BY_FD, bpf_fd=fd, info_len=attr.PROG_INFO.size, info=info)
        content = ctypes.string_at(info, attr.PROG_INFO.size)
        side.note("btf", attr.PROG_INFO.read(content, "btf_id") > 0)
        side.note("functions", ctypes.string_at(room_f, 16))

    same(script)


FUNCS_WRONG = {
    "rec size 4": {"func_info_rec_size": 4},
    "rec size 9": {"func_info_rec_size": 9},
    "rec size 256": {"func_info_rec_size": 256},
    "address": {"func_info": BAD_POINTER},
    "btf fd": {"prog_btf_fd": 12345},
    "line rec size 8": {"line_info_rec_size": 8},
    "line rec size 18": {"line_info_rec_size": 18},
    "line address": {"line_info": BAD_POINTER},
    "only lines": {"func_info_cnt": 0},
    "only functions": {"line_info_cnt": 0},
    "one line": {"line_info_cnt": 1},
}


@pytest.mark.parametrize("change", FUNCS_WRONG.values(), ids=FUNCS_WRONG)
def test_records_that_are_wrong(spec: CollectionSpec, change: dict[str, int]) -> None:
    def script(side: Side) -> None:
        log = side.mem(1 << 16)
        side.step("load", Cmd.PROG_LOAD, **program(side, spec, log_level=8, log_size=1 << 16, log_buf=log, **change))
        text = ctypes.string_at(log).decode()
        side.note("message", text.split("processed")[0] if "processed" in text else text)

    same(script)


RECORDS = {
    "first function not at 0": ("func_info", [(1, 0)]),
    "function type that is none": ("func_info", [(0, 9999)]),
    "function type that is no function": ("func_info", [(0, 1)]),
    "two functions at one place": ("func_info", [(0, -1), (0, -1)]),
    "line past the end": ("line_info", [(0, 1, 1, 1), (5000, 1, 1, 1)]),
    "lines not in order": ("line_info", [(0, 1, 1, 1), (3, 1, 1, 1), (3, 1, 1, 1)]),
    "string past the end": ("line_info", [(0, 1 << 20, 1, 1)]),
    "text past the end": ("line_info", [(0, 1, 1 << 20, 1)]),
    "no line for the function": ("line_info", [(1, 1, 1, 1)]),
}


@pytest.mark.parametrize("what", RECORDS.values(), ids=RECORDS)
def test_records_that_lie(spec: CollectionSpec, what: tuple[str, list[tuple[int, ...]]]) -> None:
    member, rows = what
    prog = spec.programs["count"]
    assert prog.func_info is not None
    func_type = int(prog.func_info.tolist()[0][1])

    def script(side: Side) -> None:
        log = side.mem(1 << 16)
        width = len(rows[0])
        packed = b"".join(struct.pack(f"<{width}I", *(func_type if v < 0 else v for v in row)) for row in rows)
        change = {member: side.mem(packed), f"{member}_cnt": len(rows)}
        side.step("load", Cmd.PROG_LOAD, **program(side, spec, log_level=8, log_size=1 << 16, log_buf=log, **change))
        side.note("message", ctypes.string_at(log).decode().split("processed")[0])

    same(script)


@pytest.mark.parametrize(("member", "width"), [("func_info", 8), ("line_info", 16)])
def test_longer_records(spec: CollectionSpec, member: str, width: int) -> None:
    raw = getattr(spec.programs["count"], member).tobytes()

    def script(side: Side) -> None:
        for tail in (bytes(8), b"\1" + bytes(7)):
            log = side.mem(1 << 16)
            rows = b"".join(raw[i : i + width] + tail for i in range(0, len(raw), width))
            change = {member: side.mem(rows), f"{member}_rec_size": width + 8, "log_buf": log, "log_level": 8}
            back = side.step("load", Cmd.PROG_LOAD, **program(side, spec, log_size=1 << 16, **change))
            side.note("size", f"{ATTR[Cmd.PROG_LOAD].read(back, f'{member}_rec_size')}")
            side.note("message", ctypes.string_at(log).decode().split("processed")[0])

    same(script)


def test_maps_with_btf_types(spec: CollectionSpec) -> None:
    assert spec.btf is not None
    raw, m = spec.btf.raw, spec.maps["counts"]

    def script(side: Side) -> None:
        btf = load_btf(side, raw)
        base: dict[str, int | bytes] = {"map_type": 1, "key_size": 4, "value_size": 8, "max_entries": 4, "btf_fd": btf}

        def attempt(label: str, **more: int | bytes) -> None:
            side.step(label, Cmd.MAP_CREATE, **{**base, **more})

        attempt("types", btf_key_type_id=m.key_type_id, btf_value_type_id=m.value_type_id)
        attempt("swapped", btf_key_type_id=m.value_type_id, btf_value_type_id=m.key_type_id)
        attempt("no such type", btf_key_type_id=9999, btf_value_type_id=m.value_type_id)
        attempt("no such value type", btf_key_type_id=m.key_type_id, btf_value_type_id=9999)
        attempt("value only", btf_value_type_id=m.value_type_id)
        attempt("a map as BTF", btf_key_type_id=1, btf_value_type_id=1, btf_fd=create(side))

    same(script)


def test_program_holds_its_btf(spec: CollectionSpec) -> None:
    side = Side("user")
    members = program(side, spec)
    prog = side.fd(Cmd.PROG_LOAD, **members)
    btf = members["prog_btf_fd"]
    assert isinstance(btf, int)
    number = runtime().fds.file(btf).obj.id
    side.close(btf)
    runtime().btfs.get(number).put()
    side.close(prog)
    side.step("gone", Cmd.BTF_GET_FD_BY_ID, id=number)
    assert side.steps == [("gone", "ENOENT")]
    side.close_all()
