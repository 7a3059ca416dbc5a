"""The warnings csrc is compiled with; setup.py and check_warnings.py read them here."""

C_WARNINGS = (
    "-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla -Wformat=2 -Wcast-align -Wconversion"
).split()
