"""The header for native callers: a C function written with it alone runs programs."""

import ctypes
import pathlib
import shutil
import subprocess

import pytest

from pyebpf.spec.kinds import ProgType
from tests.engine.images import load_native

INCLUDE = pathlib.Path(__file__).resolve().parents[2] / "pyebpf" / "include"
SOURCE = """
#include <pyebpf/entry.h>

uint64_t run_xdp(ebpf_entry entry, uint8_t *packet, uint64_t nbytes)
{
	struct ebpf_xdp xdp = {
		.data = (uintptr_t)packet, .data_end = (uintptr_t)packet + nbytes, .data_meta = (uintptr_t)packet,
		.hard_start = (uintptr_t)packet, .hard_end = (uintptr_t)packet + nbytes, .ingress_ifindex = 3,
	};

	return entry(&xdp, 0);
}

uint64_t run_filter(ebpf_entry entry, uint8_t *packet, uint64_t nbytes)
{
	struct ebpf_skb skb = {
		.len = nbytes, .data = (uintptr_t)packet, .data_end = (uintptr_t)packet + nbytes,
		.hard_start = (uintptr_t)packet, .hard_end = (uintptr_t)packet + nbytes, .net_off = 14,
	};

	return entry(&skb, 0);
}
"""


@pytest.mark.nosan  # the compiler would run under the preloaded sanitizer
@pytest.mark.parametrize("engine", [0, 1], ids=["interp", "jit"])
def test_c_code_runs_programs_through_their_entries(tmp_path: pathlib.Path, engine: int) -> None:
    compiler = shutil.which("gcc") or shutil.which("cc")
    assert compiler is not None
    (tmp_path / "caller.c").write_text(SOURCE)
    command = [compiler, "-Wall", "-Werror", "-shared", "-fPIC", "-I", INCLUDE, "caller.c", "-o", "caller.so"]
    subprocess.run(command, cwd=tmp_path, check=True)
    library = ctypes.CDLL(str(tmp_path / "caller.so"))
    for name in ("run_xdp", "run_filter"):
        getattr(library, name).argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64)
        getattr(library, name).restype = ctypes.c_uint64
    packet = ctypes.create_string_buffer(bytes(range(100)))
    text = "r2 = *(u32 *)(r1 + 0)\n r0 = *(u32 *)(r1 + 4)\n r0 -= r2\n r1 = *(u32 *)(r1 + 12)\n r0 *= r1\n exit"
    xdp = load_native(text, ProgType.XDP, engine=engine)
    assert library.run_xdp(xdp.entry, packet, 100) == 300
    socket_filter = load_native("r6 = r1\n r0 = *(u16 *)skb[23]\n exit", ProgType.SOCKET_FILTER, engine=engine)
    assert library.run_filter(socket_filter.entry, packet, 100) == 0x1718
    assert library.run_filter(socket_filter.entry, packet, 24) == 0
