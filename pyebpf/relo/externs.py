"""What an object wants from elsewhere: kernel symbols, kernel functions, configuration values.

None of them exist here. A weak kernel symbol is 0, as libbpf has it; the others keep a program from
being loaded, with the reason, but not its object from being read. Configuration values have their places
in a map of their own all the same, as libbpf lays it out.
"""

from pyebpf.btf.externs import KCONFIG, KSYMS
from pyebpf.btf.reader import Btf
from pyebpf.btf.types import Kind
from pyebpf.elf import model
from pyebpf.elf.model import Symbol


class Externs:
    """The extern declarations of an object, by its BTF."""

    def __init__(self, declared: Btf | None, settled: Btf | None) -> None:
        """declared: BTF as the compiler wrote it.  settled: with places for the values."""
        self._section: dict[str, str] = {}
        self._config: dict[str, int] = {}
        for btf in filter(None, (declared, settled)):
            for section in btf.of_kind(Kind.DATASEC):
                if section.name in (KCONFIG, KSYMS):
                    for entry in section.vars:
                        self._section[btf.type(entry.type).name] = section.name
                if section.name == KCONFIG:
                    self._config = {btf.type(entry.type).name: entry.offset for entry in section.vars}

    def call(self, symbol: Symbol) -> str:
        """Why a call of `symbol` cannot be made."""
        if self._section.get(symbol.name) == KSYMS:
            return f"it calls the kernel function {symbol.name!r}"
        return f"it calls {symbol.name!r}, which is not defined"

    def config_offset(self, symbol: Symbol) -> int | None:
        """Where in the map of configuration values `symbol` is; None for another kind of symbol."""
        return self._config.get(symbol.name)

    def address(self, symbol: Symbol) -> tuple[int, str]:
        """The address of `symbol`, or why it has none."""
        section = self._section.get(symbol.name)
        if section == KCONFIG:
            return 0, f"it needs the configuration value {symbol.name!r}"
        if symbol.bind == model.STB_WEAK:
            return 0, ""
        if section == KSYMS:
            return 0, f"it needs the kernel symbol {symbol.name!r}"
        return 0, f"it needs {symbol.name!r}, which is not defined"
