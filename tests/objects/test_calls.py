"""Functions: which are programs, where those they call are appended, and what is left out."""

import copy
import pickle
import struct

import numpy as np
import pytest

import pyebpf
from pyebpf.relo.functions import CALL, INSN
from tests.objects import build, craft


def test_callees_follow_in_the_order_of_their_first_call_depth_first() -> None:
    spec = pyebpf.CollectionSpec.load(build.zig("calls"))
    order = {name: [f for _, f in p.functions] for name, p in spec.programs.items()}
    assert order == {
        "b_then_a": ["b_then_a", "d4", "d1", "d2", "d3"],
        "a_then_b": ["a_then_b", "d1", "d2", "d3", "d4"],
        "none": ["none"],
    }


def test_calls_lead_to_the_start_of_their_function() -> None:
    spec = pyebpf.CollectionSpec.load(build.zig("calls"))
    for prog in spec.programs.values():
        insns = np.frombuffer(prog.insns, INSN)
        at = np.flatnonzero((insns["code"] == CALL) & (insns["regs"] >> 4 == 1))
        targets = set((at + insns["imm"][at] + 1).tolist())
        assert targets == {start for start, _ in prog.functions[1:]}


def test_a_function_nobody_calls_is_in_no_program() -> None:
    spec = pyebpf.CollectionSpec.load(build.zig("calls"))
    assert "dead" not in {name for p in spec.programs.values() for _, name in p.functions}


def test_functions_of_any_section_can_be_called() -> None:
    spec = pyebpf.CollectionSpec.load(build.zig("sections"))
    order = {name: [f for _, f in p.functions] for name, p in spec.programs.items()}
    assert order == {"base": ["base"], "wrap": ["wrap", "base"], "across": ["across", "base", "lone"]}


def test_the_only_function_of_text_is_a_program(tmp_path) -> None:
    spec = pyebpf.CollectionSpec.load(build.zig("bare"))
    assert list(spec.programs) == ["main"]
    with pytest.raises(pyebpf.ObjectError, match="names no program type"):
        spec.programs.main.require_loadable()


def test_a_static_map_is_found_through_its_section() -> None:
    spec = pyebpf.CollectionSpec.load(build.zig("static_maps", "v3", "-g", "-Wno-unused"))
    assert spec.programs.both.maps == ("second", "first")


def test_legacy_maps_are_read() -> None:
    spec = pyebpf.CollectionSpec.load(build.zig("legacy"))
    read = [(m.name, m.type.name, m.key_size, m.value_size, m.max_entries, m.flags) for m in spec.maps.values()]
    assert read == [("by_proto", "HASH", 4, 8, 256, 1), ("totals", "ARRAY", 4, 8, 1, 0)]
    assert spec.programs.tally.maps == ("totals", "by_proto")


def test_functions_of_old_compilers_have_symbols_without_type_and_size() -> None:
    elf = craft.Elf()
    code = elf.add(craft.Sec("socket", craft.EXIT0 * 3, flags=6))
    for name, at, bind in (("b", 16, 1), ("a", 0, 1), ("LBB0_1", 8, 0), ("c", 32, 1)):
        elf.symbols.append(craft.Sym(name, code, at, 0, type=0, bind=bind))
    spec = pyebpf.CollectionSpec.load(elf.build())
    assert {n: p.insns for n, p in spec.programs.items()} == dict.fromkeys("abc", craft.EXIT0)


def test_legacy_maps_may_stand_behind_a_program_type() -> None:
    elf = craft.Elf()
    for name in ("maps", "lirc_mode2/maps"):
        index = elf.add(craft.Sec(name, struct.pack("<5I", 2, 4, 8, 3, 0), flags=3))
        elf.symbols.append(craft.Sym(name[0], index, type=1))
    spec = pyebpf.CollectionSpec.load(elf.build())
    assert [(m.name, m.section, m.max_entries) for m in spec.maps.values()] == [
        ("m", "maps", 3),
        ("l", "lirc_mode2/maps", 3),
    ]


def test_an_object_without_debug_information_loads_with_variables_by_symbol() -> None:
    spec = pyebpf.CollectionSpec.load(build.zig("legacy", "v3", "-g0"))
    assert spec.btf is None
    assert spec.programs.tally.lines() == []
    assert spec.programs.tally.maps == ("totals", "by_proto")


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("config", "configuration value 'LINUX_KERNEL_VERSION'"),
        ("strong_symbol", "kernel symbol 'jiffies'"),
        ("kernel_function", "kernel function 'bpf_rcu_read_lock'"),
        ("kernel_type", "CO-RE relocation FIELD_BYTE_OFFSET of struct 'task_struct' .access '0:0'. needs a target BTF"),
        ("no_type", "section 'unheard_of' names no program type"),
    ],
)
def test_what_is_not_there_keeps_its_program_from_loading_only(program, reason) -> None:
    spec = pyebpf.CollectionSpec.load(build.clang("externs", "v3", "-g", "-Wno-unused"))
    with pytest.raises(pyebpf.ObjectError, match=reason):
        spec.programs[program].require_loadable()
    spec.programs.plain.require_loadable()


def test_a_weak_kernel_symbol_is_zero() -> None:
    spec = pyebpf.CollectionSpec.load(build.clang("externs", "v3", "-g", "-Wno-unused"))
    spec.programs.weak_symbol.require_loadable()
    insns = np.frombuffer(spec.programs.weak_symbol.insns, INSN)
    load = np.flatnonzero(insns["code"] == 0x18)[0]
    assert insns["imm"][load] == insns["imm"][load + 1] == insns["regs"][load] >> 4 == 0


def test_specs_are_values() -> None:
    spec = pyebpf.CollectionSpec.load(build.zig("many"))
    again = pyebpf.CollectionSpec.load(build.zig("many"))
    assert spec == again
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert copy.deepcopy(spec) == spec
    with pytest.raises(AttributeError):
        spec.name = "other"
    with pytest.raises(AttributeError):
        spec.maps.absent  # noqa: B018
    assert "pairs" in dir(spec.maps)
