"""Malformed objects: an ObjectError with section and offset, within a second and 200 MB, and nothing else."""

import random
import struct

import pytest

import pyebpf
from tests.fuzz import btf as fuzz_btf
from tests.fuzz import driver
from tests.fuzz import elf as fuzz_elf
from tests.objects import build, craft
from tests.objects.craft import EXIT0, LD_IMM64, Elf, Sec, Sym, patched, simple

load = pyebpf.CollectionSpec.load


def refused(raw: bytes) -> pyebpf.ObjectError:
    """The error of an object that must be refused, in time and memory."""
    caught = []

    def run(data: bytes) -> None:
        try:
            load(data)
        except pyebpf.ObjectError as error:
            caught.append(error)
            raise

    assert not driver.check(run, (pyebpf.ObjectError,), raw), "the object was accepted"
    return caught[0]


def test_the_crafted_object_is_good() -> None:
    assert load(simple().build()).programs.main.insns == EXIT0


@pytest.mark.parametrize(
    ("offset", "form", "value", "message"),
    [
        (0, "B", 0, "magic is"),
        (4, "B", 1, "ELFCLASS32, a 32-bit file"),
        (5, "B", 2, "ELFDATA2MSB, big-endian"),
        (6, "B", 0, "version is 0"),
        (16, "H", 2, r"type is 2 \(ET_EXEC\)"),
        (18, "H", 62, r"machine is 62 \(x86-64\)"),
        (40, "Q", 1 << 40, "section headers at 0x10000000000 end at"),
        (40, "Q", (1 << 64) - 1, "section headers at"),
        (40, "Q", 0, "section headers at 0x0"),
        (52, "H", 0, "header size is 0"),
        (58, "H", 40, "section header size is 40"),
        (60, "H", 0, "0 sections"),
        (60, "H", 0xFFFF, "65535 sections, expected 1 to 4096"),
        (60, "H", 100, "section headers at"),
        (62, "H", 0xFFFF, "name table is section 65535"),
        (62, "H", 1, "name table has type 0x1"),
    ],
)
def test_a_wrong_header_field_is_named(offset, form, value, message) -> None:
    error = refused(patched(simple().build(), offset, form, value))
    with pytest.raises(pyebpf.ObjectError, match=message):
        raise error
    assert error.section
    assert error.offset >= 0


@pytest.mark.parametrize(
    ("section", "field", "form", "value", "message"),
    [
        (1, 0, "I", 0xFFFFFFFF, "name of section 1 at 0xffffffff"),
        (1, 4, "I", 11, "section 1 has type 0xb, which no relocatable object has"),
        (1, 4, "I", 0x6FFFFFF6, "section 1 has type 0x6ffffff6"),
        (1, 24, "Q", (1 << 64) - 8, "section 1 at 0xfffffffffffffff8"),
        (1, 32, "Q", 1 << 32, "section 1 at 0x40 has 0x100000000 bytes"),
        (1, 32, "Q", 12, "12 bytes of code, expected a multiple of 8"),
        (1, 8, "Q", 0x806, "section is compressed"),
        (1, 40, "I", 77, "section 1 links to section 77"),
        (3, 40, "I", 3, "section 3 links to a section of type 0x2, expected 3"),
        (3, 56, "Q", 0, "in entries of 0, expected entries of 24"),
        (3, 32, "Q", 25, "has 25 bytes in entries of 24"),
        (2, 4, "I", 2, "in entries of 0"),
    ],
)
def test_a_wrong_section_header_field_is_named(section, field, form, value, message) -> None:
    raw = simple().build()
    (table,) = struct.unpack_from("<Q", raw, 40)
    with pytest.raises(pyebpf.ObjectError, match=message):
        raise refused(patched(raw, table + 64 * section + field, form, value))


def with_symbol(**changes: int) -> bytes:
    elf = simple()
    for name, value in changes.items():
        setattr(elf.symbols[0], name, value)
    return elf.build()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"section": 99}, "symbol 1 is in section 99"),
        ({"value": 4}, "function 'main' has 16 bytes, expected whole instructions"),
        ({"size": 0}, "function 'main' has 0 bytes"),
        ({"size": 1 << 62}, "ends at 0x4000000000000000"),
        ({"value": (1 << 64) - 8}, "function 'main' ends at"),
    ],
)
def test_a_wrong_symbol_is_named(changes, message) -> None:
    with pytest.raises(pyebpf.ObjectError, match=message):
        raise refused(with_symbol(**changes))


