# Maps.
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_FromStringAndSize, PyByteArray_Resize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.errno cimport E2BIG, EAGAIN, EEXIST, EINVAL, ENOENT, EPERM

cdef extern from "core.h":
    struct map_attr:
        uint32_t type
        uint32_t key_size
        uint32_t value_size
        uint32_t max_entries
        uint32_t flags
        uint64_t extra
        char name[16]
    struct map_ops:
        const char *name
        uint32_t inline_kind
        void (*user_release)(ebpf_map *map) nogil
        uint32_t (*count)(ebpf_map *map) nogil
    struct ebpf_map:
        const map_ops *ops
        uint32_t type
        uint32_t key_size
        uint32_t value_size
        uint32_t max_entries
        uint32_t flags
        uint32_t user_value_size
        uint64_t extra
        uint32_t refs
        bint frozen
        char name[16]
    int map_create(const map_attr *attr, ebpf_map **out, ebpf_error *err) nogil
    void map_put(ebpf_map *map) nogil
    int map_user_lookup(ebpf_map *map, const void *key, void *value, uint64_t flags) nogil
    int map_user_update(ebpf_map *map, const void *key, const void *value, uint64_t flags) nogil
    int map_user_erase(ebpf_map *map, const void *key) nogil
    int map_user_next_key(ebpf_map *map, const void *key, void *next) nogil
    int map_user_lookup_and_erase(ebpf_map *map, const void *key, void *value, uint64_t flags) nogil
    int map_user_freeze(ebpf_map *map) nogil
    int prog_array_set(ebpf_map *map, uint32_t index, ebpf_prog *prog, uint32_t id, uint64_t flags) nogil
    int map_batch_lookup(ebpf_map *map, uint64_t *cursor, void *keys, void *values, uint32_t n, uint32_t *done) nogil
    int map_batch_update(
        ebpf_map *map, const void *keys, const void *values, uint32_t n, uint64_t flags, uint32_t *done) nogil
    int map_batch_erase(ebpf_map *map, const void *keys, uint32_t n, uint32_t *done) nogil
    int map_batch_drain(ebpf_map *map, uint64_t *cursor, void *keys, void *values, uint32_t n, uint32_t *done) nogil
    uint32_t map_count(ebpf_map *map) nogil
    uint64_t map_value_address(ebpf_map *map) nogil
    bint epoch_set_nowait(bint nowait) nogil
    enum:
        MAP_INLINE_ARRAY
    void stack_symbol(uint64_t ip, char *out, size_t nbytes)


cdef class NativeProg


def symbolize(uint64_t ip) -> str:
    """The name of an address of this process: "function+0x12", "file.so+0x1234", or the number."""
    cdef char out[256]
    stack_symbol(ip, out, sizeof(out))
    return out.decode(errors="replace")


cdef struct Bytes:
    const void *data
    Py_ssize_t nbytes
    bint held
    Py_buffer view


cdef inline int bytes_get(Bytes *b, obj) except -1:
    """The bytes of an object; those of bytes itself without a buffer request, which costs more than a lookup."""
    b.held = not PyBytes_CheckExact(obj)
    if b.held:
        PyObject_GetBuffer(obj, &b.view, PyBUF_SIMPLE)
        b.data, b.nbytes = b.view.buf, b.view.len
    else:
        b.data, b.nbytes = PyBytes_AS_STRING(obj), PyBytes_GET_SIZE(obj)
    return 0


cdef inline void bytes_release(Bytes *b) noexcept:
    if b.held:
        PyBuffer_Release(&b.view)


