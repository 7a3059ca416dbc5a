"""Builds the C stress programs with a sanitizer and runs them: `python -m tests.maps.c.run thread [--seconds 5]`."""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
CSRC = HERE.parents[2] / "csrc"
CORE = ("epoch.c", "alloc.c", "hash.c", "hashtab.c", "hashtab_slab.c", "hashtab_scan.c")
VARIANTS = {
    "plain": [],
    "dense": ["-DENTRIES_PER_10_BUCKETS=108"],  # tables nearly full: entries overflow their buckets
    "fenced": ["-DEPOCH_NO_MEMBARRIER"],  # as where membarrier(2) is refused
}
SANITIZERS = {"none": [], "thread": ["-fsanitize=thread"], "address": ["-fsanitize=address,undefined"]}


def programs() -> list[str]:
    """Names of the stress programs."""
    return sorted(path.stem for path in HERE.glob("*.c"))


def build(name: str, sanitizer: str, into: pathlib.Path, *, variant: str = "plain") -> pathlib.Path:
    """Compile one program together with the core it stresses; the executable's path."""
    out = into / f"{name}-{sanitizer}-{variant}"
    warnings = ["-Wall", "-Wextra", "-Werror"]
    flags = ["-std=gnu11", "-O2", "-g", *warnings, *SANITIZERS[sanitizer], *VARIANTS[variant]]
    sources = [str(HERE / f"{name}.c"), *(str(CSRC / c) for c in CORE)]
    cc = os.environ.get("CC", "gcc")
    subprocess.run([cc, *flags, f"-I{CSRC}", f"-I{HERE}", *sources, "-o", str(out), "-lpthread"], check=True)
    return out


def run(program: pathlib.Path, seconds: float) -> str:
    """Run it; what it printed. A failed check or a sanitizer's report raises."""
    env = dict(os.environ, TSAN_OPTIONS="halt_on_error=1 exitcode=66", ASAN_OPTIONS="detect_leaks=1")
    env.pop("LD_PRELOAD", None)
    done = subprocess.run(
        [str(program), str(seconds)], env=env, capture_output=True, text=True, timeout=seconds * 20 + 120, check=False
    )
    if done.returncode or done.stderr:
        raise AssertionError(f"{program.name}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


def main() -> int:
    """Build and run all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sanitizer", choices=sorted(SANITIZERS))
    parser.add_argument("--seconds", type=float, default=5.0, help="of each program (default 5)")
    parser.add_argument("names", nargs="*", default=programs(), help="programs (default: all)")
    args = parser.parse_args()
    into = HERE.parents[2] / "build" / "stress"
    into.mkdir(parents=True, exist_ok=True)
    if not shutil.which(os.environ.get("CC", "gcc")):
        sys.exit("no C compiler")
    for name in args.names:
        for variant in VARIANTS:
            done = run(build(name, args.sanitizer, into, variant=variant), args.seconds)
            print(f"{variant} {done}", end="", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
