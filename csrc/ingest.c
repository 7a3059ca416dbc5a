/* Windows over a capture: reads, carries the cut-off record over, and lets the format take records. */
#include "ingest.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "ingest_format.h"

static const uint8_t pcapng_magic[4] = { 0x0a, 0x0d, 0x0d, 0x0a };

struct ingest_iface *ingest_add_iface(struct ingest *in, struct ebpf_error *err)
{
	struct ingest_iface *grown;
	uint32_t n = in->n_ifaces;

	if (n == INGEST_MAX_INTERFACES) {
		ebpf_fail(err, -EINVAL, -1, "offset %" PRIu64 ": interface %u, expected at most %u", in->base + in->at,
			  n + 1, INGEST_MAX_INTERFACES);
		return NULL;
	}
	if (!(n & (n - 1))) { /* room is a power of two */
		grown = realloc(in->ifaces, (n ? 2 * n : 1) * sizeof(*grown));
		if (!grown) {
			ebpf_fail(err, -ENOMEM, -1, "no memory for %u interfaces", n + 1);
			return NULL;
		}
		in->ifaces = grown;
	}
	memset(&in->ifaces[n], 0, sizeof(*grown));
	return &in->ifaces[in->n_ifaces++];
}

/* The first record says which format it is. */
static int first_step(struct ingest *in, struct ingest_window *window, size_t left, struct ebpf_error *err)
{
	in->want = 4;
	if (left < in->want)
		return STEP_MORE;
	if (memcmp(window->data + in->at, pcapng_magic, sizeof(pcapng_magic)) != 0)
		return ingest_pcap_head(in, window, left, err);
	in->step = ingest_pcapng_step;
	return in->step(in, window, left, err);
}

int ingest_open(int fd, size_t window_nbytes, struct ingest **out, struct ebpf_error *err)
{
	size_t cap = window_nbytes < INGEST_MIN_WINDOW ? INGEST_MIN_WINDOW : window_nbytes;
	struct ingest *in = calloc(1, sizeof(*in));
	uint8_t *carry = malloc(cap);

	if (!in || !carry) {
		free(in);
		free(carry);
		return ebpf_fail(err, -ENOMEM, -1, "no memory for a capture reader");
	}
	in->fd = fd;
	in->cap = cap;
	in->carry = carry;
	in->truncated = -1;
	in->format = "";
	in->step = first_step;
	*out = in;
	return 0;
}

void ingest_close(struct ingest *in)
{
	if (!in)
		return;
	free(in->ifaces);
	free(in->carry);
	free(in);
}

struct ingest_window *ingest_window_new(const struct ingest *in)
{
	struct ingest_window *window = calloc(1, sizeof(*window));
	uint32_t max = (uint32_t)(in->cap / INGEST_PACKET_ROOM);

	if (!window)
		return NULL;
	window->cap = in->cap;
	window->max = max;
	window->data = malloc(in->cap);
	window->offsets = malloc(max * sizeof(*window->offsets));
	window->lengths = malloc(max * sizeof(*window->lengths));
	window->wire_lengths = malloc(max * sizeof(*window->wire_lengths));
	window->times_ns = malloc(max * sizeof(*window->times_ns));
	window->ifaces = malloc(max * sizeof(*window->ifaces));
	if (window->data && window->offsets && window->lengths && window->wire_lengths && window->times_ns &&
	    window->ifaces)
		return window;
	ingest_window_free(window);
	return NULL;
}

void ingest_window_free(struct ingest_window *window)
{
	if (!window)
		return;
	free(window->data);
	free(window->offsets);
	free(window->lengths);
	free(window->wire_lengths);
	free(window->times_ns);
	free(window->ifaces);
	free(window);
}

