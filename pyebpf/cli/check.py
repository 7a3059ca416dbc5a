"""`pyebpf check OBJ...`: the verdict on every program, the reason with the source line under it."""

import argparse
import json
import sys
from typing import Any

from pyebpf.errors import Error
from pyebpf.objects import check as checking
from pyebpf.objects.check import Verdict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("objects", nargs="+", metavar="OBJ", help="an object file that clang made for BPF")
    parser.add_argument("--prog", metavar="NAME", help="this program alone")
    parser.add_argument("--log-level", type=int, default=0, metavar="N", help="print the verifier's log: 1, 2 or 4")
    parser.add_argument("--caps", choices=("all", "bpf", "none"), default="all", help="the privileges to verify with")
    parser.add_argument("--backend", choices=("user", "kernel"), default="user", help="who verifies")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def state(verdict: Verdict) -> str:
    """accepted, rejected, or unsupported: no verdict, pyebpf lacks what it needs."""
    return "accepted" if verdict.accepted else "unsupported" if verdict.unsupported else "rejected"


def record(path: str, verdict: Verdict) -> dict[str, Any]:
    """A verdict as JSON gives it."""
    return {
        "object": path,
        "name": verdict.name,
        "type": verdict.type.name.lower(),
        "verdict": state(verdict),
        "error": verdict.error.strerror if verdict.error else "",
        "insn": verdict.insn,
        "source": getattr(verdict.error, "source", ""),
        "processed": verdict.processed,
        "ns": verdict.time_ns,
    }


def show(path: str, verdict: Verdict, log_level: int) -> None:
    """A verdict for people."""
    work = f"{verdict.processed} instructions processed, {verdict.time_ns / 1e6:.2f} ms"
    print(f"{path}: {verdict.name} ({verdict.type.name.lower()}): {state(verdict)}  [{work}]")
    if verdict.error:
        place = f"instruction {verdict.insn}: " if verdict.insn >= 0 else ""
        print(f"    {place}{verdict.error.strerror}")
        if source := getattr(verdict.error, "source", ""):
            print(f"    {source}")
    if log_level and verdict.log:
        print("".join(f"    | {line}\n" for line in verdict.log.splitlines()), end="")


def verdicts(path: str, options: argparse.Namespace) -> list[Verdict]:
    """The verdicts on one object; an object that cannot be read is said on standard error and is an Error."""
    programs = None if options.prog is None else [options.prog]
    level = options.log_level
    try:
        return checking.check(path, programs=programs, caps=options.caps, log_level=level, backend=options.backend)
    except OSError as err:
        print(f"pyebpf check: {path}: {err if isinstance(err, Error) else err.strerror}", file=sys.stderr)
        raise


def run(options: argparse.Namespace) -> int:
    """0 if every object was read and every program accepted, else 1."""
    records, refused = [], 0
    for path in options.objects:
        try:
            found = verdicts(path, options)
        except OSError:
            refused += 1
            continue
        for verdict in found:
            refused += not verdict.accepted
            records.append(record(path, verdict))
            if not options.json:
                show(path, verdict, options.log_level)
    if options.json:
        print(json.dumps({"programs": records}))
    return 1 if refused else 0
