/* The only header that the Cython binding sees. */
#pragma once

#include "epoch.h"
#include "error.h"
#include "gen/ctx.h"
#include "map.h"
#include "map_batch.h"
#include "map_prog_array.h"
#include "prog.h"
#include "runtime.h"
#include "uaccess.h"