/* Takes records until the bytes or the room end.  0, or -errno with in->error. */
static int take_records(struct ingest *in, struct ingest_window *window)
{
	for (;;) {
		size_t left = window->used - in->at;
		int rc;

		if (in->skip) {
			size_t n = in->skip < left ? (size_t)in->skip : left;

			in->at += n;
			in->skip -= n;
			if (in->skip)
				return STEP_MORE;
			continue;
		}
		rc = in->step(in, window, left, &in->error);
		if (rc != STEP_DONE)
			return rc;
	}
}

/* Whether bytes wait to be read: a window with packets is not held back for more of them. */
static bool more_waits(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

/* Reads behind what the window holds.  0, or -errno. */
static int read_some(struct ingest *in, struct ingest_window *window)
{
	ssize_t n = read(in->fd, window->data + window->used, window->cap - window->used);

	if (n < 0)
		return -errno;
	in->eof = n == 0;
	window->used += (size_t)n;
	return 0;
}

/* A new window: what the last one could not take, then nothing. */
static void window_begin(struct ingest *in, struct ingest_window *window)
{
	window->n = 0;
	window->used = in->carry_used;
	memcpy(window->data, in->carry, in->carry_used);
	in->carry_used = 0;
	in->at = 0;
}

/* Keeps the bytes from `at` on for the next window; those that are passed over need not be kept. */
static void window_end(struct ingest *in, struct ingest_window *window)
{
	size_t left = window->used - in->at;

	memcpy(in->carry, window->data + in->at, left);
	in->carry_used = left;
	in->base += in->at;
	in->at = 0;
}

static int read_failed(struct ingest *in, int rc)
{
	return ebpf_fail(&in->error, rc, -1, "offset %" PRIu64 ": reading failed: %s", in->base + in->carry_used,
			 strerror(-rc));
}

/* Fills the window.  STEP_FULL, STEP_MORE at the end of the window or of the bytes, or -errno. */
static int window_fill(struct ingest *in, struct ingest_window *window)
{
	for (;;) {
		int rc = take_records(in, window);

		if (rc < 0 || rc == STEP_FULL || in->eof)
			return rc;
		if (in->at == window->used && !window->n)
			in->base += in->at, in->at = window->used = 0;
		if (window->used == window->cap || (window->n && !more_waits(in->fd)))
			return STEP_MORE;
		rc = read_some(in, window);
		if (rc)
			return rc;
	}
}

static int give(struct ingest *in, struct ebpf_error *err)
{
	if (err)
		*err = in->error;
	return in->error.code;
}

/* Nothing more to take: at the end of the bytes, or behind a failure. */
static int window_ended(struct ingest *in, int rc, struct ebpf_error *err)
{
	if (rc < 0) {
		in->failed = true;
		return give(in, err);
	}
	if (!*in->format)
		return ebpf_fail(err, -EINVAL, -1, "offset %zu: the end, expected a pcap or pcapng header",
				 in->carry_used);
	if (in->carry_used || in->skip)
		in->truncated = (int64_t)in->base;
	return 0;
}

int ingest_next(struct ingest *in, struct ingest_window *window, struct ebpf_error *err)
{
	int rc;

	if (in->failed)
		return give(in, err);
	do {
		window_begin(in, window);
		rc = window_fill(in, window);
		window_end(in, window);
	} while (rc == STEP_MORE && !window->n && !in->eof);
	if (rc < 0 && in->error.code != rc && rc != -EINTR)
		read_failed(in, rc);
	if (window->n)
		return 1; /* a failure comes again with the next call */
	return rc == -EINTR ? rc : window_ended(in, rc, err);
}

uint64_t ingest_position(const struct ingest *in)
{
	return in->base;
}

int64_t ingest_truncated(const struct ingest *in)
{
	return in->truncated;
}

uint32_t ingest_n_ifaces(const struct ingest *in)
{
	return in->n_ifaces;
}

const struct ingest_iface *ingest_iface(const struct ingest *in, uint32_t i)
{
	return i < in->n_ifaces ? &in->ifaces[i] : NULL;
}

const char *ingest_format(const struct ingest *in)
{
	return in->format;
}
