/* The only header that the Cython binding sees. */
#pragma once

#include "error.h"
#include "gen/ctx.h"
#include "map.h"
#include "prog.h"
#include "runtime.h"
