/* A bounded queue of frames between one pump and its readers: bytes in, bytes out, a descriptor to poll.
 *
 * One producer (the pump's thread), any number of readers; both hold the queue's mutex for one copy.
 */
#pragma once

#include "common.h"

struct frame_queue;

/* NULL without memory or descriptors.  nbytes: room for frames, each with 4 bytes of length. */
struct frame_queue *frame_queue_create(size_t nbytes);
void frame_queue_destroy(struct frame_queue *queue);

/* False when there is no room: the frame is not stored. */
bool frame_queue_push(struct frame_queue *queue, const void *frame, uint32_t nbytes);

/* The oldest frame into buf; its length, -EAGAIN when empty, -EMSGSIZE when it is longer than nbytes (it stays). */
int64_t frame_queue_pop(struct frame_queue *queue, void *buf, size_t nbytes);

/* Readable while a frame waits. */
int frame_queue_fd(const struct frame_queue *queue);
