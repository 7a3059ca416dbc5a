"""The tests. Under AddressSanitizer capstone must not be opened with RTLD_DEEPBIND, in children of tests neither."""

import os

if "libasan" in os.environ.get("LD_PRELOAD", ""):
    os.RTLD_DEEPBIND = 0  # type: ignore[misc]
