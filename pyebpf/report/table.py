"""Plain text tables: numbers to the right, words to the left, two spaces between columns."""

from collections.abc import Sequence

NUMBER = set("0123456789.,-+%/e")


def _is_number(cell: str) -> bool:
    return not cell or set(cell) <= NUMBER


def render(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The table, its header underlined; a column of numbers (and blanks) stands to the right."""
    columns = list(zip(header, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    right = [all(map(_is_number, column[1:])) for column in columns]
    lines = [list(header), ["-" * width for width in widths], *map(list, rows)]
    return "\n".join(
        "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(line, widths, right, strict=True)).rstrip()
        for line in lines
    )


def count(value: int) -> str:
    """A count with thousands apart."""
    return f"{value:,}"
