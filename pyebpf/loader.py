"""From an object file's bytes to a CollectionSpec: what it describes, complete but for the machine.

The same bytes give the same spec on every machine: nothing here looks at the kernel, the processor or
the environment.
"""

import os
import pathlib
import stat
from collections.abc import Mapping
from typing import BinaryIO

from pyebpf.btf import ext as btf_ext
from pyebpf.btf import externs, fixup, layout
from pyebpf.btf.reader import Btf
from pyebpf.elf import model, reader
from pyebpf.elf.model import ElfFile
from pyebpf.errors import ObjectError
from pyebpf.relo import assemble, core, data, mapdefs
from pyebpf.relo.assemble import Assembled
from pyebpf.relo.externs import Externs
from pyebpf.relo.functions import Functions, MapPlaces
from pyebpf.spec import kinds, sections
from pyebpf.spec.collection import CollectionContents, MapSpec, Named, ProgramSpec, VariableSpec
from pyebpf.spec.kinds import ProgType

Source = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO
MAX_LICENSE = 63


class CollectionSpec(CollectionContents):
    """What an object file describes; CollectionSpec.load() reads one."""

    __slots__ = ()

    @classmethod
    def load(cls, source: Source, *, name: str | None = None) -> "CollectionSpec":
        """Read an object: a path, its bytes, or a file open for reading bytes.

        name: the object's name, which libbpf puts before the names of data maps; of a path its file
        name up to the first dot, else "".
        ObjectError when it is malformed; OSError when a path cannot be read.
        """
        raw, found = _read(source)
        return load(raw, found if name is None else name)


def _read(source: Source) -> tuple[bytes, str]:
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source), ""
    if isinstance(source, (str, os.PathLike)):
        path = pathlib.Path(source)
        with path.open("rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ObjectError(f"{str(path)!r} is not a regular file")
            return file.read(reader.MAX_FILE + 1), path.name.split(".")[0]
    return source.read(reader.MAX_FILE + 1), ""


def load(raw: bytes, name: str = "") -> CollectionSpec:
    """The CollectionSpec of an object's bytes."""
    elf = reader.read(raw)
    functions = Functions(elf)
    declared = _read_btf(elf, functions)
    btf = externs.settle(declared) if declared else None
    ext = _read_ext(elf, btf)
    object_name = name[: kinds.OBJ_NAME_LEN - 1]

    mains = assemble.mains(functions)
    definitions = mapdefs.read_legacy_maps(elf) + mapdefs.read_btf_maps(elf, btf)
    definitions = mapdefs.with_slots(elf, definitions, {f.name for f in mains})
    data_sections = data.data_sections(elf)
    maps = [d.spec for d in definitions] + [data.data_map(s, object_name, btf) for s in data_sections]
    config = data.config_map(object_name, btf)
    config_index = len(maps) if config else -1
    maps += config
    _distinct(maps)
    by_place: dict[int, dict[int, int]] = {}
    for i, d in enumerate(definitions):
        by_place.setdefault(d.section, {})[d.offset] = i
    places = MapPlaces(by_place, {s.index: len(definitions) + i for i, s in enumerate(data_sections)}, config_index)
    functions.resolve(places, Externs(declared, btf))
    core.mark(functions, ext, btf)

    license_text, version = _license(elf), _version(elf)
    assembler = assemble.Assembler(ext)
    programs: dict[str, ProgramSpec] = {}
    for main in mains:
        if main.name in programs:
            raise ObjectError(f"program {main.name!r} is defined twice", section=main.section.name)
        programs[main.name] = _program(assembler.assemble(main), maps, license_text, version, btf)
    named = {m.name: m for m in maps}
    variables = [v for s in data_sections for v in data.variables(elf, s, named[s.name].contents or b"", btf)]
    return CollectionSpec(
        object_name,
        Named(programs),
        Named(named),
        Named(_by_name(variables)),
        license_text,
        version,
        btf,
    )


def _read_btf(elf: ElfFile, functions: Functions) -> Btf | None:
    section = elf.section(".BTF")
    if section is None or not section.data:
        return None
    btf = Btf(section.data)
    layout.check(btf)
    sizes = {s.name: s.size for s in reversed(elf.sections) if s.flags & model.SHF_ALLOC}
    places: dict[str, dict[str, int]] = {}
    for symbol in elf.symbols:
        if 0 < symbol.section < len(elf.sections) and symbol.name:
            places.setdefault(elf.sections[symbol.section].name, {})[symbol.name] = symbol.value
    return fixup.fix_up(btf, sizes, places, assemble.hidden_functions(functions))


def _read_ext(elf: ElfFile, btf: Btf | None) -> btf_ext.BtfExt | None:
    section = elf.section(".BTF.ext")
    return btf_ext.read(section.data, btf) if section is not None and section.data and btf is not None else None


def _distinct(maps: list[MapSpec]) -> None:
    seen: set[str] = set()
    for m in maps:
        if m.name in seen:
            raise ObjectError(f"map {m.name!r} is defined twice", section=m.section)
        seen.add(m.name)


def _by_name(variables: list[VariableSpec]) -> Mapping[str, VariableSpec]:
    """Variables by name; a global one before a static one of the same name."""
    ordered = sorted(variables, key=lambda v: not v.is_static)
    return {v.name: v for v in ordered}


def _license(elf: ElfFile) -> str:
    section = elf.section("license")
    if section is None:
        return ""
    text = section.data[: MAX_LICENSE + 1].tobytes().split(b"\0")[0]
    return text[:MAX_LICENSE].decode("utf-8", "backslashreplace")


def _version(elf: ElfFile) -> int:
    section = elf.section("version")
    if section is None:
        return 0
    if len(section.data) != 4:
        raise ObjectError(f"{len(section.data)} bytes, expected 4", section=section.name, offset=0)
    return int.from_bytes(section.data, "little")


def _program(made: Assembled, maps: list[MapSpec], license_text: str, version: int, btf: Btf | None) -> ProgramSpec:
    name = made.main.section.name
    means = sections.meaning(name)
    problem = made.problem
    if means.prog_type is ProgType.UNSPEC and not problem:
        problem = f"section {name!r} names no program type"
    return ProgramSpec(
        made.main.name,
        name.removeprefix("?"),
        means.prog_type,
        made.insns.tobytes(),
        tuple(maps[i].name for i in made.maps),
        license_text,
        version,
        means.attach_type,
        means.target,
        means.prog_flags,
        means.autoload,
        made.functions,
        made.func_info,
        made.line_info,
        btf,
        problem,
    )
