"""format_stack: the names of a stack that a program stored."""

import errno

import pytest

import pyebpf

TAKE = "r2 = stacks ll\n r3 = {flags}\n call get_stackid\n exit"


def run(stacks: pyebpf.Map, flags: int = 0) -> int:
    id = pyebpf.Program.unsafe(TAKE.format(flags=flags), maps={"stacks": stacks})(bytearray(8))
    assert id < 64
    return id


def test_a_stack_has_the_names_of_what_called_the_program() -> None:
    with pyebpf.Map.create("stack_trace", 4, 8 * 64, 64) as stacks:
        text = pyebpf.format_stack(run(stacks), stacks)
        lines = text.splitlines()
        assert [line.split()[0] for line in lines] == [f"#{n}" for n in range(len(lines))]
        assert "_PyEval_EvalFrameDefault" in text or "Py_RunMain" in text or "PyObject_Vectorcall" in text


def test_without_a_map_the_only_one_that_has_the_id_is_asked() -> None:
    with pyebpf.Map.create("stack_trace", 4, 8 * 64, 64) as stacks, pyebpf.Map.create("stack_trace", 4, 8, 64):
        id = run(stacks)
        assert pyebpf.format_stack(id) == pyebpf.format_stack(id, stacks)
        stacks.delete(id.to_bytes(4, "little"))
        with pytest.raises(pyebpf.Error) as caught:
            pyebpf.format_stack(id)
        assert caught.value.errno == errno.ENOENT


def test_a_map_of_another_type_is_refused() -> None:
    with pyebpf.Map.create("hash", 4, 8, 1) as other, pytest.raises(pyebpf.Error, match="STACK_TRACE wanted"):
        pyebpf.format_stack(0, other)
