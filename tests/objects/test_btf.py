"""BTF: types, sizes, C names, numpy dtypes, and what is refused."""

import ctypes
import functools
import pathlib
import shutil
import struct
import subprocess

import numpy as np
import pytest

import pyebpf
from pyebpf import btf as B
from pyebpf.btf import Kind, ext, fixup, layout
from tests import require
from tests.objects import build, craft

VMLINUX = pathlib.Path("/sys/kernel/btf/vmlinux")


@functools.cache
def types() -> B.Btf:
    """The BTF of types.c."""
    found = pyebpf.CollectionSpec.load(build.clang("types", "v3", "-g", "-Wno-unused")).btf
    assert found
    return found


def find(name: str) -> B.Type:
    found = types().find(name)
    assert found, name
    return found


class Plain(ctypes.Structure):
    """struct plain as the C compiler of this machine lays it out."""

    _fields_ = (
        ("c", ctypes.c_char),
        ("s", ctypes.c_short),
        ("i", ctypes.c_int),
        ("q", ctypes.c_longlong),
        ("u8", ctypes.c_uint8),
        ("u16", ctypes.c_uint16),
        ("u32", ctypes.c_uint32),
        ("u64", ctypes.c_uint64),
        ("flag", ctypes.c_bool),
        ("f", ctypes.c_float),
        ("d", ctypes.c_double),
        ("pointer", ctypes.c_void_p),
        ("small", ctypes.c_int),
        ("large", ctypes.c_uint64),
    )


def test_a_struct_s_dtype_has_the_compiler_s_layout() -> None:
    dtype = B.dtype(types(), find("plain").id)
    assert dtype.itemsize == ctypes.sizeof(Plain) == B.size_of(types(), find("plain").id)
    assert B.align_of(types(), find("plain").id) == ctypes.alignment(Plain)
    for name, kind in Plain._fields_:
        place = getattr(Plain, name)
        assert (dtype.fields[name][1], dtype[name].itemsize) == (place.offset, ctypes.sizeof(kind)), name
    formats = "i1 i2 i4 i8 u1 u2 u4 u8 ? f4 f8 u8 i4 u8".split()
    assert [dtype[name] for name, _ in Plain._fields_] == [np.dtype(f) for f in formats]


def test_packed_members_stand_side_by_side() -> None:
    dtype = B.dtype(types(), find("packed").id)
    assert (dtype.itemsize, dtype.fields["i"][1]) == (5, 1)


def test_members_of_anonymous_unions_overlap() -> None:
    dtype = B.dtype(types(), find("anonymous").id)
    record = np.zeros(1, dtype)
    record["whole"] = 0x0000000200000001
    assert (record["a"][0], record["b"][0]) == (1, 2)
    assert record["bytes"][0] == b"\1\0\0\0\2"
    record["named"]["x"] = 0x3F800000
    assert record["named"]["y"][0] == 1.0


def test_arrays_and_byte_strings() -> None:
    dtype = B.dtype(types(), find("nested_t").id)
    assert dtype["grid"].shape == (2, 5)
    assert dtype["many"].shape == (3,)
    assert dtype["name"] == np.dtype("S16")
    assert dtype["numbers"].base == np.dtype("i1")
    assert B.dtype(types(), find("grid_t").id) == np.dtype(("<i4", (2, 5)))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("bits", "field 'low' of 'bits' is a bit field of 3 bits"),
        ("flexible", "has no length: a flexible array has no dtype"),
        ("main_proto", None),
    ],
)
def test_what_numpy_cannot_express_is_refused_with_the_reason(name, reason) -> None:
    if reason is None:
        with pytest.raises(pyebpf.BtfError, match="VOID 'void' has no values"):
            B.dtype(types(), 0)
    else:
        with pytest.raises(pyebpf.BtfError, match=reason):
            B.dtype(types(), find(name).id)


def test_enums_have_their_sign_and_size() -> None:
    small, large = find("small"), find("large")
    assert [(v.name, v.value) for v in small.values] == [("SMALL_A", -1), ("SMALL_B", 5)]
    assert (large.kind, large.size, large.values[0].value) == (Kind.ENUM64, 8, 1 << 40)


def test_c_names() -> None:
    members = {m.name: B.declare(types(), m.type, m.name) for m in find("list").members}
    assert members == {
        "next": "struct list *next",
        "call": "int (*call)(struct list *, const char *, ...)",
        "qualified": "const volatile int *const qualified",
        "plain": "const struct plain *restrict plain",
    }
    assert B.c_name(types(), find("grid_t").id) == "grid_t"
    assert B.declare(types(), find("grid_t").type, "g") == "int g[2][5]"


