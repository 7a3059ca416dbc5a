/* Regions of address space. */
#define _GNU_SOURCE
#include "alloc.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* From this size on pages of 2 MiB are asked for. */
#define HUGE_FROM ((size_t)4 << 20)

int region_reserve(struct region *region, size_t nbytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *base;

	memset(region, 0, sizeof(*region));
	if (nbytes > SIZE_MAX - page)
		return -ENOMEM;
	nbytes = align_up(nbytes ? nbytes : 1, page);
	base = mmap(NULL, nbytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return -ENOMEM;
	region->base = base;
	region->nbytes = nbytes;
	return 0;
}

void region_random(const void *start, size_t nbytes)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = (uintptr_t)start & ~(page - 1);

	/* A wish: refused where the system has none. */
	if (nbytes >= HUGE_FROM)
		madvise((void *)first, (uintptr_t)start + nbytes - first, MADV_HUGEPAGE);
}

void region_release(struct region *region)
{
	if (region->base)
		munmap(region->base, region->nbytes);
	memset(region, 0, sizeof(*region));
}
