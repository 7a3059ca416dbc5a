"""What ships with pyebpf to measure with."""

import pathlib

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
CAPTURE = DATA / "demo.pcapng"


def objects() -> list[pathlib.Path]:
    """The dissector's objects as clang builds them for v3: flow_dissector, sock_flow, xdp_flow."""
    return sorted(p for p in (DATA / "bpf").glob("*.o") if p.name.count(".") == 1)


def dissector(build: str = "") -> pathlib.Path:
    """flow_dissector's object; build: "", ".v4", ".zig"."""
    return DATA / "bpf" / f"flow_dissector{build}.o"
