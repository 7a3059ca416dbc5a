/* The pump's thread: poll, drain, and an orderly end. */
#include "pump.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct ebpf_pump {
	struct event_source *source;
	pthread_mutex_t lock; /* prog, held through a batch */
	struct ebpf_prog *prog;
	struct pollfd *polls; /* the source's descriptors, then the stop event */
	int stop_fd;
	int error; /* atomic: 0 or the -errno that ended the thread */
	pthread_t thread;
};

/* Drains until the source has nothing left. */
static int pump_drain_all(struct ebpf_pump *pump)
{
	bool idle = false;
	int rc = 0;

	while (!rc && !idle) {
		pthread_mutex_lock(&pump->lock);
		rc = pump->source->ops->drain(pump->source, pump->prog, &idle);
		pthread_mutex_unlock(&pump->lock);
	}
	return rc;
}

static int pump_loop(struct ebpf_pump *pump)
{
	uint32_t n = pump->source->n_fds;
	int rc;

	for (;;) {
		if (poll(pump->polls, n + 1u, pump->source->tick_ms) < 0 && errno != EINTR)
			return -errno;
		rc = pump_drain_all(pump);
		if (rc || pump->polls[n].revents)
			return rc;
	}
}

static void *pump_thread(void *arg)
{
	struct ebpf_pump *pump = arg;
	int rc = pump_loop(pump);

	/* Pairs with the acquire in pump_error. */
	__atomic_store_n(&pump->error, rc, __ATOMIC_RELEASE);
	return NULL;
}

void pump_free(struct ebpf_pump *pump)
{
	pump->source->ops->destroy(pump->source);
	if (pump->stop_fd >= 0)
		close(pump->stop_fd);
	free(pump->polls);
	prog_put(pump->prog);
	pthread_mutex_destroy(&pump->lock);
	free(pump);
}

static int pump_prepare(struct ebpf_pump *pump)
{
	uint32_t n = pump->source->n_fds;

	pump->polls = calloc(n + 1u, sizeof(*pump->polls));
	if (!pump->polls)
		return -ENOMEM;
	pump->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (pump->stop_fd < 0)
		return -errno;
	for (uint32_t i = 0; i <= n; i++)
		pump->polls[i] =
		    (struct pollfd){ .fd = i < n ? pump->source->fds[i] : pump->stop_fd, .events = POLLIN };
	return -pthread_create(&pump->thread, NULL, pump_thread, pump);
}

int pump_start(struct event_source *source, struct ebpf_prog *prog, struct ebpf_pump **out, struct ebpf_error *err)
{
	struct ebpf_pump *pump = calloc(1, sizeof(*pump));
	int rc;

	if (!pump) {
		source->ops->destroy(source);
		return ebpf_fail(err, -ENOMEM, -1, "no memory for a pump");
	}
	pthread_mutex_init(&pump->lock, NULL); /* default attributes: cannot fail */
	prog_get(prog);
	pump->prog = prog;
	pump->source = source;
	pump->stop_fd = -1;
	rc = pump_prepare(pump);
	if (rc) {
		pump_free(pump);
		return ebpf_fail(err, rc, -1, "cannot start the pump's thread");
	}
	*out = pump;
	return 0;
}

void pump_stop(struct ebpf_pump *pump)
{
	uint64_t one = 1;
	ssize_t n = write(pump->stop_fd, &one, sizeof(one));

	assert(n == sizeof(one)); /* an eventfd that nobody else writes cannot be full */
	(void)n;
	pthread_join(pump->thread, NULL);
}

void pump_replace(struct ebpf_pump *pump, struct ebpf_prog *prog)
{
	struct ebpf_prog *old;

	prog_get(prog);
	pthread_mutex_lock(&pump->lock);
	old = pump->prog;
	pump->prog = prog;
	pthread_mutex_unlock(&pump->lock);
	prog_put(old);
}

int pump_error(const struct ebpf_pump *pump)
{
	/* Pairs with the release at the end of pump_thread. */
	return __atomic_load_n(&pump->error, __ATOMIC_ACQUIRE);
}

void pump_stats_read(const struct ebpf_pump *pump, struct pump_stats *out)
{
	const struct pump_stats *stats = &pump->source->stats;

	/* Relaxed: pairs with pump_count; each counter is exact once the thread has stopped. */
	out->events = __atomic_load_n(&stats->events, __ATOMIC_RELAXED);
	out->kept = __atomic_load_n(&stats->kept, __ATOMIC_RELAXED);
	out->lost = __atomic_load_n(&stats->lost, __ATOMIC_RELAXED);
	out->failed = __atomic_load_n(&stats->failed, __ATOMIC_RELAXED);
}
