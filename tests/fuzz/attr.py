"""Fuzzes bpf(): `python -m tests.fuzz.attr --seconds N --seed S`.

A stateful walk: commands with members drawn from what is there (fds, ids, addresses) and from what is not. Only OSError
may come out, and a map that no call names keeps what it holds. Addresses lie in an arena between guard pages or where
nothing is mapped, so that what bpf() writes, right or wrong, harms nobody else. What fails is printed with its step;
the same seed gives the same walk.
"""

import argparse
import ctypes
import mmap
import random
import struct
import sys
import time
import traceback

import pyebpf.syscall as sc
from pyebpf import CollectionSpec
from pyebpf.isa.asm import assemble
from pyebpf.isa.insn import encode
from pyebpf.runtime.state import runtime
from pyebpf.spec.attr import ATTR, ATTR_SIZE, Layout
from pyebpf.spec.kinds import Cmd, MapType, ProgType
from tests.objects import build

ARENA = 1 << 20
MAX_FDS = 64
NUMBERS = (0, 1, 2, 3, 4, 5, 7, 8, 12, 14, 16, 56, 64, 100, 192, 255, 256, 511, 512, 1000, 4095, 4096, 65535)
LARGE = (1 << 16, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)
TEXTS = (
    "r0 = 2\n exit",
    "r0 = *(u32 *)(r1 + 0)\n exit",
    "r0 = r3\n exit",
    "again: goto again\n exit",
    "r1 = m ll\n r2 = r10\n r2 += -4\n *(u32 *)(r10 - 4) = 0\n call map_lookup_elem\n r0 = 0\n exit",
    "r2 = *(u32 *)(r1 + 76)\n r3 = *(u32 *)(r1 + 80)\n r0 = 0\n exit",
)
POINTERS = frozenset(
    "key value next_key in_batch out_batch keys values insns license log_buf func_info line_info fd_array core_relos "
    "signature pathname data_in data_out ctx_in ctx_out info prog_ids prog_attach_flags link_ids link_attach_flags "
    "name btf btf_log_buf buf excl_prog_hash stream_buf path_or_syms offsets_or_addrs ref_ctr_offsets_or_cookies "
    "uprobe_cookies cookie".split()
)


NEEDED = ("map_type", "prog_type", "insn_cnt", "key_size")


class Arena:
    """Memory for attr's pointers, between guard pages."""

    def __init__(self) -> None:
        self.map = mmap.mmap(-1, ARENA + 2 * mmap.PAGESIZE)
        base = ctypes.addressof(ctypes.c_char.from_buffer(self.map))
        libc = ctypes.CDLL(None, use_errno=True)
        for guard in (base, base + mmap.PAGESIZE + ARENA):
            assert libc.mprotect(ctypes.c_void_p(guard), mmap.PAGESIZE, 0) == 0
        self.start = base + mmap.PAGESIZE

    def fill(self, rng: random.Random, fds: list[int]) -> None:
        """Programs, strings, numbers and fds all over it."""
        for _ in range(64):
            at = rng.randrange(0, ARENA - 4096) // 8 * 8
            self.write(at, self.content(rng, fds))

    def content(self, rng: random.Random, fds: list[int]) -> bytes:
        """Something that a pointer may lead to."""
        pick = rng.randrange(5)
        if pick == 0:
            return program(rng, fds)
        if pick == 1:
            return rng.choice((b"GPL\0", b"MIT\0", b"/tmp/pyebpf-fuzz\0", b"\0", b"x" * 300))
        if pick == 2:
            return struct.pack("<8i", *(rng.choice(fds or [0]) for _ in range(8)))
        return rng.randbytes(rng.choice((8, 64, 300)))

    def write(self, at: int, content: bytes) -> None:
        start = mmap.PAGESIZE + at
        self.map[start : start + len(content)] = content

    def address(self, rng: random.Random) -> int:
        """An address, most often a good one."""
        pick = rng.random()
        if pick < 0.8:
            return self.start + rng.randrange(0, ARENA - 4096) // 8 * 8
        if pick < 0.9:
            return self.start + ARENA - rng.choice((0, 1, 4, 8, 64))
        return rng.choice((0, 1, 4095, 1 << 47, 1 << 63, (1 << 64) - 8, (1 << 64) - 1, self.start - 1))


def program(rng: random.Random, fds: list[int]) -> bytes:
    """Instructions: a text, or one with damage."""
    text = rng.choice(TEXTS)
    code = bytearray(encode(assemble(text, {"m": rng.choice(fds or [1 << 30])})))
    for _ in range(rng.choice((0, 0, 0, 1, 2))):
        code[rng.randrange(len(code))] = rng.randrange(256)
    return bytes(code)


