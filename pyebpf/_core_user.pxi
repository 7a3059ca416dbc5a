# Memory named by addresses in bpf_attr.
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize

cdef extern from "core.h":
    int c_copy_from_user "copy_from_user"(void *dst, uint64_t src, size_t nbytes) nogil
    int c_copy_to_user "copy_to_user"(uint64_t dst, const void *src, size_t nbytes) nogil
    int64_t c_string_from_user "string_from_user"(char *dst, uint64_t src, size_t nbytes) nogil


cdef int user_check(int rc, uint64_t address, size_t nbytes) except -1:
    """Raise for a failed copy, naming the range."""
    if rc >= 0:
        return 0
    what = "is not accessible" if rc == -14 else "cannot be reached: process_vm_readv is refused here"
    raise Error(-rc, f"{nbytes} bytes at {address:#x}: memory {what}")


def copy_from_user(uint64_t address, size_t nbytes) -> bytes:
    """`nbytes` at `address` of this process; EFAULT, ENOSYS."""
    data = PyBytes_FromStringAndSize(NULL, nbytes)
    cdef char *dst = PyBytes_AS_STRING(data)
    user_check(c_copy_from_user(dst, address, nbytes), address, nbytes)
    return data


def copy_to_user(uint64_t address, const uint8_t[::1] data):
    """Write `data` at `address` of this process; EFAULT, ENOSYS."""
    if data.shape[0]:
        user_check(c_copy_to_user(address, &data[0], data.shape[0]), address, data.shape[0])


def string_from_user(uint64_t address, size_t nbytes) -> bytes:
    """The string at `address` without its NUL, at most `nbytes` long; EFAULT, ENOSYS."""
    buffer = PyBytes_FromStringAndSize(NULL, nbytes)
    cdef int64_t length = c_string_from_user(PyBytes_AS_STRING(buffer), address, nbytes)
    user_check(<int>length if length < 0 else 0, address, nbytes)
    return buffer[:length]
