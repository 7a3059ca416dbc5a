"""Elements of maps through bpf(2), step by step as Linux does it."""

import pytest

from pyebpf.spec import kinds
from pyebpf.spec.kinds import Cmd, MapType
from tests.runtime.duo import Side, create, load, same

LOOKUP, UPDATE, DELETE, NEXT, POP, FREEZE = (
    Cmd.MAP_LOOKUP_ELEM,
    Cmd.MAP_UPDATE_ELEM,
    Cmd.MAP_DELETE_ELEM,
    Cmd.MAP_GET_NEXT_KEY,
    Cmd.MAP_LOOKUP_AND_DELETE_ELEM,
    Cmd.MAP_FREEZE,
)


def read(side: Side, fd: int, key: bytes, size: int = 8) -> str | bytes:
    """The value, or the errno's name."""
    import ctypes

    value = side.mem(b"\xaa" * size)
    result, _ = side.call(LOOKUP, map_fd=fd, key=side.mem(key), value=value)
    return ctypes.string_at(value, size) if result == 0 else str(result)


def u32(n: int) -> bytes:
    return n.to_bytes(4, "little")


@pytest.mark.parametrize("kind", [MapType.HASH, MapType.ARRAY])
def test_update_lookup_delete(kind: MapType) -> None:
    def script(side: Side) -> None:
        fd = create(side, map_type=kind, max_entries=3)
        for flags in (0, 1, 2, 3, 4, 5, 8, 1 << 32, 1 << 63):
            for key in (0, 1, 2, 3, 2**32 - 1):
                value = side.mem(bytes([key & 255, flags & 255]) * 4)
                side.step(f"update {key} {flags}", UPDATE, map_fd=fd, key=side.mem(u32(key)), value=value, flags=flags)
                side.note(f"read {key}", read(side, fd, u32(key)))
        for key in (0, 1, 2, 3, 4, 5):
            side.step(f"delete {key}", DELETE, map_fd=fd, key=side.mem(u32(key)))
            side.note(f"read {key}", read(side, fd, u32(key)))
        for flags in (1, 4, 8):
            side.step(f"lookup {flags}", LOOKUP, map_fd=fd, key=side.mem(4), value=side.mem(8), flags=flags)
            side.step(f"pop {flags}", POP, map_fd=fd, key=side.mem(4), value=side.mem(8), flags=flags)
        side.step("pop missing", POP, map_fd=fd, key=side.mem(u32(9)), value=side.mem(8))

    same(script)


@pytest.mark.parametrize("kind", [MapType.HASH, MapType.ARRAY, MapType.PERCPU_HASH, MapType.PERCPU_ARRAY])
def test_iteration_sees_every_key_once(kind: MapType) -> None:
    import ctypes

    def script(side: Side) -> None:
        fd = create(side, map_type=kind, max_entries=50)
        side.step("empty", NEXT, map_fd=fd, key=0, next_key=side.mem(4))
        for key in range(50):
            side.step("fill", UPDATE, map_fd=fd, key=side.mem(u32(key)), value=side.mem(4096))
        seen = []
        key, result = 0, 0
        while True:
            following = side.mem(4)
            result, _ = side.call(NEXT, map_fd=fd, key=key, next_key=following)
            if result:
                break
            seen.append(ctypes.string_at(following, 4))
            key = following
        side.note("keys", sorted(seen))
        side.note("end", result)
        first = side.mem(4)
        side.step("after a key that is not there", NEXT, map_fd=fd, key=side.mem(u32(999)), next_key=first)

    same(script)


def test_access_flags_of_the_fd() -> None:
    def script(side: Side) -> None:
        for flags in (kinds.BPF_F_RDONLY, kinds.BPF_F_WRONLY):
            fd = create(side, map_flags=flags)
            key, value = side.mem(4), side.mem(8)
            for cmd in (UPDATE, LOOKUP, POP, NEXT, DELETE, FREEZE):
                named = {"next_key": value} if cmd == NEXT else {} if cmd in (DELETE, FREEZE) else {"value": value}
                side.step(f"{flags} {cmd.name}", cmd, map_fd=fd, **({} if cmd == FREEZE else {"key": key}), **named)
            side.step("info", Cmd.OBJ_GET_INFO_BY_FD, bpf_fd=fd, info_len=80, info=side.mem(80))

    same(script)


def test_frozen_map_takes_no_writes() -> None:
    def script(side: Side) -> None:
        fd = create(side)
        key, value = side.mem(4), side.mem(8)
        side.step("update", UPDATE, map_fd=fd, key=key, value=value)
        side.step("freeze", FREEZE, map_fd=fd)
        side.step("freeze again", FREEZE, map_fd=fd)
        side.step("lookup", LOOKUP, map_fd=fd, key=key, value=value)
        side.step("update frozen", UPDATE, map_fd=fd, key=key, value=value)
        side.step("delete frozen", DELETE, map_fd=fd, key=key)
        side.step("pop frozen", POP, map_fd=fd, key=key, value=value)

    same(script)


def test_full_hash() -> None:
    def script(side: Side) -> None:
        fd = create(side, max_entries=2)
        for key in range(4):
            side.step(f"key {key}", UPDATE, map_fd=fd, key=side.mem(u32(key)), value=side.mem(8))
        side.step("replace", UPDATE, map_fd=fd, key=side.mem(u32(0)), value=side.mem(8))

    same(script)


