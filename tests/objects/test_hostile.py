"""Objects made to cost much: within a second and 200 MB each, whether read or refused."""

import struct

import pytest

import pyebpf
from tests.fuzz import driver
from tests.fuzz import elf as fuzz_elf
from tests.objects import craft
from tests.objects.craft import EXIT0, LD_IMM64, Elf, Sec, Sym, simple

PROGRAM = len(EXIT0)


def cheap(raw: bytes, refusal: str = "") -> None:
    """The object is read, or refused with `refusal`, in time and memory."""
    if not refusal:
        assert driver.check(fuzz_elf.run, (), raw)
        return

    def run(data: bytes) -> None:
        with pytest.raises(pyebpf.ObjectError, match=refusal):
            fuzz_elf.run(data)

    driver.check(run, (), raw)


def with_btf(types: craft.Btf, *, ext: bytes = b"") -> bytes:
    elf = simple()
    elf.add(Sec(".BTF", types.build()))
    if ext:
        elf.add(Sec(".BTF.ext", ext))
    return elf.build()


def test_four_thousand_programs() -> None:
    elf = Elf()
    elf.code("socket", EXIT0 * 4096, *((f"p{i}", i * PROGRAM, PROGRAM) for i in range(4096)))
    cheap(elf.build())


def test_more_programs_than_that() -> None:
    elf = Elf()
    elf.code("socket", EXIT0 * 4097, *((f"p{i}", i * PROGRAM, PROGRAM) for i in range(4097)))
    cheap(elf.build(), "4097 programs, expected at most 4096")


def test_functions_that_are_all_the_same_megabyte() -> None:
    elf = Elf()
    code = EXIT0 * 65536
    elf.code(".text", code, *((f"f{i}", 0, len(code)) for i in range(10_000)))
    cheap(elf.build(), "functions have more than 2097152 instructions")


def test_a_hundred_thousand_functions() -> None:
    elf = Elf()
    elf.code(".text", EXIT0, *((f"f{i}", 0, PROGRAM) for i in range(100_000)))
    cheap(elf.build(), "more than 16384 functions")


def test_more_symbols_than_any_object_has() -> None:
    elf = simple()
    elf.symbols *= 140_000
    cheap(elf.build(), "140001 symbols, expected at most 131072")


@pytest.mark.parametrize(("count", "refusal"), [(60_000, ""), (70_000, "70000 relocations, expected at most 65536")])
def test_relocations_by_the_thousand(count, refusal) -> None:
    elf = Elf()
    code = LD_IMM64 * count + EXIT0
    index = elf.code("socket", code, ("main", 0, len(code)))
    elf.symbols.append(Sym("x", elf.add(Sec(".data", bytes(8), flags=3)), type=1))
    elf.rel(index, *((16 * i, 2) for i in range(count)))
    cheap(elf.build(), refusal)


def test_sections_that_share_their_bytes() -> None:
    """Four thousand data sections, each all of the same megabyte."""
    elf = simple()
    elf.add(Sec(".data", bytes(1 << 20), flags=3))
    for i in range(4000):
        elf.add(Sec(f".data.{i}", flags=3))
    raw = bytearray(elf.build())
    (table,) = struct.unpack_from("<Q", raw, 40)
    place = raw[table + 2 * 64 + 24 : table + 2 * 64 + 40]
    for i in range(3, 4003):
        raw[table + i * 64 + 24 : table + i * 64 + 40] = place
    cheap(bytes(raw), "they overlap")


def test_two_gigabytes_of_zeros() -> None:
    elf = simple()
    elf.add(Sec(".bss", type=8, flags=3, size=0x7FFFFFFF))
    cheap(elf.build())


def test_names_that_share_one_long_string() -> None:
    elf = simple()
    elf.symbols += [Sym("n" * 1000, 1, type=1)] * 100_000
    cheap(elf.build(), "names of more than 33554432 bytes in all")


def test_a_quarter_of_a_million_types() -> None:
    types = craft.Btf()
    types.types = struct.pack("<III", 0, 2 << 24, 0) * 270_000
    cheap(with_btf(types), "more than 262144 types")
    types.types = struct.pack("<III", 0, 2 << 24, 0) * 250_000
    cheap(with_btf(types))


def test_a_chain_of_thirty_thousand_typedefs() -> None:
    types = craft.Btf()
    name = types.string("t")
    types.types = b"".join(struct.pack("<III", name, 8 << 24, i) for i in range(30_000))
    cheap(with_btf(types))


def test_a_section_of_all_variables_one_datasec_can_name() -> None:
    types = craft.Btf()
    types.int32()
    types.add(14, "v", 1, tail=struct.pack("<I", 0))
    types.add(15, ".data", 0, 65535, tail=struct.pack("<III", 2, 0, 4) * 65535)
    elf = simple()
    elf.add(Sec(".data", bytes(8), flags=3))
    elf.add(Sec(".BTF", types.build()))
    cheap(elf.build(), "65535 variables, expected at most 16384")


def test_maps_by_the_thousand() -> None:
    types = craft.Btf()
    types.int32()
    types.array(1, 2)
    types.add(2, value=2)
    types.struct("", 8, ("type", 3, 0))
    entries = b""
    for i in range(5000):
        entries += struct.pack("<III", types.add(14, f"m{i}", 4, tail=struct.pack("<I", 0)), 8 * i, 8)
    types.add(15, ".maps", 0, 5000, tail=entries)
    elf = simple()
    elf.add(Sec(".maps", bytes(8 * 5000), flags=3))
    elf.add(Sec(".BTF", types.build()))
    cheap(elf.build(), "5000 maps, expected at most 4096")


def test_debug_records_of_many_sections() -> None:
    types = craft.Btf()
    types.int32("socket")
    record = struct.pack("<II", 1, 1) + bytes(8)
    body = struct.pack("<I", 8) + record * 200_000
    head = struct.pack("<HBBI4I", 0xEB9F, 1, 0, 24, 0, len(body), 0, 0)
    cheap(with_btf(types, ext=head + body), "records of more than 4096 sections")


def test_core_relocations_by_the_hundred_thousand() -> None:
    types = craft.Btf()
    types.int32("socket")
    for count, refusal in ((60_000, ""), (100_000, "more than 65536 CO-RE relocations")):
        body = struct.pack("<III", 16, 1, count) + struct.pack("<IIII", 0, 1, 1, 0) * count
        head = struct.pack("<HBBI6I", 0xEB9F, 1, 0, 32, 0, 0, 0, 0, 0, len(body))
        cheap(with_btf(types, ext=head + body), refusal)


def test_a_million_line_records_of_one_function_in_many_programs() -> None:
    types = craft.Btf()
    socket, text = types.string("socket"), types.string(".text")
    lines = struct.pack("<II", text, 400_000) + bytes(16) * 400_000
    lines += struct.pack("<II", socket, 100) + b"".join(struct.pack("<IIII", 24 * i, 0, 0, 0) for i in range(100))
    body = struct.pack("<I", 16) + lines
    head = struct.pack("<HBBI4I", 0xEB9F, 1, 0, 24, 0, 0, 0, len(body))
    elf = Elf()
    elf.code(".text", EXIT0, ("f", 0, PROGRAM))
    one = bytes.fromhex("85100000ffffffff") + EXIT0
    index = elf.code("socket", one * 100, *((f"p{i}", 24 * i, 24) for i in range(100)))
    elf.rel(index, *((24 * i, 1) for i in range(100)))
    elf.add(Sec(".BTF", types.build()))
    elf.add(Sec(".BTF.ext", head + body))
    cheap(elf.build(), "programs have more than")
