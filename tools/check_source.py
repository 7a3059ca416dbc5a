"""Checks that no other tool makes: C layers, and the bounds on file and function length (exit 1 with places)."""

import ast
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MAX_FILE, MAX_FUNCTION = 600, 60
ONE_FUNCTION_BY_NATURE = ("csrc/interp_body.h",)  # computed goto: a label an instruction

# Who may not include what, by prefix of the file name.
FORBIDDEN = (
    ("interp", re.compile(r'#include "jit')),
    ("jit", re.compile(r'#include "interp')),
    ("hashtab", re.compile(r'#include "(map|prog|helpers|interp|jit|packet|ingest)')),
    ("hash.", re.compile(r'#include "(map|prog|helpers|interp|jit|packet|ingest|hashtab)')),
    ("alloc", re.compile(r'#include "(map|prog|helpers|interp|jit|packet|ingest|hashtab)')),
    ("epoch", re.compile(r'#include "(map|prog|helpers|interp|jit|packet|ingest|hashtab)')),
    ("map_", re.compile(r'#include "(interp|jit|packet|ingest)')),
    ("decode", re.compile(r'#include "(interp|jit_|packet|ingest)')),
    ("ingest", re.compile(r'#include "(interp|jit)')),
)


def c_layers() -> list[str]:
    """Includes that go up."""
    found = []
    for path in sorted((ROOT / "csrc").glob("*.[ch]")):
        for prefix, pattern in FORBIDDEN:
            if path.name.startswith(prefix):
                for number, line in enumerate(path.read_text().splitlines(), 1):
                    if pattern.match(line):
                        found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()} goes up a layer")
    for path in sorted((ROOT / "pyebpf").rglob("*.p[yx][xid]")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if (m := re.match(r'\s*cdef extern from "(?!core\.h)(\w+\.h)"', line)) and m[1] != "Python.h":
                found.append(f"{path.relative_to(ROOT)}:{number}: {m[1]}: core.h is the only header Cython sees")
    return found


def c_functions(text: str) -> list[tuple[int, int]]:
    """(first line, length) of each function body: a brace in column 0 opens and closes one."""
    spans, start = [], 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("{"):
            start = number
        elif line.startswith("}") and start:
            spans.append((start, number - start))
            start = 0
    return spans


def python_functions(text: str) -> list[tuple[int, int]]:
    """(first line, length) of each function, docstring not counted."""
    spans = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            doc = 0
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                doc = (first.end_lineno or 0) - first.lineno + 1
            spans.append((node.lineno, (node.end_lineno or 0) - node.lineno + 1 - doc))
    return spans


def sizes() -> list[str]:
    """Files and functions beyond their bounds; data tables may be longer."""
    found = []
    sources = [*(ROOT / "csrc").glob("*.[ch]"), *(ROOT / "pyebpf").rglob("*.py"), *(ROOT / "tools").glob("*.py")]
    for path in sorted(sources):
        text, name = path.read_text(), str(path.relative_to(ROOT))
        lines = text.count("\n")
        if lines > MAX_FILE and "spec/" not in name:
            found.append(f"{name}: {lines} lines, bound {MAX_FILE}")
        functions = python_functions(text) if path.suffix == ".py" else c_functions(text)
        if name in ONE_FUNCTION_BY_NATURE:
            continue
        found += [
            f"{name}:{line}: function of {n} lines, bound {MAX_FUNCTION}" for line, n in functions if n > MAX_FUNCTION
        ]
    return found


def main() -> int:
    """Print what is wrong."""
    found = c_layers() + sizes()
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
