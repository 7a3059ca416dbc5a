"""Verdict, errno and first message of each rule's programs: as committed, and as Linux says where it can be asked."""

import json
import subprocess
import sys

import pytest

from pyebpf.isa.asm import assemble
from pyebpf.isa.insn import Insn, encode
from pyebpf.spec.kinds import ProgType
from pyebpf.verifier import VerifierInput, verify
from tests import require
from tests.fuzz.verdicts import LinuxSide, OurSide
from tests.verify.logs import our_log
from tests.verify.programs import PROGRAMS

IDS = [row[0] for row in PROGRAMS]
INTERPRETED = """
import importlib.machinery, importlib.util, json, pathlib, sys
class Sources:
    def find_spec(self, name, path=None, target=None):
        if not name.startswith("pyebpf.verify."):
            return None
        file = pathlib.Path("pyebpf/verify") / (name.rsplit(".", 1)[1] + ".py")
        return importlib.util.spec_from_file_location(name, file) if file.exists() else None
sys.meta_path.insert(0, Sources())
from tests.verify.test_verdicts import our_logs
from pyebpf.verify import bounds
assert bounds.__file__.endswith(".py")
print(json.dumps(our_logs()))
"""


def our_logs() -> list[str]:
    """The level 2 log of every program."""
    return [our_log(assemble(text), ProgType[kind.upper()]) for _, kind, text, _, _ in PROGRAMS]


@pytest.mark.parametrize(("name", "kind", "text", "errno", "message"), PROGRAMS, ids=IDS)
def test_verdict(name: str, kind: str, text: str, errno: int, message: str) -> None:
    verdict = OurSide().verdict(assemble(text), ProgType[kind.upper()])
    assert not verdict.unsupported
    assert (verdict.errno, verdict.message if verdict.errno else "") == (errno, message)


def test_linux_says_the_same() -> None:
    require.linux()
    with LinuxSide() as kernel:
        for name, kind, text, errno, message in PROGRAMS:
            verdict = kernel.verdict(assemble(text), ProgType[kind.upper()])
            assert (verdict.errno, verdict.message if verdict.errno else "") == (errno, message), name


def test_interpreted_and_compiled_log_the_same() -> None:
    out = subprocess.run([sys.executable, "-c", INTERPRETED], capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stderr[-2000:]
    theirs = json.loads(out.stdout.splitlines()[-1])
    for name, ours, interpreted in zip(IDS, our_logs(), theirs, strict=True):
        assert ours == interpreted, name


@pytest.mark.parametrize("attach_type", [0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_an_attach_type_of_any_32_bits_is_no_matter_to_a_socket_filter(attach_type: int) -> None:
    code = encode([Insn(0xB7, 0), Insn(0x95)])
    program = VerifierInput(code, ProgType.SOCKET_FILTER, expected_attach_type=attach_type)
    assert verify(program, NoMaps()).stats.processed == 2


class NoMaps:
    """A MapSource without maps."""

    def by_fd(self, fd: int) -> None:
        return None

    def by_index(self, index: int) -> None:
        return None
