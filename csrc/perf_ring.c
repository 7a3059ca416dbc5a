/* Reading perf rings: records out in order, tail handed back, losses counted. */
#include "perf_ring.h"

#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The largest record a ring can hold: perf_event_header.size is 16 bits wide. */
#define RECORD_MAX 65536

struct perf_ring {
	struct perf_event_mmap_page *page;
	const uint8_t *data;
	uint64_t size; /* bytes of data, a power of two */
};

struct perf_source {
	struct event_source base;
	struct perf_source_desc desc;
	int *fds;
	struct perf_ring *rings;
	size_t map_size;
	uint64_t record[RECORD_MAX / 8]; /* one record, unwrapped */
	uint64_t ctx[RECORD_MAX / 8];    /* what the program sees, 8-aligned */
};

static void ring_copy(const struct perf_ring *ring, uint64_t at, void *out, size_t nbytes)
{
	uint64_t start = at & (ring->size - 1);
	uint64_t first = ring->size - start < nbytes ? ring->size - start : nbytes;

	memcpy(out, ring->data + start, first);
	memcpy((uint8_t *)out + first, ring->data, nbytes - first);
}

static uint64_t load_arg(const uint8_t *raw, uint32_t size, const struct perf_arg *arg)
{
	uint64_t value = 0;
	uint32_t shift = 64 - 8u * arg->size;

	if (!arg->size || arg->offset + arg->size > size)
		return 0;
	memcpy(&value, raw + arg->offset, arg->size);
	if (arg->is_signed)
		return (uint64_t)((int64_t)(value << shift) >> shift);
	return value;
}

/* Fills source->ctx from a sample's body; false when the sample is too short for what it claims. */
static bool sample_to_ctx(struct perf_source *source, const uint8_t *body, size_t nbytes, const uint64_t **ips,
			  uint32_t *n_ips)
{
	uint64_t chain = 0;
	uint32_t size;

	*ips = NULL;
	*n_ips = 0;
	if (source->desc.callchain) {
		if (nbytes < 8)
			return false;
		memcpy(&chain, body, 8);
		if (chain > (nbytes - 8) / 8)
			return false;
		*ips = (const uint64_t *)(const void *)(body + 8);
		*n_ips = (uint32_t)chain;
		body += 8 + 8 * chain;
		nbytes -= 8 + 8 * chain;
	}
	if (nbytes < 4)
		return false;
	memcpy(&size, body, 4);
	if (size > nbytes - 4)
		return false;
	if (source->desc.raw_args) {
		for (uint32_t i = 0; i < PERF_MAX_ARGS; i++)
			source->ctx[i] = load_arg(body + 4, size, &source->desc.args[i]);
	} else {
		memcpy(source->ctx, body + 4, size);
	}
	return true;
}

static void run_sample(struct perf_source *source, struct ebpf_prog *prog, const uint8_t *body, size_t nbytes)
{
	const uint64_t *ips;
	uint64_t retval;
	uint32_t n_ips;

	if (!sample_to_ctx(source, body, nbytes, &ips, &n_ips) || prog_run(prog, source->ctx, 0, &retval)) {
		pump_count(&source->base.stats.failed, 1);
		return;
	}
	pump_count(&source->base.stats.events, 1);
	pump_count(&source->base.stats.kept, (uint32_t)retval != 0);
}

/* One record at `tail`; its length in bytes. */
static uint32_t ring_record(struct perf_source *source, struct perf_ring *ring, uint64_t tail, struct ebpf_prog *prog)
{
	const size_t head_size = sizeof(struct perf_event_header);
	struct perf_event_header header;
	uint64_t lost;

	ring_copy(ring, tail, &header, head_size);
	ring_copy(ring, tail, source->record, header.size);
	if (header.type == PERF_RECORD_SAMPLE) {
		run_sample(source, prog, (const uint8_t *)source->record + head_size, header.size - head_size);
	} else if (header.type == PERF_RECORD_LOST) {
		memcpy(&lost, source->record + head_size / 8 + 1, sizeof(lost));
		pump_count(&source->base.stats.lost, lost);
	}
	return header.size;
}