def test_fds_of_the_wrong_kind() -> None:
    def script(side: Side) -> None:
        prog, fd = load(side), create(side)
        closed = create(side)
        side.close(closed)
        key, value = side.mem(4), side.mem(8)
        for label, bad in (("program", prog), ("closed", closed), ("-1", 2**32 - 1), ("large", 2**31 - 1)):
            for cmd in (UPDATE, LOOKUP, DELETE, NEXT, POP, FREEZE):
                named = {"next_key": value} if cmd == NEXT else {} if cmd in (DELETE, FREEZE) else {"value": value}
                side.step(f"{label} {cmd.name}", cmd, map_fd=bad, **({} if cmd == FREEZE else {"key": key}), **named)
            side.step(f"{label} info", Cmd.OBJ_GET_INFO_BY_FD, bpf_fd=bad, info_len=0)
            side.step(f"{label} bind", Cmd.PROG_BIND_MAP, prog_fd=prog, map_fd=bad)
        side.step("map as program", Cmd.PROG_TEST_RUN, prog_fd=fd)
        side.step("map bound to a map", Cmd.PROG_BIND_MAP, prog_fd=fd, map_fd=fd)
        side.step("bind with flags", Cmd.PROG_BIND_MAP, prog_fd=prog, map_fd=fd, flags=1)
        side.step("bind", Cmd.PROG_BIND_MAP, prog_fd=prog, map_fd=fd)
        side.step("bind again", Cmd.PROG_BIND_MAP, prog_fd=prog, map_fd=fd)

    same(script)


def test_prog_array() -> None:
    def script(side: Side) -> None:
        fd = create(side, map_type=MapType.PROG_ARRAY, value_size=4, max_entries=2)
        filter_prog, xdp = load(side), load(side, prog_type=6)

        def put(index: int, prog: int, flags: int = 0) -> None:
            side.step(
                f"put {index} {flags}", UPDATE, map_fd=fd, key=side.mem(u32(index)), value=side.mem(u32(prog)),
                flags=flags,
            )  # fmt: skip

        side.note("empty", read(side, fd, u32(0), 4))
        side.step("delete empty", DELETE, map_fd=fd, key=side.mem(u32(0)))
        put(0, filter_prog)
        side.note("holds an id", isinstance(read(side, fd, u32(0), 4), bytes))
        put(1, xdp)
        put(2, filter_prog)
        put(0, filter_prog, 1)
        put(0, filter_prog, 2)
        put(1, 12345)
        put(1, fd)
        side.note("past the end", read(side, fd, u32(2), 4))
        side.step("delete past the end", DELETE, map_fd=fd, key=side.mem(u32(2)))
        side.step("delete", DELETE, map_fd=fd, key=side.mem(u32(0)))
        side.step("pop", POP, map_fd=fd, key=side.mem(4), value=side.mem(4))

    same(script)


@pytest.mark.parametrize("kind", [MapType.HASH, MapType.ARRAY])
def test_batches(kind: MapType) -> None:
    import ctypes

    def script(side: Side) -> None:
        fd = create(side, map_type=kind, max_entries=10)

        def batch(label: str, cmd: Cmd, **members: int | bytes) -> int:
            attr = side.step(label, cmd, map_fd=fd, **members)
            count = int.from_bytes(attr[32:36], "little")
            side.note(f"{label} count", f"{count}")
            return count

        keys = side.mem(b"".join(u32(k) for k in range(10)))
        values = side.mem(b"".join(bytes([k]) * 8 for k in range(10)))
        out_keys, out_values, cursor = side.mem(80), side.mem(160), side.mem(8)
        batch("update none", Cmd.MAP_UPDATE_BATCH, keys=keys, values=values, count=0)
        batch("update", Cmd.MAP_UPDATE_BATCH, keys=keys, values=values, count=10)
        batch("update flags", Cmd.MAP_UPDATE_BATCH, keys=keys, values=values, count=1, elem_flags=8)
        batch("too many", Cmd.MAP_UPDATE_BATCH, keys=side.mem(b"".join(u32(k) for k in range(20, 31))),
              values=side.mem(88), count=11)  # fmt: skip
        if kind == MapType.HASH:
            for key in range(20, 31):
                side.call(DELETE, map_fd=fd, key=side.mem(u32(key)))
            batch("update again", Cmd.MAP_UPDATE_BATCH, keys=keys, values=values, count=10)
        got = batch("all", Cmd.MAP_LOOKUP_BATCH, keys=out_keys, values=out_values, count=20, out_batch=cursor)
        side.note("keys", sorted(ctypes.string_at(out_keys + 4 * i, 4) for i in range(got)))
        side.note("values", sorted(ctypes.string_at(out_values + 8 * i, 8) for i in range(got)))
        batch("go on", Cmd.MAP_LOOKUP_BATCH, keys=out_keys, values=out_values, count=20, in_batch=cursor,
              out_batch=cursor)  # fmt: skip
        batch("bad keys", Cmd.MAP_LOOKUP_BATCH, keys=0x10, values=out_values, count=20, out_batch=cursor)
        batch("bad cursor", Cmd.MAP_LOOKUP_BATCH, keys=out_keys, values=out_values, count=20, in_batch=0x10,
              out_batch=cursor)  # fmt: skip
        batch("delete some", Cmd.MAP_DELETE_BATCH, keys=keys, count=3)
        batch("delete them again", Cmd.MAP_DELETE_BATCH, keys=keys, count=3)
        got = batch("drain", Cmd.MAP_LOOKUP_AND_DELETE_BATCH, keys=out_keys, values=out_values, count=20,
                    out_batch=cursor)  # fmt: skip
        if kind == MapType.HASH:
            side.note("drained", sorted(ctypes.string_at(out_keys + 4 * i, 4) for i in range(got)))
            side.step("is empty", NEXT, map_fd=fd, key=0, next_key=out_keys)

    same(script)
