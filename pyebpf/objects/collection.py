"""Collection: an object file's maps and programs, loaded together."""

import errno
import os
from collections.abc import Collection as Container
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from pyebpf import syscall
from pyebpf.errors import Error
from pyebpf.loader import CollectionSpec, Source
from pyebpf.objects.handle import UserMap, close_fd, load_btf
from pyebpf.objects.map import Map
from pyebpf.objects.program import Program, engine_number
from pyebpf.objects.variables import Variables, initial
from pyebpf.runtime import debuginfo, linux
from pyebpf.runtime.btfobj import BtfObj
from pyebpf.runtime.debuginfo import DebugInfo
from pyebpf.runtime.load import LoadArgs
from pyebpf.runtime.state import runtime
from pyebpf.spec.collection import PIN_NONE, CollectionContents, MapSpec, Named, ProgramSpec
from pyebpf.spec.kinds import MapType, ProgType

_OF_MAPS = (MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS)


@dataclass(frozen=True, slots=True)
class Options:
    """How a collection is loaded (see Collection.load)."""

    backend: str = "user"
    engine: str = "jit"
    caps: str = "all"
    log_level: int = 0
    pin_path: str | os.PathLike[str] | None = None
    explain: bool = True


class Collection:
    """Loaded maps, programs and variables, by name. Close it, or use it in a `with` block."""

    def __init__(
        self,
        spec: CollectionContents,
        maps: Mapping[str, Map],
        programs: Mapping[str, Program],
        variables: Variables,
        borrowed: Container[str] = (),
    ) -> None:
        """For `load`; maps named in `borrowed` are somebody else's to close."""
        self.spec = spec
        self.maps: Named[Map] = Named(maps)
        self.programs: Named[Program] = Named(programs)
        self.variables = variables
        self._borrowed = borrowed

    @classmethod
    def load(
        cls,
        source: "Source | CollectionContents",
        *,
        variables: Mapping[str, Any] | None = None,
        programs: Container[str] | None = None,
        maps: Mapping[str, Map] | None = None,
        backend: str = "user",
        engine: str = "jit",
        caps: str = "all",
        log_level: int = 0,
        pin_path: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Create the maps, load the programs; VerifierError, ObjectError, Error: then nothing is left behind.

        source: a path, bytes, a file, or a CollectionSpec.
        variables: initial values by name, .rodata included.  programs: the names to load (default: all but those in
        SEC("?...")).  maps: maps to use in place of the object's own, by name; they are not closed with the rest.
        pin_path: the folder for maps that ask to be pinned by name: one that is there is shared.
        """
        spec = source if isinstance(source, CollectionContents) else CollectionSpec.load(source)
        options = Options(backend, engine, caps, log_level, pin_path)
        loading = Loading(spec, options, dict(maps or {}))
        try:
            loading.create_maps(variables or {})
            wanted = programs if programs is not None else {n for n, p in spec.programs.items() if p.autoload}
            loading.load_programs(wanted)
            loading.fill_slots()
        except BaseException:
            loading.undo()
            raise
        finally:
            loading.close_btf()
        handles = {name: m._handle for name, m in loading.maps.items()}
        return cls(spec, loading.maps, loading.programs, Variables(spec.variables, handles), loading.given)

    @property
    def name(self) -> str:
        """The object's name."""
        return self.spec.name

    def close(self) -> None:
        """Let go of all maps and programs; links keep their programs. Twice is no error."""
        for program in self.programs.values():
            program.close()
        for name, m in self.maps.items():
            if name not in self._borrowed:
                m.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Collection {self.name}: maps {self.maps!r}, programs {self.programs!r}>"


class Loading:
    """A collection on its way: what was made so far. For Collection.load and check()."""

    def __init__(self, spec: CollectionContents, options: Options, given: dict[str, Map]) -> None:
        self.spec = spec
        self.options = options
        self.given = given
        self.maps: dict[str, Map] = {}
        self.programs: dict[str, Program] = {}
        self.btf_fd = 0

    def undo(self) -> None:
        """Close what was made."""
        for program in self.programs.values():
            program.close()
        for name, m in self.maps.items():
            if name not in self.given:
                m.close()

    def close_btf(self) -> None:
        """Programs and maps hold the BTF; its fd is not needed any more."""
        if self.btf_fd:
            close_fd(self.btf_fd, self.options.backend)
            self.btf_fd = 0

    def _btf(self) -> int:
        """The fd of the object's BTF, loaded on first use; 0 without."""
        if not self.btf_fd and self.spec.btf is not None:
            self.btf_fd = load_btf(self.spec.btf, self.options.backend)
        return self.btf_fd

    # Maps

    def create_maps(self, variables: Mapping[str, Any]) -> None:
        """Every map, data maps filled; `variables` over the object's own values."""
        contents = {
            spec.name: bytearray((spec.contents or b"").ljust(spec.value_size, b"\0"))
            for spec in self.spec.maps.values()
            if spec.is_data
        }
        initial(self.spec.variables, variables, contents)
        for name in self.given:
            if name not in self.spec.maps:
                raise KeyError(f"no map {name!r}, there are: {', '.join(self.spec.maps) or 'none'}")
        for spec in self.spec.maps.values():
            m = self.given[spec.name] if spec.name in self.given else self._pinned(spec)
            self.maps[spec.name] = m
            if spec.name in self.given:
                _check_given(spec, m)
            elif spec.is_data:
                m.update(0, bytes(contents[spec.name]))
                if spec.freeze:
                    m.freeze()

    def _pinned(self, spec: MapSpec) -> Map:
        """A new map, or for one that is pinned by name the one that is there."""
        if spec.pinning == PIN_NONE:
            return self._create(spec)
        if self.options.pin_path is None:
            raise Error(errno.EINVAL, f"map {spec.name!r} is to be pinned by name: give the folder as pin_path=")
        path = f"{os.fspath(self.options.pin_path)}/{spec.name}"
        try:
            m = Map.from_pin(path, spec.key_dtype, spec.value_dtype, backend=self.options.backend)
        except Error as exc:
            if exc.errno != errno.ENOENT:
                raise
            m = self._create(spec)
            m.pin(path)
            return m
        _check_given(spec, m)
        return m

    def _create(self, spec: MapSpec) -> Map:
        backend = self.options.backend
        entries = spec.max_entries
        if not entries and spec.type == MapType.PERF_EVENT_ARRAY:
            entries = linux.possible_cpus()
        key_id, value_id = spec.create_type_ids if spec.btf is not None else (0, 0)
        inner = self._create(spec.inner) if spec.inner is not None and spec.type in _OF_MAPS else None
        try:
            fd = syscall.bpf_create_map(
                spec.type,
                spec.key_size,
                spec.value_size,
                entries,
                spec.flags,
                name=spec.kernel_name or spec.name,
                inner_map_fd=inner.fd if inner is not None else 0,
                map_extra=spec.map_extra,
                btf_fd=self._btf() if value_id else 0,
                btf_key_type_id=key_id,
                btf_value_type_id=value_id,
                backend=backend,
            )
        except Error as exc:
            raise Error(exc.errno or errno.EINVAL, f"map {spec.name!r}: {exc.strerror}") from None
        finally:
            if inner is not None:
                inner.close()
        return Map.from_fd(fd, spec.key_dtype, spec.value_dtype, backend=backend)

    # Programs

    def load_programs(self, wanted: Container[str]) -> None:
        """The programs of those names; KeyError for one that is not there."""
        for name in wanted:
            if name not in self.spec.programs:
                raise KeyError(f"no program {name!r}, there are: {', '.join(self.spec.programs) or 'none'}")
        for name, spec in self.spec.programs.items():
            if name not in wanted:
                continue
            self.programs[name] = self.load_program(spec)

    def load_program(self, spec: ProgramSpec) -> Program:
        """One program; VerifierError, ObjectError, Error."""
        spec.require_loadable()
        if spec.type == ProgType.UNSPEC:
            raise Error(errno.EINVAL, f"program {spec.name!r}: section {spec.section!r} says no program type")
        return self._load_user(spec) if self.options.backend == "user" else self._load_linux(spec)

    def _load_user(self, spec: ProgramSpec) -> Program:
        btf, debug = None, DebugInfo()
        func_bytes, line_bytes = _records(spec.func_info), _records(spec.line_info)
        if spec.btf is not None and func_bytes:
            btf, _ = runtime().fds.peek(self._btf(), BtfObj)
            debug = debuginfo.from_bytes(func_bytes, line_bytes, btf, spec.insns)
        args = LoadArgs(
            insns=spec.insns,
            type=spec.type,
            license=spec.license,
            name=spec.kernel_name,
            flags=spec.prog_flags,
            expected_attach_type=spec.attach_type,
            log_level=self.options.log_level,
            caps=self.options.caps,
            engine=engine_number(self.options.engine),
            btf=btf,
            debug=debug,
        )
        handles = [self.maps[name]._handle for name in spec.maps]
        prog = Program.from_args(
            args, tuple(h.obj for h in handles if isinstance(h, UserMap)), explain=self.options.explain
        )
        prog._maps = tuple(self.maps[name] for name in spec.maps)
        return prog

    def _load_linux(self, spec: ProgramSpec) -> Program:
        func_bytes, line_bytes = _records(spec.func_info), _records(spec.line_info)
        return Program.load_linux(
            spec.insns,
            spec.type,
            license=spec.license,
            name=spec.kernel_name,
            log_level=self.options.log_level,
            prog_flags=spec.prog_flags,
            expected_attach_type=spec.attach_type,
            fd_array=[self.maps[name].fd for name in spec.maps],
            btf_fd=self._btf() if func_bytes else 0,
            func_info=func_bytes,
            line_info=line_bytes,
        )

    def fill_slots(self) -> None:
        """Initial elements of maps of maps and of programs."""
        for spec in self.spec.maps.values():
            for index, name in spec.slots:
                m = self.maps[spec.name]
                if spec.type == MapType.PROG_ARRAY and name in self.programs:
                    m.update(index, self.programs[name])
                elif spec.type in _OF_MAPS and m.runnable:
                    m.update(index, self.maps[name].fd.to_bytes(4, "little"))


def _records(info: Any) -> bytes:
    """Packed records of a numpy array, b"" without one."""
    return b"" if info is None else info.tobytes()


def _check_given(spec: MapSpec, m: Map) -> None:
    """EINVAL when a map cannot stand in for the object's."""
    seen = (m.type, m.key_size, m.value_size, m.max_entries)
    wanted = (spec.type, spec.key_size, spec.value_size, spec.max_entries or m.max_entries)
    if seen != wanted:
        raise Error(errno.EINVAL, f"map {spec.name!r} given is {seen}, expected {wanted} (type, key, value, entries)")


def load(source: "Source | CollectionContents", **options: Any) -> Collection:
    """Collection.load."""
    return Collection.load(source, **options)
