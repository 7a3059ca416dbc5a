"""A line of assembly text as tokens with their columns, and the cursor the statement parser reads them through."""

import re
from dataclasses import dataclass
from typing import Final, NoReturn

from pyebpf.errors import AsmError

_TOKEN: Final = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<comment>;.*|//.*|/\*.*?\*/|\#(?!-?\d).*)
  | (?P<number>0[xX][0-9a-fA-F]+|\d+)(?![\w])
  | (?P<sign>s(?:>>=|>=|<=|/=|%=|>|<)|<<=|>>=|[-+*/|&%^=!<>]=|[-+*/|&%^=<>()\[\],:\#@])
  | (?P<name>[A-Za-z_.$][\w.$]*)
    """,
    re.VERBOSE,
)
_SYMBOL_REST: Final = re.compile(r"\s+<[^<>\s]+>\s*$")


@dataclass(frozen=True, slots=True)
class Token:
    """kind: "number", "sign", "name" or "end".  column: from 1."""

    kind: str
    text: str
    column: int


def tokenize(text: str, line: int, start: int = 0) -> list[Token]:
    """The tokens of one line from `start` on, and an "end"; comments (; // # /* */) and objdump's `<symbol>` go."""
    text = _SYMBOL_REST.sub("", text)
    tokens, at = [], start
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise AsmError(f"unexpected character {text[at]!r}", line=line, column=at + 1)
        kind = match.lastgroup or ""
        if kind not in ("space", "comment"):
            tokens.append(Token(kind, match.group(), at + 1))
        at = match.end()
    tokens.append(Token("end", "end of line", len(text.rstrip()) + 1))
    return tokens


class Cursor:
    """Reads tokens one after the other; every `want` that fails is an AsmError at that token."""

    def __init__(self, text: str, line: int, start: int = 0) -> None:
        self.line = line
        self.tokens = tokenize(text, line, start)
        self.at = 0

    @property
    def next(self) -> Token:
        """The token not read yet."""
        return self.tokens[self.at]

    def peek(self, distance: int) -> Token:
        """A token further on, the last one beyond the end."""
        return self.tokens[min(self.at + distance, len(self.tokens) - 1)]

    def fail(self, message: str, token: Token | None = None) -> NoReturn:
        """AsmError at `token`, or at the next one."""
        raise AsmError(message, line=self.line, column=(token or self.next).column)

    def take(self) -> Token:
        """Read one token."""
        token = self.next
        self.at = min(self.at + 1, len(self.tokens) - 1)
        return token

    def accept(self, *texts: str) -> str | None:
        """Read the next token if it is one of `texts`."""
        return self.take().text if self.next.kind != "end" and self.next.text in texts else None

    def want(self, *texts: str) -> str:
        """Read a token that must be one of `texts`."""
        found = self.accept(*texts)
        if found is None:
            self.fail(f"found {self.next.text!r}, expected {' or '.join(map(repr, texts))}")
        return found

    def name(self, what: str) -> Token:
        """Read a name."""
        if self.next.kind != "name":
            self.fail(f"found {self.next.text!r}, expected {what}")
        return self.take()

    def number(self, what: str, low: int, high: int) -> int:
        """Read an optionally signed number from `low` to `high`."""
        first = self.next
        sign = self.accept("-", "+")
        if self.next.kind != "number":
            self.fail(f"found {self.next.text!r}, expected {what}")
        text = self.take().text
        value = int(text, 16 if text[:2].lower() == "0x" else 10)
        value = -value if sign == "-" else value
        if not low <= value <= high:
            self.fail(f"{what} {value} does not fit, expected {low} to {high}", first)
        return value

    def register(self, what: str = "a register") -> tuple[str, int]:
        """Read r0..r10 or w0..w10: ("r" or "w", number)."""
        token = self.next
        match = re.fullmatch(r"([rw])(\d{1,2})", token.text) if token.kind == "name" else None
        if match is None or int(match[2]) > 10:
            self.fail(f"found {token.text!r}, expected {what} (r0 to r10, w0 to w10)")
        self.take()
        return match[1], int(match[2])

    def is_register(self, distance: int = 0) -> bool:
        """The token `distance` ahead has the form of a register."""
        return re.fullmatch(r"[rw]\d{1,2}", self.peek(distance).text) is not None

    def end(self) -> None:
        """Nothing may follow."""
        if self.next.kind != "end":
            self.fail(f"unexpected {self.next.text!r} after the instruction")
