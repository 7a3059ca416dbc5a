/* Between the reader of windows (ingest.c) and the two formats. */
#pragma once

#include <inttypes.h>
#include <string.h>

#include "ingest.h"

enum ingest_step {
	STEP_MORE, /* the bytes end before the record does: want says how many it needs */
	STEP_DONE, /* a record was taken */
	STEP_FULL, /* no room for its packet */
};

struct ingest {
	int fd;
	bool eof;
	bool swapped;   /* the capture's byte order is not ours */
	bool modified;  /* pcap with 24-byte record headers */
	bool failed;    /* `error` is what the next call says */
	uint64_t base;  /* offset in the capture of the window's first byte */
	uint64_t skip;  /* bytes to pass over: the rest of a block that holds no packet */
	size_t at;      /* of the next record in the window */
	size_t want;    /* bytes the record at `at` needs, after STEP_MORE */
	size_t cap;     /* of windows and carry */
	uint8_t *carry; /* what the last window could not take */
	size_t carry_used;
	int64_t truncated;
	const char *format;
	/* Takes the record at `at` of `left` bytes; enum ingest_step, or -errno. */
	int (*step)(struct ingest *in, struct ingest_window *window, size_t left, struct ebpf_error *err);
	struct ingest_iface *ifaces;
	uint32_t n_ifaces;
	uint32_t section; /* pcapng: the first interface of this section */
	struct ebpf_error error;
};

/* Looks at the first bytes, which the window holds; sets format and step.  enum ingest_step, or -errno. */
int ingest_pcap_head(struct ingest *in, struct ingest_window *window, size_t left, struct ebpf_error *err);
int ingest_pcapng_step(struct ingest *in, struct ingest_window *window, size_t left, struct ebpf_error *err);

/* The new interface, zeroed; NULL: too many, or no memory (*err says it). */
struct ingest_iface *ingest_add_iface(struct ingest *in, struct ebpf_error *err);

static inline uint16_t ingest_u16(const struct ingest *in, const uint8_t *p)
{
	uint16_t value;

	memcpy(&value, p, sizeof(value));
	return in->swapped ? __builtin_bswap16(value) : value;
}

static inline uint32_t ingest_u32(const struct ingest *in, const uint8_t *p)
{
	uint32_t value;

	memcpy(&value, p, sizeof(value));
	return in->swapped ? __builtin_bswap32(value) : value;
}

static inline uint64_t ingest_u64(const struct ingest *in, const uint8_t *p)
{
	uint64_t value;

	memcpy(&value, p, sizeof(value));
	return in->swapped ? __builtin_bswap64(value) : value;
}

/* A packet of the record at `at`; `skip` bytes of header stand before it.  The window has room (n < max). */
static inline void ingest_add(struct ingest *in, struct ingest_window *window, size_t skip, uint32_t nbytes,
			      uint32_t wire_nbytes, uint64_t time_ns, uint32_t iface)
{
	uint32_t i = window->n++;

	window->offsets[i] = in->at + skip;
	window->lengths[i] = nbytes;
	window->wire_lengths[i] = wire_nbytes;
	window->times_ns[i] = time_ns;
	window->ifaces[i] = iface;
}
