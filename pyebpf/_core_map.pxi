# Maps.
cdef extern from "core.h":
    struct ebpf_map:
        pass
    void map_put(ebpf_map *map) nogil


cdef class NativeMap:
    """A map of the in-process engine; holds one reference."""

    cdef ebpf_map *map

    def __dealloc__(self):
        if self.map != NULL:
            map_put(self.map)
