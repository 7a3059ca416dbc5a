"""BTF: types of programs, maps and variables. `dtype` gives the numpy dtype of one."""

from pyebpf.btf.cname import c_name, declare
from pyebpf.btf.layout import align_of, size_of
from pyebpf.btf.numpy_type import dtype
from pyebpf.btf.reader import Btf
from pyebpf.btf.types import Kind, Type

__all__ = ["Btf", "Kind", "Type", "align_of", "c_name", "declare", "dtype", "size_of"]