def referring(
    relocs: list[tuple[int, int]], *extra: Sec, insns: bytes = LD_IMM64 + EXIT0, sym: Sym | None = None
) -> bytes:
    elf = Elf()
    code = elf.code("socket", insns, ("main", 0, len(insns)))
    for section in extra:
        elf.add(section)
    elf.symbols.append(sym or Sym("target", 2, type=1))
    elf.rel(code, *relocs)
    return elf.build()


DATA = Sec(".data", bytes(8), flags=3)


def test_a_crafted_reference_is_good() -> None:
    assert load(referring([(0, 2)], DATA)).programs.main.maps == (".data",)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (referring([(4, 2)], DATA), r"socket\+0x4: relocation is at no instruction"),
        (referring([(1 << 40, 2)], DATA), "relocation is at no instruction"),
        (referring([(0, 3)], DATA), "relocation against symbol 3, expected one of 3"),
        (referring([(0, 0xFFFFFFFF)], DATA), "relocation against symbol 4294967295"),
        (referring([(16, 2)], DATA), "relocation of opcode 0xb7, expected a call or ld_imm64"),
        (referring([(0, 2)], DATA, insns=LD_IMM64[:8]), "ld_imm64 is cut short"),
        (referring([(0, 2)], DATA, sym=Sym("x", 0xFFF1)), "in special section 0xfff1"),
        (referring([(0, 2)], Sec("odd", bytes(8), flags=3)), "in 'odd', which holds no map or data"),
        (referring([(0, 2)], DATA, sym=Sym("x", 2, (1 << 63) + 7, type=1)), "address 0x8000000000000007 in '.data'"),
        (referring([(0, 2)], DATA, sym=Sym("x", 1, 8, type=1)), "no function starts at instruction 1 of 'socket'"),
        (referring([(0, 2)], Sec(".bss", type=8, flags=3, size=1 << 40)), "1099511627776 bytes of data"),
        (referring([(0, 2)], Sec("maps", bytes(3), flags=3)), "map 'target' has 3 bytes, expected 20"),
        (referring([(0, 2)], Sec("maps", struct.pack("<5I", 99, 4, 4, 1, 0), flags=3)), "map 'target' has type 99"),
        (referring([(0, 2)], Sec("maps", struct.pack("<6I", 1, 4, 4, 1, 0, 1), flags=3)), "non-zero bytes behind"),
        (referring([(0, 2)], Sec(".maps", bytes(8), flags=3)), "BTF does not describe them: compile with -g"),
        (referring([(0, 2)], DATA, Sec("version", bytes(3), flags=3)), "version: 3 bytes|version.0x0: 3 bytes"),
        (referring([], DATA, DATA), "map '.data' is defined twice"),
    ],
)
def test_a_wrong_reference_is_named(raw, message) -> None:
    with pytest.raises(pyebpf.ObjectError, match=message):
        raise refused(raw)


def test_a_call_to_no_function_is_named() -> None:
    call = bytes.fromhex("8510000005000000")
    elf = Elf()
    elf.code("socket", call + EXIT0, ("main", 0, 24))
    with pytest.raises(pyebpf.ObjectError, match="no function starts at instruction 6 of 'socket', which 'main' calls"):
        raise refused(elf.build())


def test_a_source_register_without_relocation_keeps_the_program_from_loading() -> None:
    elf = Elf()
    elf.code("socket", bytes.fromhex("1851000000000000 0000000000000000") + EXIT0, ("main", 0, 32))
    with pytest.raises(pyebpf.ObjectError, match="insn 0: ld_imm64 with source 5 has no relocation"):
        load(elf.build()).programs.main.require_loadable()


def test_relocations_with_addends_are_refused() -> None:
    elf = simple()
    elf.add(Sec(".rela", bytes(24), type=4, link=-1, info=1, entsize=24))
    with pytest.raises(pyebpf.ObjectError, match="SHT_RELA, expected SHT_REL"):
        raise refused(elf.build())


