"""The libbpf oracle: libbpf.so.1 through ctypes opens an object, loads it into Linux and tells what it made of it."""

import ctypes
import ctypes.util
import functools
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests import require


class OpenOpts(ctypes.Structure):
    """The start of struct bpf_object_open_opts; libbpf takes shorter ones."""

    _fields_ = (("sz", ctypes.c_size_t), ("object_name", ctypes.c_char_p))


PRINT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_POINTERS = (
    "bpf_object__open_mem bpf_object__next_program bpf_object__next_map bpf_program__insns bpf_map__inner_map".split()
)
_POINTERS += "bpf_map__initial_value bpf_object__btf btf__raw_data".split()
_STRINGS = "bpf_program__name bpf_program__section_name bpf_map__name bpf_map__pin_path bpf_object__name".split()


@functools.cache
def library() -> ctypes.CDLL:
    """libbpf, quiet."""
    try:
        lib = ctypes.CDLL("libbpf.so.1")
    except OSError:
        if "linux" in require.REQUIRED:
            pytest.fail("PYEBPF_REQUIRE=linux, but libbpf.so.1 is not installed")
        pytest.skip("libbpf.so.1 is not installed")
    for name in _POINTERS:
        getattr(lib, name).restype = ctypes.c_void_p
    for name in _STRINGS:
        getattr(lib, name).restype = ctypes.c_char_p
    lib.bpf_program__insn_cnt.restype = ctypes.c_size_t
    lib.bpf_map__map_extra.restype = ctypes.c_uint64
    lib.libbpf_set_print(None)
    return lib


@dataclass
class Map:
    """A map as libbpf sees it."""

    name: str
    fd: int
    type: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int
    extra: int
    key_type_id: int
    value_type_id: int
    kernel_name: str


@dataclass
class Program:
    """A program as libbpf loaded it. maps: fd -> map name."""

    name: str
    section: str
    type: int
    attach_type: int
    flags: int
    autoload: bool
    insns: bytes
    fd: int


@dataclass
class Object:
    """An object, loaded."""

    maps: list[Map]
    programs: list[Program]
    btf: bytes


def _each(lib: ctypes.CDLL, what: str, obj: int) -> Iterator[ctypes.c_void_p]:
    step = getattr(lib, f"bpf_object__next_{what}")
    found = step(ctypes.c_void_p(obj), None)
    while found:
        yield ctypes.c_void_p(found)
        found = step(ctypes.c_void_p(obj), ctypes.c_void_p(found))


@contextmanager
def loaded(raw: bytes, name: str = "", *, load: bool = True) -> Iterator[Object]:
    """The object opened and, with `load`, loaded; gone at the end."""
    require.linux()
    lib = library()
    opts = OpenOpts(ctypes.sizeof(OpenOpts), name.encode() or None)
    obj = lib.bpf_object__open_mem(raw, ctypes.c_size_t(len(raw)), ctypes.byref(opts))
    assert obj, "libbpf does not open the object"
    try:
        if load:
            error = lib.bpf_object__load(ctypes.c_void_p(obj))
            assert error == 0, f"libbpf does not load the object: {error}"
        yield _object(lib, obj)
    finally:
        lib.bpf_object__close(ctypes.c_void_p(obj))


def _object(lib: ctypes.CDLL, obj: int) -> Object:
    maps = []
    for m in _each(lib, "map", obj):
        fields = "fd type key_size value_size max_entries map_flags map_extra btf_key_type_id btf_value_type_id".split()
        values = [getattr(lib, f"bpf_map__{f}")(m) for f in fields]
        maps.append(Map(lib.bpf_map__name(m).decode(), *values, kernel_name=_kernel_name(values[0])))
    programs = []
    for p in _each(lib, "program", obj):
        insns = ctypes.string_at(lib.bpf_program__insns(p), 8 * lib.bpf_program__insn_cnt(p))
        programs.append(
            Program(
                lib.bpf_program__name(p).decode(),
                lib.bpf_program__section_name(p).decode(),
                lib.bpf_program__type(p),
                lib.bpf_program__expected_attach_type(p),
                lib.bpf_program__flags(p),
                lib.bpf_program__autoload(p) & 0xFF != 0,
                insns,
                lib.bpf_program__fd(p),
            )
        )
    size = ctypes.c_uint32()
    btf = lib.bpf_object__btf(ctypes.c_void_p(obj))
    raw = ctypes.string_at(lib.btf__raw_data(ctypes.c_void_p(btf), ctypes.byref(size)), size.value) if btf else b""
    return Object(maps, programs, raw)


def info(fd: int) -> bytes:
    """bpf_map_info or bpf_prog_info of an fd, as far as it is plain numbers."""
    buffer = ctypes.create_string_buffer(256)
    attr = bytearray(struct.pack("<IIQ", fd, len(buffer), ctypes.addressof(buffer)))
    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.syscall(321, 15, (ctypes.c_char * len(attr)).from_buffer(attr), len(attr))
    assert done == 0
    return buffer.raw


def prog_records(fd: int) -> tuple[bytes, bytes]:
    """The func_info (8 bytes each) and line_info (16 bytes each) that Linux keeps of a program."""
    plain = info(fd)
    # struct bpf_prog_info: btf_id 128, func_info_rec_size 132, func_info 136, nr_func_info 144, nr_line_info 148,
    # line_info 152, ..., line_info_rec_size 176
    nr_func, nr_line = struct.unpack_from("<II", plain, 144)
    funcs, lines = ctypes.create_string_buffer(8 * nr_func), ctypes.create_string_buffer(16 * nr_line)
    ask = bytearray(256)
    struct.pack_into("<I", ask, 132, 8)
    struct.pack_into("<QII", ask, 136, ctypes.addressof(funcs), nr_func, nr_line)
    struct.pack_into("<Q", ask, 152, ctypes.addressof(lines))
    struct.pack_into("<I", ask, 172, 16)
    buffer = (ctypes.c_char * len(ask)).from_buffer(ask)
    attr = bytearray(struct.pack("<IIQ", fd, 224, ctypes.addressof(buffer)))
    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.syscall(321, 15, (ctypes.c_char * len(attr)).from_buffer(attr), len(attr))
    assert done == 0, ctypes.get_errno()
    return funcs.raw, lines.raw


def _kernel_name(fd: int) -> str:
    # struct bpf_map_info: six numbers, then name[16]
    return info(fd)[24:40].split(b"\0")[0].decode() if fd >= 0 else ""
