"""What an object wants from elsewhere: kernel symbols, kernel functions, configuration values.

None of them exist here. A weak kernel symbol is 0, as libbpf has it; the others keep a program from
being loaded, with the reason, but not its object from being read.
"""

from pyebpf.btf.reader import Btf
from pyebpf.btf.types import Kind
from pyebpf.elf import model
from pyebpf.elf.model import Symbol


class Externs:
    """The extern declarations of an object, by its BTF."""

    def __init__(self, btf: Btf | None) -> None:
        self._section: dict[str, str] = {}
        if btf is None:
            return
        for section in btf.of_kind(Kind.DATASEC):
            if section.name in (".kconfig", ".ksyms"):
                for entry in section.vars:
                    self._section[btf.type(entry.type).name] = section.name

    def call(self, symbol: Symbol) -> str:
        """Why a call of `symbol` cannot be made."""
        if self._section.get(symbol.name) == ".ksyms":
            return f"it calls the kernel function {symbol.name!r}"
        return f"it calls {symbol.name!r}, which is not defined"

    def address(self, symbol: Symbol) -> tuple[int, str]:
        """The address of `symbol`, or why it has none."""
        section = self._section.get(symbol.name)
        if section == ".kconfig":
            return 0, f"it needs the configuration value {symbol.name!r}"
        if symbol.bind == model.STB_WEAK:
            return 0, ""
        if section == ".ksyms":
            return 0, f"it needs the kernel symbol {symbol.name!r}"
        return 0, f"it needs {symbol.name!r}, which is not defined"
