"""What a user gets wrong: refused with what was seen and what was wanted, never taken for something else."""

import errno
import re
from typing import Any

import numpy as np
import pytest

import pyebpf
from pyebpf import Map, Program
from tests import require

PASS = "r0 = 2\n exit"


@pytest.mark.parametrize("number", [1 << 32, (1 << 40) + 5, -(1 << 31) - 1])
@pytest.mark.parametrize("member", ["max_entries", "flags", "key", "value"])
def test_number_that_does_not_fit_attr_is_refused(member: str, number: int) -> None:
    given: dict[str, Any] = {"key": 4, "value": 8, "max_entries": 4, member: number}
    with pytest.raises(pyebpf.Error, match=rf"is {number}, expected") as seen:
        Map.create("hash", **given)
    assert seen.value.errno == errno.EINVAL


def test_id_is_not_cut_to_32_bits() -> None:
    with Map.create("hash", 4, 8, 4) as m, pytest.raises(pyebpf.Error, match="id is"):
        Map.from_id(m.id + (1 << 32))


@pytest.mark.parametrize("wrong", ["a", 1.5, None])
def test_number_that_is_none_is_named(wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"max_entries is {re.escape(repr(wrong))}, expected an integer"):
        Map.create("hash", 4, 8, wrong)


def test_type_none_is_no_float() -> None:
    with pytest.raises(TypeError, match="a type is None, expected a size"):
        Map.create("hash", None, 8, 4)


@pytest.mark.parametrize(
    "wrong",
    [
        np.array([7, -1]),
        np.array([7, 1 << 40]),
        np.array([7, 1 << 63], np.uint64),
        [7, 1.5],
        np.array([7, np.nan]),
        [7, -1],
        [7, 1 << 70],
    ],
)
def test_batch_keeps_numbers_as_they_are(wrong: Any) -> None:
    with Map.create("hash", np.uint32, np.uint64, 8) as m:
        with pytest.raises(pyebpf.Error) as seen:
            m.update_batch(wrong, [1, 2])
        assert seen.value.errno == errno.EINVAL
        assert len(m) == 0
        assert m.update_batch(np.arange(2, dtype=np.int64), [1.0, 2**64 - 2**12]) == 2
        assert dict(m.items()) == {0: 1, 1: 2**64 - 2**12}


@pytest.mark.parametrize("wrong", [None, "x", 1.5])
def test_prog_array_takes_programs(wrong: Any) -> None:
    with Map.create("prog_array", 4, 4, 1) as m, pytest.raises(pyebpf.Error, match="expected a Program or its fd"):
        m[bytes(4)] = wrong


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"backend": "x"}, ValueError, "backend is 'x'"),
        ({"caps": "x"}, ValueError, "caps is 'x'"),
        ({"license": None}, TypeError, "license is None"),
        ({"name": 5}, TypeError, "name is 5"),
        ({"name": "a b"}, pyebpf.Error, "name is 'a b'"),
        ({"log_level": -1}, pyebpf.Error, "log_level -1"),
        ({"log_level": 16}, pyebpf.Error, "log_level 16"),
    ],
)
def test_load_options(options: dict[str, Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        Program.load(PASS, **options)


def test_backend_that_is_none_loads_nothing_into_linux() -> None:
    require.linux()
    with pytest.raises(ValueError, match="backend"):
        Program.load(PASS, backend="Kernel")


@pytest.mark.parametrize("size", [1, 7, 19])
def test_instructions_are_whole(size: int) -> None:
    with pytest.raises(pyebpf.Error, match=f"instructions are {size} bytes, expected a multiple of 8"):
        Program.load(bytes(size))


def test_refusal_says_which_instruction_and_is_one_traceback() -> None:
    with pytest.raises(pyebpf.VerifierError) as seen:
        Program.load("r0 = 0\n r0 = *(u64 *)(r1 + 8)\n exit")
    assert str(seen.value) == "[EACCES] insn 1: invalid bpf_context access off=8 size=8"
    assert seen.value.__context__ is None
