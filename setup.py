"""Builds the native core, the compiled verifier and the native baseline.

PYEBPF_SANITIZE=address,undefined|thread  build with those sanitizers
PYEBPF_COVERAGE=1                         build with gcov counters
PYEBPF_PURE=1                             leave the verifier interpreted
PYEBPF_WERROR=1                           warnings of csrc are errors (CI)
"""

import os
import pathlib
import sys

import pybind11
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = pathlib.Path(__file__).parent
sys.path.insert(0, str(ROOT / "tools"))

from warning_flags import C_WARNINGS  # noqa: E402  (the path above comes first)

SANITIZE = os.environ.get("PYEBPF_SANITIZE", "")
COVERAGE = bool(os.environ.get("PYEBPF_COVERAGE"))
PURE = bool(os.environ.get("PYEBPF_PURE"))


def common_flags() -> tuple[list[str], list[str]]:
    """Compile and link flags every extension gets."""
    compile_args, link_args = ["-O2", "-g1"], []
    if SANITIZE:
        flag = f"-fsanitize={SANITIZE}"
        compile_args = ["-O1", "-g", "-fno-omit-frame-pointer", flag]
        link_args = [flag]
    if COVERAGE:
        compile_args += ["--coverage", "-O0"]
        link_args += ["--coverage"]
    return compile_args, link_args


class BuildExt(build_ext):
    """Gives csrc its warnings and gnu11; generated C gets neither."""

    def build_extensions(self) -> None:
        """Compile, with flags chosen by the source's folder."""
        compile_one = self.compiler._compile

        def _compile(obj, src, ext, cc_args, extra, pp_opts):
            if src.startswith("csrc" + os.sep):
                extra = [*extra, "-std=gnu11", *C_WARNINGS]
                if os.environ.get("PYEBPF_WERROR"):
                    extra.append("-Werror")
            compile_one(obj, src, ext, cc_args, extra, pp_opts)

        self.compiler._compile = _compile
        super().build_extensions()


def write_event_includes() -> None:
    """_core_events.pxi: the parts of the binding that may be left out, and that are there."""
    package = ROOT / "pyebpf"
    names = [n for n in ("_core_sources.pxi", "_core_ingest.pxi") if (package / n).exists()]
    text = "# Written by setup.py.\n" + "".join(f'include "{n}"\n' for n in names)
    path = package / "_core_events.pxi"
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def extensions() -> list[Extension]:
    """The core, the verifier's modules that have a .pxd beside them, the baseline."""
    compile_args, link_args = common_flags()
    write_event_includes()
    csrc = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "csrc").glob("*.c"))
    headers = [str(p.relative_to(ROOT)) for p in (ROOT / "csrc").rglob("*.h")]
    includes = [str(p.relative_to(ROOT)) for p in (ROOT / "pyebpf").glob("_core_*.pxi")]
    options = {"extra_compile_args": compile_args, "extra_link_args": link_args}
    core = Extension(
        "pyebpf._core",
        ["pyebpf/_core.pyx", *csrc],
        include_dirs=["csrc"],
        depends=headers + includes,
        libraries=["pthread"],
        **options,
    )
    modules = [core]
    if not PURE:
        for pxd in sorted((ROOT / "pyebpf").rglob("*.pxd")):
            if not pxd.with_suffix(".py").exists():
                continue  # declarations only
            path = pxd.with_suffix(".py").relative_to(ROOT)
            name = ".".join(path.with_suffix("").parts)
            modules.append(Extension(name, [str(path)], **options))
    modules = cythonize(modules, language_level=3, nthreads=os.cpu_count() or 1)
    baseline = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "benchmarks" / "native").glob("*.cpp"))
    baseline_c = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "benchmarks" / "native").glob("*.c"))
    if baseline:
        modules.append(
            Extension(
                "pyebpf._baseline",
                [*baseline, *baseline_c],
                include_dirs=[pybind11.get_include(), "benchmarks/native", "pyebpf/include", "pyebpf/data/bpf", "csrc"],
                depends=["benchmarks/native/baseline.h", "pyebpf/data/bpf/dissect.h", "csrc/gen/ctx.h"],
                language="c++",
                extra_compile_args=[*compile_args, "-fvisibility=hidden"],
                extra_link_args=link_args,
            )
        )
    return modules


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildExt})