class Walk:
    """The state of one run."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.arena = Arena()
        self.fds: list[int] = []
        self.ids: list[int] = []
        self.sentinel = sc.bpf_create_map(MapType.HASH, 4, 8, 4, name="sentinel")
        sc.bpf_update_elem(self.sentinel, b"keep", b"as it is")
        self.steps = self.accepted = 0
        spec = CollectionSpec.load(build.zig("count"))
        assert spec.btf is not None
        self.btf = spec.btf.raw

    def member(self, name: str, size: int) -> int:
        """A value for a member of attr."""
        rng = self.rng
        if name in POINTERS and size == 8:
            return self.arena.address(rng)
        if name.endswith("fd") and self.fds and rng.random() < 0.9:
            return rng.choice(self.fds)
        if name == "id":
            return rng.choice(self.ids) if self.ids and rng.random() < 0.8 else 1_000_000 + rng.choice(NUMBERS)
        if name == "map_type":
            return rng.choice([*MapType, 99])
        if name == "prog_type":
            return rng.choice([*ProgType, 99]) & 0xFFFFFFFF
        if name in ("insn_cnt", "count", "fd_array_cnt"):
            return rng.choice((0, 1, 2, 3, 5, 8, 100))
        if name.endswith(("flags", "_level")):
            return rng.choice((0, 0, 0, 1, 2, 1 << rng.randrange(32)))
        return rng.choice(NUMBERS if rng.random() < 0.95 else LARGE)

    def plausible(self, cmd: Cmd) -> dict[str, int]:
        """Members that make sense together; {} for a command without such a set."""
        rng, start = self.rng, self.arena.start
        here = start + rng.randrange(0, ARENA - 8192) // 8 * 8
        fd = rng.choice(self.fds) if self.fds else 0
        if cmd == Cmd.MAP_CREATE:
            kind = rng.choice((MapType.HASH, MapType.ARRAY, MapType.PERCPU_HASH, MapType.PROG_ARRAY, MapType.QUEUE))
            keyless = kind == MapType.QUEUE
            value = 4 if kind == MapType.PROG_ARRAY else 8
            return {"map_type": kind, "key_size": 0 if keyless else 4, "value_size": value, "max_entries": 8}
        if cmd == Cmd.PROG_LOAD:
            code = program(rng, self.fds)
            self.arena.write(0, code)
            self.arena.write(4000, b"GPL\0")
            log = {"log_level": 1, "log_size": rng.choice((16, 4096)), "log_buf": here} if rng.random() < 0.5 else {}
            kind = rng.choice((ProgType.SOCKET_FILTER, ProgType.XDP, ProgType.SCHED_CLS))
            if rng.random() < 0.3:  # Debug information, mostly wrong.
                self.arena.write(4096, struct.pack("<II", 0, rng.randrange(30)) + bytes(8))
                self.arena.write(4200, struct.pack("<IIII", 0, rng.randrange(99), rng.randrange(99), 1024) * 2)
                log |= {"prog_btf_fd": fd, "func_info": start + 4096, "func_info_cnt": 1, "func_info_rec_size": 8}
                log |= {"line_info": start + 4200, "line_info_cnt": rng.randrange(3), "line_info_rec_size": 16}
            return {"prog_type": kind, "insn_cnt": len(code) // 8, "insns": start, "license": start + 4000, **log}
        if cmd == Cmd.BTF_LOAD:
            blob = bytearray(self.btf)
            for _ in range(rng.choice((0, 1, 2))):
                blob[rng.randrange(len(blob))] = rng.randrange(256)
            self.arena.write(8192, bytes(blob))
            return {"btf": start + 8192, "btf_size": len(blob)}
        if cmd == Cmd.PROG_TEST_RUN:
            return {"prog_fd": fd, "data_in": here, "data_size_in": 64, "data_out": here, "data_size_out": 64}
        if cmd == Cmd.MAP_GET_NEXT_KEY:
            return {"map_fd": fd, "key": rng.choice((0, here)), "next_key": here}
        if cmd in (Cmd.MAP_UPDATE_ELEM, Cmd.MAP_LOOKUP_ELEM, Cmd.MAP_LOOKUP_AND_DELETE_ELEM, Cmd.MAP_DELETE_ELEM):
            self.arena.write(here - start, struct.pack("<I", rng.randrange(9)))
            if rng.random() < 0.3:
                self.arena.write(here - start + 8, struct.pack("<I", fd))
            return {"map_fd": fd, "key": here} | ({} if cmd == Cmd.MAP_DELETE_ELEM else {"value": here + 8})
        if cmd == Cmd.OBJ_GET_INFO_BY_FD:
            return {"bpf_fd": fd, "info_len": rng.choice((8, 80, 232)), "info": start + ARENA - 4096}
        if cmd.name.endswith("_BATCH"):
            return {"map_fd": fd, "keys": here, "values": here + 1024, "out_batch": here + 4096, "count": 8}
        return {}

    def sensible(self, cmd: Cmd) -> bytearray:
        """A plausible attr, now and then with one member changed."""
        layout = ATTR[cmd]
        members = self.plausible(cmd)
        if not members:
            return self.attr(layout)
        attr = layout.pack(**members)
        if self.rng.random() < 0.4:
            name = self.rng.choice([n for n, place in layout.members.items() if place.codec is not None])
            layout.write(attr, name, self.member(name, layout.members[name].size))
        return attr

    def attr(self, layout: Layout) -> bytearray:
        """Members of one command, most of them zero."""
        attr = bytearray(ATTR_SIZE)
        density = self.rng.choice((0.3, 0.6, 1.0))
        for name, place in layout.members.items():
            needed = (
                name.endswith("fd") or name in POINTERS or name in ("map_type", "prog_type", "insn_cnt", "key_size")
            )
            if place.codec is None or (not needed and self.rng.random() > density * 0.5):
                continue
            layout.write(attr, name, self.member(name, place.size))
        if self.rng.random() < 0.05:
            attr += bytes([self.rng.randrange(2)]) * self.rng.choice((1, 8, 4000))
        if self.rng.random() < 0.05:
            del attr[self.rng.randrange(len(attr)) :]
        return attr

    def step(self) -> None:
        """One call."""
        rng = self.rng
        if self.steps % 50 == 0:
            self.arena.fill(rng, self.fds)
        cmd = rng.choice([*Cmd, Cmd.MAP_CREATE, Cmd.PROG_LOAD, Cmd.PROG_LOAD, 99])
        if cmd in ATTR and rng.random() < 0.6:
            attr = self.sensible(Cmd(cmd))
        else:
            attr = self.attr(ATTR[Cmd(cmd)] if cmd in ATTR else ATTR[Cmd.MAP_CREATE])
        self.last = (cmd, bytes(attr))
        self.steps += 1
        try:
            fd = sc.bpf(cmd, attr, caps=rng.choice(("all", "all", "bpf", "none")))
        except OSError as exc:
            assert exc.errno, f"an error without errno: {exc!r}"
        else:
            self.accepted += 1
            if fd:
                self.fds.append(fd)
        if len(self.fds) > MAX_FDS or (self.fds and rng.random() < 0.02):
            sc.close(self.fds.pop(rng.randrange(len(self.fds))))
        if self.steps % 200 == 0:
            self.check()

    def check(self) -> None:
        """What no call named is as it was; ids are those of live objects."""
        assert sc.bpf_lookup_elem(self.sentinel, b"keep") == b"as it is"
        rt = runtime()
        found = {obj.id for space in (rt.maps, rt.progs, rt.btfs) for obj in space.objects()}
        self.ids = sorted(found - {rt.fds.file(self.sentinel).obj.id})
        for space in (rt.maps, rt.progs, rt.btfs, rt.links):
            assert all(obj.refs > 0 for obj in space.objects())

    def finish(self) -> None:
        """Nothing is left when all fds and pins are closed."""
        for fd in self.fds:
            sc.close(fd)
        rt = runtime()
        for path in rt.pins.paths():
            rt.pins.remove(path)
        self.check()
        sc.close(self.sentinel)
        left = [f"{obj.kind} {obj.id}" for space in (rt.maps, rt.progs, rt.btfs, rt.links) for obj in space.objects()]
        assert not left, f"left behind: {', '.join(left)}"


def main(arguments: list[str] | None = None) -> int:
    """Walk for a while; 1 when something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.attr", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args(arguments)
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    walk = Walk(seed)
    end = time.monotonic() + options.seconds
    try:
        while time.monotonic() < end:
            walk.step()
        walk.finish()
    except Exception:
        traceback.print_exc()
        cmd, attr = walk.last
        print(f"attr: seed {seed}, step {walk.steps}: command {cmd!r}, attr {attr.rstrip(bytes(1)).hex()}")
        return 1
    print(f"attr: seed {seed}: {walk.steps} calls, {walk.accepted} accepted, nothing found")
    return 0


if __name__ == "__main__":
    sys.exit(main())
