"""Opening objects: a usual one, and one of 80,000 instructions with calls, maps, lines and types."""

import pathlib
import subprocess
import sys

import pytest

import pyebpf

INCLUDE = pathlib.Path(pyebpf.__file__).parent / "include"
ZIG = (sys.executable, "-m", "ziglang", "cc", "-target", "bpfel-freestanding", "-O2", "-g", "-mcpu=v3")

HEAD = """#include <pyebpf/bpf_helpers.h>
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} m SEC(".maps");
__u64 g[64];
char _license[] SEC("license") = "GPL";
"""


def source(functions: int, statements: int, programs: int) -> str:
    """C of many functions, each calling the one before it, fifty to a chain."""
    out = [HEAD]
    for i in range(functions):
        out.append(f"static __noinline int f{i}(__u32 x)\n{{\n__u32 k = x & 3;\n")
        out.append("volatile __u64 *v = bpf_map_lookup_elem(&m, &k);\nif (!v)\n\treturn 0;\n")
        for j in range(statements):
            out.append(f"*v = *v * {j + 3} + g[{(i + j) % 64}];\nx ^= {i * j + 7};\nbarrier_var(x);\n")
        out.append(f"return x{f' + f{i - 1}(x)' if i % 50 else ''};\n}}\n")
    for p in range(programs):
        last = min(p * 50 + 49, functions - 1)
        out.append(f'SEC("xdp") int p{p}(struct xdp_md *c) {{ return f{last}(c->rx_queue_index); }}\n')
    return "".join(out)


@pytest.mark.parametrize(("name", "shape"), [("small", (3, 5, 1)), ("large", (600, 20, 12))])
def test_open(benchmark, tmp_path: pathlib.Path, name: str, shape: tuple[int, int, int]) -> None:
    path = tmp_path / "x.c"
    path.write_text(source(*shape))
    flags = ("-fno-unwind-tables", "-fno-asynchronous-unwind-tables", f"-I{INCLUDE}")
    subprocess.run([*ZIG, *flags, "-c", str(path), "-o", str(tmp_path / "x.o")], check=True, capture_output=True)
    raw = (tmp_path / "x.o").read_bytes()
    spec = benchmark(pyebpf.CollectionSpec.load, raw)
    insns = sum(len(p.insns) // 8 for p in spec.programs.values())
    benchmark.extra_info.update(object=name, nbytes=len(raw), programs=len(spec.programs), insns=insns)
