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
