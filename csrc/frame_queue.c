/* A bounded queue of frames: a ring of length-prefixed records under a mutex. */
#include "frame_queue.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct frame_queue {
	pthread_mutex_t lock; /* head, used, data and the event's state */
	size_t size;
	size_t head; /* where the oldest record begins */
	size_t used; /* bytes of records */
	int event_fd;
	uint8_t data[];
};

struct frame_queue *frame_queue_create(size_t nbytes)
{
	struct frame_queue *queue = calloc(1, sizeof(*queue) + nbytes);

	if (!queue)
		return NULL;
	queue->size = nbytes;
	queue->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (queue->event_fd < 0 || pthread_mutex_init(&queue->lock, NULL)) {
		free(queue);
		return NULL;
	}
	return queue;
}

void frame_queue_destroy(struct frame_queue *queue)
{
	if (!queue)
		return;
	close(queue->event_fd);
	pthread_mutex_destroy(&queue->lock);
	free(queue);
}

static void ring_write(struct frame_queue *queue, size_t at, const void *from, size_t nbytes)
{
	size_t start = at % queue->size;
	size_t first = queue->size - start < nbytes ? queue->size - start : nbytes;

	memcpy(queue->data + start, from, first);
	memcpy(queue->data, (const uint8_t *)from + first, nbytes - first);
}

static void ring_read(const struct frame_queue *queue, size_t at, void *to, size_t nbytes)
{
	size_t start = at % queue->size;
	size_t first = queue->size - start < nbytes ? queue->size - start : nbytes;

	memcpy(to, queue->data + start, first);
	memcpy((uint8_t *)to + first, queue->data, nbytes - first);
}

bool frame_queue_push(struct frame_queue *queue, const void *frame, uint32_t nbytes)
{
	uint64_t one = 1;
	bool room;

	pthread_mutex_lock(&queue->lock);
	room = queue->size - queue->used >= nbytes + sizeof(nbytes);
	if (room) {
		ring_write(queue, queue->head + queue->used, &nbytes, sizeof(nbytes));
		ring_write(queue, queue->head + queue->used + sizeof(nbytes), frame, nbytes);
		if (!queue->used && write(queue->event_fd, &one, sizeof(one)) != sizeof(one))
			assert(0); /* an eventfd at 0 takes a 1 */
		queue->used += nbytes + sizeof(nbytes);
	}
	pthread_mutex_unlock(&queue->lock);
	return room;
}

/* Takes the oldest record off the queue; the lock is held. */
static void queue_advance(struct frame_queue *queue, size_t nbytes)
{
	uint64_t seen;

	queue->head = (queue->head + nbytes) % queue->size;
	queue->used -= nbytes;
	if (!queue->used && read(queue->event_fd, &seen, sizeof(seen)) != sizeof(seen))
		assert(0); /* it was written when the first record came */
}

int64_t frame_queue_pop(struct frame_queue *queue, void *buf, size_t nbytes)
{
	uint32_t length = 0;
	int64_t rc = -EAGAIN;

	pthread_mutex_lock(&queue->lock);
	if (queue->used) {
		ring_read(queue, queue->head, &length, sizeof(length));
		rc = -EMSGSIZE;
		if (length <= nbytes) {
			ring_read(queue, queue->head + sizeof(length), buf, length);
			queue_advance(queue, length + sizeof(length));
			rc = length;
		}
	}
	pthread_mutex_unlock(&queue->lock);
	return rc;
}

int frame_queue_fd(const struct frame_queue *queue)
{
	return queue->event_fd;
}
