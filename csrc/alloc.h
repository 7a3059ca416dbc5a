/* Regions of address space: reserved at once, given memory page by page on first touch. */
#pragma once

#include "common.h"

struct region {
	char *base; /* page-aligned, zero-filled */
	size_t nbytes;
};

/* 0, or -ENOMEM when the address space is refused. */
int region_reserve(struct region *region, size_t nbytes);
/* So many bytes from `start` on will all be used, at random: large pages, if there are many, spare TLB misses. */
void region_random(const void *start, size_t nbytes);
/* A region may be released once; releasing an all-zero one does nothing. */
void region_release(struct region *region);