def test_tags_are_read() -> None:
    tag = find("tagged")
    assert types().find("tagged", Kind.DECL_TAG).type == types().find("tagged", Kind.VAR).id
    assert tag.name == "tagged"
    assert types().find("user", Kind.TYPE_TAG) is not None


def test_types_of_the_kernel_is_read_as_bpftool_reads_it() -> None:
    require.linux()
    if not shutil.which("bpftool") or not VMLINUX.exists():
        pytest.skip("bpftool or /sys/kernel/btf/vmlinux is missing")
    whole = B.Btf(VMLINUX.read_bytes())
    dump = subprocess.run(["bpftool", "btf", "dump", "file", str(VMLINUX)], capture_output=True, text=True, check=True)
    heads = [line for line in dump.stdout.splitlines() if line.startswith("[")]
    assert len(heads) == len(whole) - 1
    for at in range(0, len(heads), 97):
        number, kind, rest = heads[at].split(" ", 2)
        t = whole.type(int(number[1:-1]))
        assert t.kind.name == kind
        assert rest.startswith(f"'{t.name or '(anon)'}'")
        if " size=" in rest and t.kind is not Kind.DATASEC:
            assert f" size={t.size} " in rest + " "
        if " type_id=" in rest:
            assert f" type_id={t.type} " in rest.replace(",", " ") + " "


def test_kernel_structs_have_linux_s_sizes() -> None:
    require.linux()
    if not VMLINUX.exists():
        pytest.skip("/sys/kernel/btf/vmlinux is missing")
    whole = B.Btf(VMLINUX.read_bytes())
    keys = whole.find("bpf_flow_keys", Kind.STRUCT)
    assert B.dtype(whole, keys.id).itemsize == 56
    assert B.dtype(whole, keys.id).fields["ipv6_src"][1] == B.dtype(whole, keys.id).fields["ipv4_src"][1] == 16


def int_with(data: int) -> bytes:
    b = craft.Btf()
    b.add(1, "x", 4, tail=struct.pack("<I", data))
    return b.build()


def header(form: str, at: int, value: int) -> bytes:
    b = craft.Btf()
    b.int32()
    return craft.patched(b.build(), at, form, value)


def one(kind: int, *args: int, **more: int) -> bytes:
    b = craft.Btf()
    b.add(kind, "x", *args, **more)
    return b.build()


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "0 bytes, expected 24"),
        (header("H", 0, 0x9FEB), "magic is big-endian BTF"),
        (header("H", 0, 1), "magic is 0x1"),
        (header("B", 2, 9), "version 9"),
        (header("I", 4, 8), "header has 8 bytes"),
        (header("I", 4, 0xFFFFFFFF), "header has 4294967295 bytes"),
        (header("I", 8, 2), "types at"),
        (header("I", 12, 0xFFFFFFF0), "types at 0x18 have 0xfffffff0 bytes"),
        (header("I", 12, 12), "type 1 ends at 0x28, the types at 0x24"),
        (header("I", 16, 0xFFFFFFFF), "strings at"),
        (header("I", 20, 0), "strings at"),
        (header("I", 20, 2), "strings do not begin and end with NUL"),
        (one(0), "type 1 has kind 0"),
        (one(20), "type 1 has kind 20"),
        (one(4, 4, 0xFFFF), "type 1 ends at"),
        (int_with(1 << 24 | 33), "INT 'x' has 33 bits at bit 0 of 4 bytes"),
        (int_with(0), "has 0 bits"),
        (one(8, 99), "type 1 refers to type 99, expected below 2"),
        (one(6, 3), "enum 'x' has 3 bytes"),
        (one(8, 1), "type 1 contains itself"),
        (one(2, 1), "type 1 contains itself"),
        (header("I", 24, 0xFFFFFF), "string at 0xffffff, the strings have"),
    ],
)
def test_malformed_btf_is_named(raw, message) -> None:
    with pytest.raises(pyebpf.BtfError, match=message):
        layout.check(B.Btf(raw))


def test_a_struct_in_itself_through_an_array_is_refused() -> None:
    b = craft.Btf()
    b.struct("s", 8, ("a", 2, 0))
    b.array(1, 1)
    made = B.Btf(b.build())
    with pytest.raises(pyebpf.BtfError, match="contains itself"):
        layout.check(made)
    with pytest.raises(pyebpf.BtfError, match="nested more than 32 deep"):
        B.dtype(made, 1)


