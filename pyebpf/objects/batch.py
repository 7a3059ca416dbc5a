"""Many keys and values as numpy arrays: their dtypes, and packing them for one native call."""

import errno
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyebpf.errors import Error
from pyebpf.objects.codec import Codec, PerCpuCodec


def key_dtype(codec: Codec) -> "np.dtype[Any]":
    """A key's dtype; raw bytes are V."""
    return codec.dtype if codec.dtype is not None else np.dtype(f"V{codec.nbytes}")


def value_dtype(codec: Codec | PerCpuCodec) -> "np.dtype[Any]":
    """A value's dtype as it lies in a batch; of a per-CPU map an array over the CPUs, with Linux's padding to 8."""
    if isinstance(codec, Codec):
        return key_dtype(codec)
    inner = key_dtype(codec.inner)
    if inner.itemsize % 8 == 0:
        return np.dtype((inner, (codec.cpus,)))
    padded = np.dtype({"names": ["value"], "formats": [inner], "offsets": [0], "itemsize": codec.stride})
    return np.dtype((padded, (codec.cpus,)))


def pack(values: Any, dtype: "np.dtype[Any]") -> bytes:
    """The bytes of many keys or values, one after the other; EINVAL for what cannot be made such an array."""
    if isinstance(values, (list, tuple)) and all(isinstance(v, (bytes, bytearray)) for v in values):
        if any(len(v) != dtype.itemsize for v in values):
            raise Error(errno.EINVAL, f"elements of a batch have other lengths than {dtype.itemsize} bytes")
        return b"".join(values)
    array = np.asarray(values)
    if array.dtype != dtype.base:
        array = _converted(array, values, dtype)
    return np.ascontiguousarray(array).tobytes()


def _converted(given: NDArray[Any], values: Any, dtype: "np.dtype[Any]") -> NDArray[Any]:
    """`values` (as an array: `given`) as an array of `dtype`; EINVAL for a number that would become another one."""
    try:
        with np.errstate(invalid="ignore"):
            array: NDArray[Any] = np.asarray(values, dtype.base)
    except (TypeError, ValueError, OverflowError) as exc:
        raise Error(errno.EINVAL, f"a batch of {given.dtype} is none of {dtype}: {exc}") from exc
    if dtype.base.kind in "iu" and given.dtype.kind in "iuf" and not (same := array == given).all():
        at = int(np.argmin(same))
        raise Error(errno.EINVAL, f"element {at} of a batch is {given.flat[at]}, expected one that {dtype.base} holds")
    return array


def join(keys: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
    """One structured array of "key" and "value"."""
    count = len(keys)
    inner = values.dtype
    if inner.names == ("value",):  # The padding of a per-CPU value is no one's business.
        values = values["value"]
    rows = np.empty(count, np.dtype([("key", keys.dtype), ("value", values.dtype, values.shape[1:])]))
    rows["key"], rows["value"] = keys, values
    return rows