static int ring_drain(struct perf_source *source, struct perf_ring *ring, struct ebpf_prog *prog)
{
	/* Acquire pairs with the kernel's barrier after it wrote the records, release with its read of the tail. */
	uint64_t head = __atomic_load_n(&ring->page->data_head, __ATOMIC_ACQUIRE);
	uint64_t tail = ring->page->data_tail;
	uint32_t nbytes;

	while (tail < head) {
		nbytes = ring_record(source, ring, tail, prog);
		if (nbytes < sizeof(struct perf_event_header))
			return -EIO; /* a record that cannot be: stop rather than loop */
		tail += nbytes;
		__atomic_store_n(&ring->page->data_tail, tail, __ATOMIC_RELEASE);
	}
	return 0;
}

static int perf_source_drain(struct event_source *base, struct ebpf_prog *prog, bool *idle)
{
	struct perf_source *source = container_of(base, struct perf_source, base);
	int rc = 0;

	for (uint32_t i = 0; !rc && i < base->n_fds; i++)
		rc = ring_drain(source, &source->rings[i], prog);
	*idle = true;
	return rc;
}

static void perf_source_destroy(struct event_source *base)
{
	struct perf_source *source = container_of(base, struct perf_source, base);

	for (uint32_t i = 0; i < base->n_fds; i++) {
		if (source->rings[i].page)
			munmap(source->rings[i].page, source->map_size);
		close(source->fds[i]);
	}
	free(source->rings);
	free(source->fds);
	free(source);
}

static const struct event_source_ops perf_source_ops = {
	.drain = perf_source_drain,
	.destroy = perf_source_destroy,
};

static int map_ring(struct perf_source *source, uint32_t i, size_t page_size)
{
	void *mem = mmap(NULL, source->map_size, PROT_READ | PROT_WRITE, MAP_SHARED, source->fds[i], 0);

	if (mem == MAP_FAILED)
		return -errno;
	source->rings[i] = (struct perf_ring){
		.page = mem,
		.data = (const uint8_t *)mem + page_size,
		.size = source->map_size - page_size,
	};
	return 0;
}

static struct perf_source *perf_source_alloc(const struct perf_source_desc *desc)
{
	struct perf_source *source = calloc(1, sizeof(*source));

	if (!source)
		return NULL;
	source->fds = calloc(desc->n_fds, sizeof(int));
	source->rings = calloc(desc->n_fds, sizeof(*source->rings));
	if (source->fds && source->rings)
		return source;
	free(source->fds);
	free(source->rings);
	free(source);
	return NULL;
}

int perf_source_create(const struct perf_source_desc *desc, struct event_source **out, struct ebpf_error *err)
{
	size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
	struct perf_source *source = perf_source_alloc(desc);
	int rc = 0;

	if (!source)
		return ebpf_fail(err, -ENOMEM, -1, "no memory for %u perf rings", desc->n_fds);
	source->desc = *desc;
	source->desc.fds = NULL;
	source->map_size = (desc->pages + 1u) * page_size;
	memcpy(source->fds, desc->fds, desc->n_fds * sizeof(int));
	source->base = (struct event_source){
		.ops = &perf_source_ops,
		.fds = source->fds,
		.n_fds = desc->n_fds,
		.tick_ms = -1,
	};
	for (uint32_t i = 0; !rc && i < desc->n_fds; i++)
		rc = map_ring(source, i, page_size);
	if (rc) {
		for (uint32_t i = 0; i < desc->n_fds; i++)
			source->fds[i] = -1; /* still the caller's */
		perf_source_destroy(&source->base);
		return ebpf_fail(err, rc, -1, "cannot map a perf ring of %u pages (perf_event_mlock_kb?)", desc->pages);
	}
	*out = &source->base;
	return 0;
}
