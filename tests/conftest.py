"""Set-up for every test."""

import os

if "libasan" in os.environ.get("LD_PRELOAD", ""):
    # capstone is opened with RTLD_DEEPBIND, which AddressSanitizer refuses.
    os.RTLD_DEEPBIND = 0  # type: ignore[misc]
