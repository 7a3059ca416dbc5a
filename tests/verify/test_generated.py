"""The declarations beside the verifier's modules are those of their annotations."""

import subprocess
import sys


def test_declarations_are_up_to_date() -> None:
    out = subprocess.run([sys.executable, "tools/gen_pxd.py", "--check"], capture_output=True, text=True, check=False)
    assert (out.returncode, out.stdout) == (0, "")
