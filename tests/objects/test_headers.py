"""The C headers shipped for programs: helper numbers, arguments and results as libbpf declares them."""

import pathlib
import re
import subprocess
import sys

import pytest

from pyebpf.spec.helpers import HELPERS
from tests import require
from tests.objects import build

OURS = build.INCLUDE / "pyebpf" / "bpf_helper_defs.h"
LIBBPF = pathlib.Path("/usr/include/bpf/bpf_helper_defs.h")
DECLARATION = re.compile(
    r"static\s+(?P<ret>[\w ]+?\s*\*?)\s*\(\*\s*(?:const )?bpf_(?P<name>\w+)\)\((?P<args>[^)]*)\)"
    r"(?: __attribute__\(\(unused\)\))?\s*= \(void \*\) ?(?P<id>\d+)"
)


def declarations(path: pathlib.Path) -> dict[str, tuple[int, str, list[str]]]:
    """name -> (number, result, arguments); results and arguments as what a register holds."""
    out = {}
    for m in DECLARATION.finditer(path.read_text()):
        args = [kind(a) for a in m["args"].split(",") if a.strip() not in ("", "void", "...")]
        out[m["name"]] = (int(m["id"]), kind(m["ret"]), args)
    return out


def kind(c_type: str) -> str:
    """pointer, u32 (zero-extended by the compiler) or word."""
    if "*" in c_type:
        return "pointer"
    if re.search(r"\b(__u32|__wsum|__be32)\b", c_type):
        return "u32"
    return "void" if c_type.strip() == "void" else "word"


def test_every_helper_of_the_table_is_declared() -> None:
    assert [(i, n) for n, (i, _, _) in declarations(OURS).items()] == [(h.id, h.name) for h in HELPERS]


def test_helpers_have_libbpf_s_numbers_arguments_and_results() -> None:
    require.linux()
    if not LIBBPF.exists():
        pytest.skip("libbpf-dev is not installed")
    theirs, ours = declarations(LIBBPF), declarations(OURS)
    assert len(theirs) > 200
    for name in theirs.keys() & ours.keys():
        number, result, args = ours[name]
        assert (number, len(args)) == (theirs[name][0], len(theirs[name][2])), name
        assert result == theirs[name][1], name


def test_generated_headers_are_fresh() -> None:
    root = build.INCLUDE.parents[1]
    done = subprocess.run([sys.executable, "tools/gen_headers.py", "--check"], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("cpu", ["v1", "v4"])
def test_both_compilers_take_every_header_without_a_warning(cpu) -> None:
    build.clang("headers", cpu, "-g", "-Wextra", "-Wno-unused-parameter")
    build.zig("headers", cpu, "-g", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter")


def test_linux_s_headers_may_come_first() -> None:
    require.linux()
    if not pathlib.Path("/usr/include/linux/bpf.h").exists():
        pytest.skip("linux/bpf.h is not installed")
    build.clang("linux_first", "v3", "-g", "-I/usr/include/x86_64-linux-gnu")
