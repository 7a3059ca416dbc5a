/* Batches: one native loop over many events, on one or more threads. */
#include "batch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Events ahead, found by measurement (two lines of each): further ahead is no faster. */
#define PREFETCH_AHEAD 16
/* Events between two epochs. */

/* Events between two looks at signals, by the caller's thread; a multiple of EBPF_BREATHE_RUNS. */
#define SIGNAL_EVENTS (1u << 13)

struct share {
	struct ebpf_prog *prog;
	const struct prog_batch *batch;
	bool *stop; /* atomic, shared: some share failed */
	bool caller;
	uint64_t begin, end;
	uint64_t failed;
	int rc;
	pthread_t thread;
};

static inline const uint8_t *event_at(const struct prog_batch *batch, uint64_t i)
{
	return batch->base + (batch->offsets ? batch->offsets[i] : i * batch->stride);
}

static inline size_t event_nbytes(const struct prog_batch *batch, uint64_t i)
{
	return batch->lengths ? batch->lengths[i] : batch->row;
}

static inline void prefetch(const struct prog_batch *batch, uint64_t i)
{
	const uint8_t *p = event_at(batch, i);

	__builtin_prefetch(p);
	__builtin_prefetch(p + EBPF_CACHELINE);
}

static void copy_out(const struct prog_batch *batch, struct packet_frame *frame, const void *r1, size_t nbytes,
		     uint64_t i)
{
	size_t left = nbytes;
	const void *from = packet_left(frame, r1, &left);

	if (batch->out)
		memcpy(batch->out + i * batch->out_width, from, left < batch->out_width ? left : batch->out_width);
	if (batch->out_lengths)
		batch->out_lengths[i] = (uint32_t)left;
}

static int run_one(const struct share *share, struct packet_frame *frame, struct ebpf_run *run, uint64_t i)
{
	const struct prog_batch *batch = share->batch;
	size_t nbytes = event_nbytes(batch, i);
	void *r1;
	uint64_t r0;

	if (unlikely(nbytes < share->prog->min_ctx))
		return -EINVAL;
	r1 = packet_bind(frame, event_at(batch, i), nbytes);
	if (unlikely(!r1 && frame->copies))
		return -ENOMEM;
	prog_run_next(run, share->prog);
	r0 = prog_invoke(share->prog, r1, nbytes, run);
	if (batch->retvals32)
		batch->retvals32[i] = (uint32_t)r0;
	if (batch->retvals)
		batch->retvals[i] = r0;
	if (batch->out || batch->out_lengths)
		copy_out(batch, frame, r1, nbytes, i);
	return run->error;
}

/* False when the batch is to end here. */
static bool between(struct share *share, struct ebpf_run *run, uint64_t i)
{
	ebpf_run_breathe(run);
	if (share->caller && i % SIGNAL_EVENTS == SIGNAL_EVENTS - 1 && ebpf_interrupted()) {
		share->rc = -EINTR;
		share->failed = i;
		__atomic_store_n(share->stop, true, __ATOMIC_RELAXED);
	}
	return !__atomic_load_n(share->stop, __ATOMIC_RELAXED);
}

static void run_share(struct share *share)
{
	const struct prog_batch *batch = share->batch;
	struct packet_frame frame;
	struct ebpf_run run;

	packet_frame_init(&frame, share->prog);
	prog_run_init(&run, share->prog);
	ebpf_run_begin(&run);
	for (uint64_t i = share->begin; i < share->end; i++) {
		if (i + PREFETCH_AHEAD < share->end)
			prefetch(batch, i + PREFETCH_AHEAD);
		if (i % EBPF_BREATHE_RUNS == EBPF_BREATHE_RUNS - 1 && !between(share, &run, i))
			break;
		share->rc = run_one(share, &frame, &run, i);
		if (unlikely(share->rc)) {
			share->failed = i;
			__atomic_store_n(share->stop, true, __ATOMIC_RELAXED);
			break;
		}
	}
	ebpf_run_end(&run);
	packet_frame_free(&frame);
}

static void *share_main(void *arg)
{
	run_share(arg);
	return NULL;
}

static int run_threads(struct share *shares, uint32_t threads)
{
	uint32_t made = 1;
	int rc = 0;

	while (made < threads && !rc) {
		rc = -pthread_create(&shares[made].thread, NULL, share_main, &shares[made]);
		made += !rc;
	}
	if (!rc)
		run_share(&shares[0]);
	for (uint32_t k = 1; k < made; k++)
		pthread_join(shares[k].thread, NULL);
	return rc;
}

int prog_run_batch(struct ebpf_prog *prog, const struct prog_batch *batch, uint32_t threads, uint64_t *failed)
{
	uint64_t step;
	struct share *shares;
	bool stop = false;
	int rc;

	if (threads > batch->n)
		threads = batch->n ? (uint32_t)batch->n : 1;
	shares = calloc(threads, sizeof(*shares));
	if (!shares)
		return -ENOMEM;
	step = (batch->n + threads - 1) / threads;
	for (uint32_t k = 0; k < threads; k++) {
		uint64_t begin = k * step, end = begin + step;

		shares[k] = (struct share){ .prog = prog, .batch = batch, .stop = &stop, .caller = !k };
		shares[k].begin = begin < batch->n ? begin : batch->n;
		shares[k].end = end < batch->n ? end : batch->n;
	}
	rc = run_threads(shares, threads);
	for (uint32_t k = 0; k < threads && !rc; k++) {
		rc = shares[k].rc;
		*failed = shares[k].failed;
	}
	free(shares);
	return rc;
}

uint64_t prog_batch_check(const struct prog_batch *batch, uint64_t size)
{
	for (uint64_t i = 0; i < batch->n; i++) {
		uint64_t at = batch->offsets ? batch->offsets[i] : i * batch->stride;

		if ((!batch->offsets && event_nbytes(batch, i) > batch->row) || at > size ||
		    event_nbytes(batch, i) > size - at)
			return i;
	}
	return batch->n;
}
