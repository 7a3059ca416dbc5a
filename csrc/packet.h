/* Packets as programs see them. */
#pragma once

#include "common.h"
#include "gen/ctx.h"

#define ETH_HLEN 14
