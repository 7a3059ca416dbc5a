/* The only header that the Cython binding sees. */
#pragma once

#include "batch.h"
#include "entry.h"
#include "epoch.h"
#include "error.h"
#include "gen/ctx.h"
#include "map.h"
#include "map_batch.h"
#include "map_prog_array.h"
#include "packet.h"
#include "prog.h"
#include "runtime.h"
#include "stack.h"
#include "test_run.h"
#include "trace.h"
#include "uaccess.h"

/* Captures, sockets and trace points: what is there of them. Nothing above needs any of it. */
#if __has_include("ingest.h")
#include "ingest.h"
#endif
#if __has_include("perf_ring.h")
#include "perf_ring.h"
#endif
#if __has_include("pump.h")
#include "pump.h"
#endif
#if __has_include("sock_source.h")
#include "sock_source.h"
#endif
