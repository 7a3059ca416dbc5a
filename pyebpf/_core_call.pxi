# Programs as callables, many look-ups as one call.
from cpython.ref cimport PyObject
from cpython.tuple cimport PyTuple_GET_SIZE


cdef extern from "Python.h":
    ctypedef struct PyTypeObject:
        Py_ssize_t tp_vectorcall_offset
        unsigned long tp_flags
    unsigned long Py_TPFLAGS_HAVE_VECTORCALL
    Py_ssize_t PyVectorcall_NARGS(size_t nargsf)
    void PyType_Modified(PyTypeObject *cls)

ctypedef object (*vectorcall_fn)(object self, PyObject **args, size_t nargsf, PyObject *kwnames)


cdef class Caller:
    """Base of objects that are called like a function and run a program: the shortest way from Python."""

    cdef vectorcall_fn vectorcall
    cdef NativeProg prog

    def __cinit__(self, *args, **kwargs):
        self.vectorcall = caller_vectorcall

    @property
    def native(self):
        """What a call runs; None: calls go to _call_slow."""
        return self.prog

    @native.setter
    def native(self, NativeProg prog):
        self.prog = prog

    def _call_slow(self, data):
        raise Error(524, "nothing here runs the program")

    def __call__(self, data=None, /):
        return caller_run(self, data)


cdef object caller_run(Caller self, object data):
    cdef NativeProg prog = self.prog
    if prog is None:
        return self._call_slow(b"" if data is None else data)
    if PyBytes_CheckExact(data) and not prog.unverified:
        return <uint32_t>prog.run_at(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
    if data is None:
        return prog.run_raw() if prog.unverified else prog.run(b"")
    return prog.run(data)


cdef object caller_vectorcall(object self, PyObject **args, size_t nargsf, PyObject *kwnames):
    cdef Py_ssize_t n = PyVectorcall_NARGS(nargsf)
    if kwnames != NULL and PyTuple_GET_SIZE(<object>kwnames):
        raise TypeError("a program takes no keyword arguments")
    if n > 1:
        raise TypeError(f"a program takes one buffer, {n} arguments were given")
    return caller_run(<Caller>self, <object>args[0] if n else None)


def called_directly(cls):
    """Class decorator: calls of instances take the vectorcall protocol.

    Until Python 3.12 a class made by a class statement does not inherit it. `cls` must not override __call__; a
    subclass that does gets its own call again, since the flag is not inherited by it.
    """
    cdef Caller probe = Caller.__new__(Caller)
    cdef Py_ssize_t offset = <char *>&probe.vectorcall - <char *><PyObject *>probe
    for each in (Caller, cls):
        (<PyTypeObject *>each).tp_vectorcall_offset = offset
        (<PyTypeObject *>each).tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL
        PyType_Modified(<PyTypeObject *>each)
    return cls


def lookup_many(NativeMap m not None, const uint8_t[::1] keys not None):
    """Values of packed keys (zeros for those that are missing), and a byte each: 1 if it was found."""
    cdef size_t ks = m.map.key_size, vs = m.map.user_value_size
    cdef size_t n = keys.shape[0] // ks if ks else 0
    if keys.shape[0] != <Py_ssize_t>(n * ks):
        raise Error(EINVAL, f"{keys.shape[0]} bytes of keys, expected a multiple of {ks}")
    cdef bytearray values = bytearray(n * vs), found = bytearray(n)
    if n == 0:
        return values, found
    cdef uint8_t[::1] v = values, f = found
    cdef const uint8_t *k = &keys[0]
    cdef uint8_t *out = &v[0]
    cdef size_t i
    cdef int rc = 0
    with nogil:
        for i in range(n):
            rc = map_user_lookup(m.map, k + i * ks, out + i * vs, 0)
            if rc == 0:
                f[i] = 1
            elif rc != -ENOENT:
                break
            else:
                memset(out + i * vs, 0, vs)
    if rc != 0 and rc != -ENOENT:
        check(rc, NULL)
    return values, found
