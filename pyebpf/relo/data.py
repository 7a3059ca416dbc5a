"""Global variables: each data section is an ARRAY of one value, each variable a place in it."""

from pyebpf.btf.externs import KCONFIG
from pyebpf.btf.reader import Btf
from pyebpf.btf.types import Kind, Linkage
from pyebpf.elf import model
from pyebpf.elf.model import ElfFile, Section
from pyebpf.errors import ObjectError
from pyebpf.spec import kinds
from pyebpf.spec.collection import MapSpec, VariableSpec
from pyebpf.spec.kinds import MapType

MAX_VALUE = 0x7FFFFFFF
MAX_VARIABLES = 1 << 14
MAX_SECTIONS = 256
_STORED = (".data", ".rodata")


def data_sections(elf: ElfFile) -> list[Section]:
    """.data, .rodata, .bss and those with a further part to their name, in the file's order."""
    found = [s for s in elf.sections if s.size and _base(s) is not None]
    if len(found) > MAX_SECTIONS:
        raise ObjectError(f"{len(found)} data sections, expected at most {MAX_SECTIONS}", section=found[0].name)
    return found


def _base(section: Section) -> str | None:
    head = section.name.split(".")[1:2]
    base = f".{head[0]}" if head and section.name.startswith(".") else ""
    if section.type == model.SHT_PROGBITS and base in _STORED and not section.flags & model.SHF_EXECINSTR:
        return base
    if section.type == model.SHT_NOBITS and base == ".bss":
        return base
    return None


def data_map(section: Section, object_name: str, btf: Btf | None) -> MapSpec:
    """The map of a data section."""
    if section.size > MAX_VALUE:
        raise ObjectError(f"{section.size} bytes of data, expected at most {MAX_VALUE}", section=section.name)
    read_only = section.name.split(".")[1] == "rodata"
    datasec = btf.find(section.name, Kind.DATASEC) if btf else None
    flags = kinds.BPF_F_RDONLY_PROG if read_only else 0
    if btf and datasec and any(_visible(btf, v.type) for v in datasec.vars):
        flags |= kinds.BPF_F_MMAPABLE
    return MapSpec(
        section.name,
        MapType.ARRAY,
        4,
        section.size,
        1,
        flags,
        value_type_id=datasec.id if datasec else 0,
        contents=section.data.tobytes(),
        freeze=read_only,
        section=section.name,
        kernel_name=kernel_name(section.name, object_name),
        btf=btf,
    )


def config_map(object_name: str, btf: Btf | None) -> list[MapSpec]:
    """The map of configuration values, all zero, if the object wants any."""
    datasec = btf.find(KCONFIG, Kind.DATASEC) if btf else None
    if datasec is None or not datasec.size:
        return []
    if datasec.size > MAX_VALUE:
        raise ObjectError(f"{datasec.size} bytes of data, expected at most {MAX_VALUE}", section=KCONFIG)
    return [
        MapSpec(
            KCONFIG,
            MapType.ARRAY,
            4,
            datasec.size,
            1,
            kinds.BPF_F_RDONLY_PROG | kinds.BPF_F_MMAPABLE,
            value_type_id=datasec.id,
            contents=b"",
            freeze=True,
            section=KCONFIG,
            kernel_name=kernel_name(KCONFIG, object_name),
            btf=btf,
        )
    ]


def _visible(btf: Btf, type_id: int) -> bool:
    var = btf.type(type_id)
    return var.kind is Kind.VAR and var.linkage != Linkage.STATIC


def kernel_name(section: str, object_name: str) -> str:
    """The name libbpf gives a data map: the object's name, cut to leave room, then the section's."""
    limit = kinds.OBJ_NAME_LEN - 1
    if "." in section[1:]:
        return section[:limit]
    suffix = section[:limit]
    prefix = object_name[: max(limit - max(7, len(suffix)), 0)]
    return "".join(c if c.isascii() and (c.isalnum() or c in "_.") else "_" for c in prefix + suffix)


def variables(elf: ElfFile, section: Section, contents: bytes, btf: Btf | None) -> list[VariableSpec]:
    """The variables of a data section, by BTF, else by symbol."""
    datasec = btf.find(section.name, Kind.DATASEC) if btf else None
    found = []
    if btf is not None and datasec is not None:
        for entry in datasec.vars:
            var = btf.type(entry.type)
            found.append((var.name, entry.offset, entry.size, var.type, var.linkage == Linkage.STATIC))
    else:
        for s in elf.symbols_in(section):
            if s.type == model.STT_OBJECT and s.name:
                found.append((s.name, s.value, s.size, 0, s.bind == model.STB_LOCAL))
    if len(found) > MAX_VARIABLES:
        raise ObjectError(f"{len(found)} variables, expected at most {MAX_VARIABLES}", section=section.name)
    out = []
    for name, offset, size, type_id, is_static in found:
        if offset + size > section.size:
            raise ObjectError(
                f"variable {name!r} ends at {offset + size:#x}, the section at {section.size:#x}",
                section=section.name,
                offset=offset,
            )
        read_only = section.name.split(".")[1] == "rodata"
        out.append(VariableSpec(name, section.name, offset, size, type_id, is_static, read_only, contents, btf))
    return out
