# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=False
"""The native core's binding: converts, turns codes into exceptions, releases the GIL; decides nothing.

Split by area into the included files; setup.py writes _core_events.pxi, which includes those of captures and event
sources that there are. pyebpf/native.py is the only importer.
"""

include "_core_common.pxi"
include "_core_user.pxi"
include "_core_map.pxi"
include "_core_prog.pxi"
include "_core_call.pxi"
include "_core_events.pxi"
