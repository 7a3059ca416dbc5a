"""Global variables of a collection: .data, .bss and .rodata by name, typed by BTF."""

from collections.abc import Iterator, Mapping
from typing import Any

from pyebpf.errors import Error
from pyebpf.objects.codec import Codec
from pyebpf.objects.handle import KernelMap, UserMap
from pyebpf.spec.collection import VariableSpec


def codec_of(spec: VariableSpec) -> Codec:
    """How Python sees a variable: by its BTF type, else as bytes (or an int, when setting it)."""
    return Codec(spec.size, spec.dtype)


class Variables(Mapping[str, Any]):
    """name -> value, read from the map each time; `variables["limit"] = 4` sets it while programs run.

    A variable in .rodata cannot be set once its program is loaded (EPERM): give Collection.load(variables=) then.
    """

    def __init__(self, specs: Mapping[str, VariableSpec], handles: Mapping[str, "UserMap | KernelMap"]) -> None:
        self._specs = specs
        self._handles = handles
        self._codecs = {name: codec_of(spec) for name, spec in specs.items()}

    def __getitem__(self, name: str) -> Any:
        spec = self._specs[name]
        return self._codecs[name].decode(self._handles[spec.map].peek(spec.offset, spec.size))

    def __setitem__(self, name: str, value: Any) -> None:
        spec = self._specs[name]
        content = self._codecs[name].encode(value)
        try:
            self._handles[spec.map].poke(spec.offset, content)
        except Error as exc:
            raise Error(exc.errno or 0, f"variable {name!r} in {spec.map}: {exc.strerror}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._specs)

    def __len__(self) -> int:
        return len(self._specs)

    def __repr__(self) -> str:
        return f"{{{', '.join(self._specs)}}}"


def initial(specs: Mapping[str, VariableSpec], given: Mapping[str, Any], contents: dict[str, bytearray]) -> None:
    """Put the values `given` into the data maps' contents; KeyError for a name that no variable has."""
    for name, value in given.items():
        if name not in specs:
            raise KeyError(f"no variable {name!r}, there are: {', '.join(specs) or 'none'}")
        spec = specs[name]
        contents[spec.map][spec.offset : spec.offset + spec.size] = codec_of(spec).encode(value)
