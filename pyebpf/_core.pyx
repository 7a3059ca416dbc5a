# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=False
"""The native core's binding: converts, turns codes into exceptions, releases the GIL; decides nothing.

Split by area into the included files; pyebpf/native.py is its only importer.
"""

include "_core_common.pxi"
include "_core_user.pxi"
include "_core_map.pxi"
include "_core_prog.pxi"
include "_core_call.pxi"
include "_core_sources.pxi"
include "_core_ingest.pxi"
