"""BtfObj: type information as BTF_LOAD keeps it."""

from typing import ClassVar

from pyebpf.btf import Btf, Kind, layout, size_of
from pyebpf.errors import BtfError, Error
from pyebpf.runtime.kobject import KObject


class BtfObj(KObject):
    """A BTF blob and its parsed types."""

    kind: ClassVar[str] = "btf"

    def __init__(self, types: Btf) -> None:
        super().__init__()
        self.types = types

    @property
    def data(self) -> bytes:
        """The blob as it was loaded."""
        return self.types.raw

    def size_of(self, type_id: int) -> int:
        """Bytes of a type, typedefs and qualifiers followed; EINVAL when it has no size."""
        return size_of(self.types, type_id)

    def func_name(self, type_id: int) -> str | None:
        """The name of a FUNC; None when the id is no function's."""
        try:
            found = self.types.type(type_id)
        except Error:
            return None
        return found.name if found.kind is Kind.FUNC else None

    def string(self, offset: int) -> str | None:
        """The string at an offset; None when there is none."""
        try:
            return self.types.string(offset)
        except Error:
            return None


def parse_btf(data: bytes) -> Btf:
    """The types of a blob, every one looked at; BtfError."""
    types = Btf(data)
    if len(types) < 2:
        raise BtfError("BTF without types")
    layout.check(types)
    return types
