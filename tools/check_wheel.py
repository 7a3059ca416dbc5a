"""Installs a wheel in an empty venv without a compiler on PATH and runs the dissector benchmark there."""

import os
import pathlib
import subprocess
import sys
import tempfile
import venv


def main() -> int:
    """`check_wheel.py WHEEL`; 0 if the benchmark printed its table."""
    wheel = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = pathlib.Path(folder) / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "-q", wheel], check=True)
        env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"PATH": str(python.parent)}
        out = subprocess.run(
            [python.parent / "pyebpf", "bench", "flow-dissector", "--quick"],
            cwd=folder, env=env, check=True, capture_output=True, text=True,
        )  # fmt: skip
    print(out.stdout)
    return 0 if "native" in out.stdout else 1


if __name__ == "__main__":
    sys.exit(main())