def test_a_struct_that_points_to_itself_is_good() -> None:
    b = craft.Btf()
    b.struct("s", 8, ("next", 2, 0))
    b.add(2, value=1)
    made = B.Btf(b.build())
    layout.check(made)
    assert B.dtype(made, 1).itemsize == 8


def test_arrays_that_multiply_beyond_32_bits_are_refused() -> None:
    b = craft.Btf()
    b.int32()
    for i in range(1, 5):
        b.array(i, 60_000)
    made = B.Btf(b.build())
    for question in (B.size_of, B.dtype):
        with pytest.raises(pyebpf.BtfError, match="expected at most 4294967295"):
            question(made, 5)


def test_anonymous_structs_that_multiply_are_refused() -> None:
    b = craft.Btf()
    b.struct("", 0)
    for i in range(1, 30):
        b.struct("", 0, ("", i, 0), ("", i, 0))
    with pytest.raises(pyebpf.BtfError, match="has more than 65536 fields"):
        B.dtype(B.Btf(b.build()), 30)


def test_a_member_outside_its_struct_is_refused() -> None:
    b = craft.Btf()
    b.int32()
    b.struct("s", 4, ("far", 1, 64))
    with pytest.raises(pyebpf.BtfError, match="member 0 of 's' at bit 64, the type has 32 bits"):
        layout.check(B.Btf(b.build()))
    b = craft.Btf()
    b.int32()
    b.struct("s", 6, ("over", 1, 32))
    with pytest.raises(pyebpf.BtfError, match="field 'over' of 's' ends at 8, the type at 6"):
        B.dtype(B.Btf(b.build()), 2)


def ext_bytes(*parts: tuple[int, int], size: int = 8, name: int = 1, count: int = 1, body: bytes = bytes(8)) -> bytes:
    func = struct.pack("<III", size, name, count) + body
    places = parts or ((0, len(func)), (0, 0))
    return struct.pack("<HBBI4I", 0xEB9F, 1, 0, 24, *places[0], *places[1]) + func


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\x9f\xeb", "2 bytes, expected at least 24"),
        (ext_bytes(size=7), "records of 7 bytes"),
        (ext_bytes(size=0), "records of 0 bytes"),
        (ext_bytes(count=0), "0 records"),
        (ext_bytes(count=1 << 30), "1073741824 records of 8 bytes in 8"),
        (ext_bytes(name=1 << 20), "string at 0x100000"),
        (ext_bytes((0, 1 << 31), (0, 0)), "part at 0x18 has 0x80000000 bytes"),
        (ext_bytes((2, 20), (0, 0)), "part at 0x1a"),
        (ext_bytes(body=bytes(12)), "4 bytes are left"),
    ],
)
def test_malformed_ext_is_named(raw, message) -> None:
    b = craft.Btf()
    b.int32("socket")
    with pytest.raises(pyebpf.BtfError, match=message):
        ext.read(raw, B.Btf(b.build()))


def test_longer_records_of_later_compilers_are_read() -> None:
    b = craft.Btf()
    b.int32("socket")
    raw = ext_bytes(size=12, body=struct.pack("<III", 16, 5, 77))
    assert ext.read(raw, B.Btf(b.build())).func_info["socket"].tolist() == [(16, 5)]


def test_linux_takes_the_btf_of_objects() -> None:
    require.linux()
    from tests import linux

    for source in ("count", "many", "calls", "types"):
        spec = pyebpf.CollectionSpec.load(build.zig(source, "v3", "-g", "-Wno-unused"))
        linux.btf_load(spec.btf.raw).close()


def test_a_section_whose_size_btf_gets_wrong_is_refused() -> None:
    b = craft.Btf()
    b.int32()
    b.add(14, "v", 1, tail=struct.pack("<I", 1))
    b.add(15, ".bss", 8, 1, tail=struct.pack("<III", 2, 0, 4))
    made = B.Btf(b.build())
    with pytest.raises(pyebpf.BtfError, match=r"DATASEC '\.bss' has 8 bytes, the section 4"):
        fixup.fix_up(made, {".bss": 4}, {".bss": {"v": 0}})
    with pytest.raises(pyebpf.BtfError, match=r"variable 'v' of '\.bss' has no symbol"):
        fixup.fix_up(made, {".bss": 8}, {})
    assert fixup.fix_up(made, {".bss": 8}, {".bss": {"v": 4}}).type(3).vars[0].offset == 4