cdef class NativeMap:
    """A map of the in-process engine; holds one reference and stands for the user's.

    Keys and values are bytes of `key_size` and `user_value_size` (per-CPU maps: all vCPUs' values, each
    rounded up to 8 bytes). Errors are pyebpf.Error with Linux's errno.
    """

    cdef ebpf_map *map

    def __cinit__(
        self,
        uint32_t type,
        uint32_t key_size,
        uint32_t value_size,
        uint32_t max_entries,
        uint32_t flags=0,
        uint64_t extra=0,
        str name="",
    ):
        cdef map_attr attr
        cdef ebpf_error err
        cdef bytes raw = name.encode()[:15]
        memset(&attr, 0, sizeof(attr))
        attr.type, attr.key_size, attr.value_size = type, key_size, value_size
        attr.max_entries, attr.flags, attr.extra = max_entries, flags, extra
        memcpy(attr.name, <const char *>raw, len(raw))
        err.code = 0
        check(map_create(&attr, &self.map, &err), &err)

    def __dealloc__(self):
        if self.map == NULL:
            return
        with nogil:
            if self.map.ops.user_release != NULL:
                self.map.ops.user_release(self.map)
            map_put(self.map)

    @property
    def type(self) -> int:
        return self.map.type

    @property
    def key_size(self) -> int:
        return self.map.key_size

    @property
    def value_size(self) -> int:
        return self.map.value_size

    @property
    def user_value_size(self) -> int:
        return self.map.user_value_size

    @property
    def max_entries(self) -> int:
        return self.map.max_entries

    @property
    def flags(self) -> int:
        return self.map.flags

    @property
    def extra(self) -> int:
        return self.map.extra

    @property
    def name(self) -> str:
        return self.map.name.decode()

    @property
    def frozen(self) -> bool:
        return self.map.frozen

    @property
    def refs(self) -> int:
        """References: this object's and those of programs and other maps."""
        return self.map.refs

    @property
    def value_address(self) -> int:
        """Where the values of an ARRAY lie in this process, 0 for other types."""
        return map_value_address(self.map)

    def __len__(self) -> int:
        return map_count(self.map)

    cdef int _size(self, Py_ssize_t seen, uint32_t wanted, str what) except -1:
        if seen != <Py_ssize_t>wanted:
            raise Error(EINVAL, f"map {self.name!r}: {what} of {seen} bytes, {wanted} wanted")
        return 0

    cdef int _check(self, int rc, str verb, uint64_t flags=0) except -1:
        """Raise for an element command that failed."""
        if rc == 0:
            return 0
        cdef str why
        if rc == -E2BIG and self.map.key_size == 4 and self.indexed():
            why = f"the index is not below {self.map.max_entries}"
        elif rc == -E2BIG:
            why = f"all {self.map.max_entries} entries are in use"
        elif rc == -EEXIST:
            why = "the key is there, and BPF_NOEXIST was asked for"
        elif rc == -ENOENT:
            why = "the key is not there"
        elif rc == -EPERM:
            why = "the map is frozen"
        elif rc == -EINVAL:
            why = f"not for a {self.map.ops.name.decode()} map, or not with flags {flags:#x}"
        elif rc == -524:
            why = f"a {self.map.ops.name.decode()} map does not have it"
        else:
            why = "no memory"
        raise Error(-rc, f"map {self.name!r}: {verb}: {why}")

    cdef bint indexed(self):
        return self.map.ops.inline_kind == MAP_INLINE_ARRAY or self.map.type == 3 or self.map.type == 7

    def lookup(self, key, uint64_t flags=0):
        """The value, None if there is none."""
        cdef Bytes k
        cdef bytes value = PyBytes_FromStringAndSize(NULL, self.map.user_value_size)
        cdef int rc
        bytes_get(&k, key)
        try:
            self._size(k.nbytes, self.map.key_size, "key")
            rc = map_user_lookup(self.map, k.data, PyBytes_AS_STRING(value), flags)
        finally:
            bytes_release(&k)
        if rc == -ENOENT:
            return None
        self._check(rc, "lookup", flags)
        return value

    def update(self, key, value, uint64_t flags=0):
        """Set a value; flags BPF_ANY, BPF_NOEXIST, BPF_EXIST."""
        cdef Bytes k, v
        cdef bint old
        cdef int rc
        bytes_get(&k, key)
        try:
            self._size(k.nbytes, self.map.key_size, "key")
            bytes_get(&v, value)
            try:
                self._size(v.nbytes, self.map.user_value_size, "value")
                old = epoch_set_nowait(True)
                rc = map_user_update(self.map, k.data, v.data, flags)
                epoch_set_nowait(old)
                if rc == -EAGAIN:  # readers hold every spare element, and may wait for the GIL
                    with nogil:
                        rc = map_user_update(self.map, k.data, v.data, flags)
            finally:
                bytes_release(&v)
        finally:
            bytes_release(&k)
        self._check(rc, "update", flags)

    def erase(self, key):
        """Remove a key; ENOENT if it is not there."""
        cdef Bytes k
        cdef int rc
        bytes_get(&k, key)
        try:
            self._size(k.nbytes, self.map.key_size, "key")
            rc = map_user_erase(self.map, k.data)
        finally:
            bytes_release(&k)
        self._check(rc, "delete")

    def next_key(self, key=None):
        """The key after `key` (None, or one that is not there: the first); None after the last."""
        cdef Bytes k
        cdef bytes out = PyBytes_FromStringAndSize(NULL, self.map.key_size)
        cdef int rc
        if key is None:
            rc = map_user_next_key(self.map, NULL, PyBytes_AS_STRING(out))
        else:
            bytes_get(&k, key)
            try:
                self._size(k.nbytes, self.map.key_size, "key")
                rc = map_user_next_key(self.map, k.data, PyBytes_AS_STRING(out))
            finally:
                bytes_release(&k)
        if rc == -ENOENT:
            return None
        self._check(rc, "next key")
        return out

    def lookup_and_erase(self, key, uint64_t flags=0):
        """Remove a key and return its value, None if it is not there."""
        cdef Bytes k
        cdef bytes value = PyBytes_FromStringAndSize(NULL, self.map.user_value_size)
        cdef char *v = PyBytes_AS_STRING(value)
        cdef int rc
        bytes_get(&k, key)
        try:
            self._size(k.nbytes, self.map.key_size, "key")
            with nogil:
                rc = map_user_lookup_and_erase(self.map, k.data, v, flags)
        finally:
            bytes_release(&k)
        if rc == -ENOENT:
            return None
        self._check(rc, "lookup and delete", flags)
        return value

    def freeze(self):
        """No more writes from the user side; EPERM if it is frozen."""
        self._check(map_user_freeze(self.map), "freeze")

    def set_prog(self, key, NativeProg prog not None, uint32_t id=0, uint64_t flags=0):
        """PROG_ARRAY: put a program in; `id` is what lookup shows."""
        cdef bytes raw = bytes(key)
        cdef uint32_t index
        self._size(len(raw), 4, "key")
        memcpy(&index, PyBytes_AS_STRING(raw), 4)
        if self.map.type != 3:
            raise Error(EINVAL, f"map {self.name!r}: a {self.map.ops.name.decode()} map holds no programs")
        cdef int rc = prog_array_set(self.map, index, prog.prog, id, flags)
        if rc == -EINVAL and flags == 0:
            raise Error(EINVAL, f"map {self.name!r}: the program's type or engine is not that of the array")
        self._check(rc, "update", flags)

    def lookup_batch(self, uint64_t cursor, uint32_t n):
        """Up to n entries from `cursor` (0: the start) on: (keys, values, next cursor, number). 0 at the end."""
        return self._walk(cursor, n, False)

    def drain(self, uint64_t cursor, uint32_t n):
        """As lookup_batch, and removes them: each value is the last one that was stored."""
        return self._walk(cursor, n, True)

    cdef _walk(self, uint64_t cursor, uint32_t n, bint remove):
        cdef size_t ks = self.map.key_size, vs = self.map.user_value_size
        cdef bytearray keys = PyByteArray_FromStringAndSize(NULL, ks * n)
        cdef bytearray values = PyByteArray_FromStringAndSize(NULL, vs * n)
        cdef void *kp = PyByteArray_AS_STRING(keys)
        cdef void *vp = PyByteArray_AS_STRING(values)
        cdef uint32_t done = 0
        cdef int rc
        with nogil:
            if remove:
                rc = map_batch_drain(self.map, &cursor, kp, vp, n, &done)
            else:
                rc = map_batch_lookup(self.map, &cursor, kp, vp, n, &done)
        self._check(rc, "drain" if remove else "batch lookup")
        PyByteArray_Resize(keys, ks * done)
        PyByteArray_Resize(values, vs * done)
        return keys, values, cursor, done

    def update_batch(self, const uint8_t[::1] keys not None, const uint8_t[::1] values not None, uint64_t flags=0):
        """Set packed keys to packed values. An error carries in `done` how many came before it."""
        cdef uint32_t n = <uint32_t>(keys.shape[0] // self.map.key_size), done = 0
        self._size(keys.shape[0], n * self.map.key_size, "batch of keys")
        self._size(values.shape[0], n * self.map.user_value_size, "batch of values")
        if n == 0:
            return 0
        cdef const void *k = &keys[0]
        cdef const void *v = &values[0]
        cdef int rc
        with nogil:
            rc = map_batch_update(self.map, k, v, n, flags, &done)
        return self._batch(rc, done)

    def delete_batch(self, const uint8_t[::1] keys not None):
        """Remove packed keys. An error carries in `done` how many came before it."""
        cdef uint32_t n = <uint32_t>(keys.shape[0] // self.map.key_size), done = 0
        self._size(keys.shape[0], n * self.map.key_size, "batch of keys")
        if n == 0:
            return 0
        cdef const void *k = &keys[0]
        cdef int rc
        with nogil:
            rc = map_batch_erase(self.map, k, n, &done)
        return self._batch(rc, done)

    cdef _batch(self, int rc, uint32_t done):
        if rc < 0:
            error = Error(-rc, f"map {self.map.name.decode()!r}: element {done} of the batch")
            error.done = done
            raise error
        return done