def test_programs_that_multiply_their_callees_are_refused() -> None:
    """Each of many programs calls one large function: copies of it would take gigabytes."""
    elf = Elf()
    big = EXIT0 * 50_000
    elf.code(".text", big, ("big", 0, len(big)))
    one = bytes.fromhex("85100000ffffffff") + EXIT0
    code = elf.code("socket", one * 1000, *((f"p{i}", i * len(one), len(one)) for i in range(1000)))
    elf.rel(code, *((i * len(one), 1) for i in range(1000)))
    with pytest.raises(pyebpf.ObjectError, match="programs have more than 2097152 instructions"):
        raise refused(elf.build())


def test_a_chain_of_ten_thousand_calls_is_followed() -> None:
    elf = Elf()
    one = bytes.fromhex("8510000002000000") + EXIT0
    count = 10_000
    code = one * (count - 1) + EXIT0
    elf.code(".text", code, *((f"f{i}", 24 * i, 24) for i in range(count - 1)), ("last", 24 * (count - 1), 16))
    main = elf.code("socket", bytes.fromhex("85100000ffffffff") + EXIT0, ("main", 0, 24))
    elf.rel(main, (0, 1))
    functions = load(elf.build()).programs.main.functions
    assert [name for _, name in functions] == ["main", *(f"f{i}" for i in range(count - 1)), "last"]


def test_many_sections_with_one_endless_name_are_refused() -> None:
    elf = simple()
    for _ in range(4000):
        elf.add(Sec("x", b""))
    raw = bytearray(elf.build())
    raw.replace(b"\0x", b"xx")
    load(bytes(raw))
    long = Elf()
    long.add(Sec("n" * 2000))
    with pytest.raises(pyebpf.ObjectError, match=r"name of section 1 at .* has no end"):
        raise refused(long.build())


def test_big_files_and_other_things_are_refused(tmp_path) -> None:
    with pytest.raises(pyebpf.ObjectError, match="expected at most"):
        load(bytes((64 << 20) + 1))
    with pytest.raises(pyebpf.ObjectError, match="not a regular file"):
        load("/dev/zero")
    with pytest.raises(pyebpf.ObjectError, match="file has 0 bytes"):
        load(b"")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "absent.o")


@pytest.mark.parametrize("source", ["count", "legacy"])
def test_every_truncation_is_refused(source) -> None:
    """The section headers stand at the end, so that no part of the file can be missing."""
    raw = build.zig(source)
    step = 1 if source == "legacy" else 7
    for length in range(0, len(raw), step):
        refused(raw[:length])


@pytest.mark.parametrize("source", ["count", "legacy", "many"])
def test_damaged_bytes_give_object_errors_only(source) -> None:
    raw = build.zig(source)
    rng = random.Random(source)
    accepted = sum(driver.check(fuzz_elf.run, fuzz_elf.ERRORS, driver.mutate(rng, raw)) for _ in range(500))
    assert 0 < accepted < 500


def test_each_header_byte_damaged_gives_object_errors_only() -> None:
    raw = build.zig("legacy", "v3", "-g0")
    (table,) = struct.unpack_from("<Q", raw, 40)
    for at in [*range(64), *range(table, len(raw))]:
        for value in (0, 1, 0x80, 0xFF):
            driver.check(fuzz_elf.run, fuzz_elf.ERRORS, patched(raw, at, "B", value))


def test_damaged_btf_gives_btf_errors_only() -> None:
    rng = random.Random(3)
    seeds = fuzz_btf.seeds()
    accepted = sum(
        driver.check(fuzz_btf.run, fuzz_btf.ERRORS, driver.mutate(rng, rng.choice(seeds))) for _ in range(500)
    )
    assert 0 < accepted < 500


def test_an_object_with_malformed_btf_is_refused() -> None:
    elf = simple()
    types = craft.Btf()
    types.add(8, "loop", 1)
    elf.add(Sec(".BTF", types.build()))
    with pytest.raises(pyebpf.BtfError, match="type 1 contains itself"):
        raise refused(elf.build())
