/* A socket as an event source: frames in batches by recvmmsg, filtered by a program as Linux's sockets are.
 *
 * The program's return value is the number of bytes to keep: 0 drops the frame, more than its length keeps all.
 * Kept frames wait in a bounded queue for the user; when it is full the newest is dropped and counted as lost.
 */
#pragma once

#include "pump.h"

/* Drains a duplicate of `fd`; once the user has closed that, the pump ends with -EBADF, as a filter goes with its
 * socket.  queue_bytes: room for kept frames.  -ENOTSOCK, -EOPNOTSUPP: not a packet socket, -ENOMEM. */
int sock_source_create(int fd, size_t queue_bytes, struct event_source **out, struct ebpf_error *err);

/* The oldest kept frame into buf; its length, or -EAGAIN when there is none, -EMSGSIZE when nbytes is too small. */
int64_t sock_source_recv(struct event_source *source, void *buf, size_t nbytes);

/* Readable while a kept frame waits. */
int sock_source_fd(const struct event_source *source);
