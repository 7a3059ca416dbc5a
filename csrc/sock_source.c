/* Packet sockets: recvmmsg in batches, one run a frame, kept frames into the queue. */
#define _GNU_SOURCE
#include "sock_source.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frame_queue.h"
#include "packet.h"

#define BATCH 64
/* Frames of segmentation offload are up to 64 KiB and a link-layer header; longer ones are cut and counted failed. */
#define FRAME_MAX (65536 + 256)
/* Bytes of frames that wait in the kernel. */
#define RECEIVE_ROOM (8 << 20)
/* How soon a closed socket is noticed. */
#define TICK_MS      100
#define CONTROL_SIZE CMSG_SPACE(sizeof(struct tpacket_auxdata))

struct sock_source {
	struct event_source base;
	int fd;      /* our own, closed when the user's is */
	int user_fd; /* looked at, never read */
	ino_t inode; /* what user_fd must still be */
	struct frame_queue *queue;
	struct mmsghdr msgs[BATCH];
	struct iovec iov[BATCH];
	struct sockaddr_ll names[BATCH];
	uint8_t control[BATCH][CONTROL_SIZE] __attribute__((aligned(8)));
	uint8_t *frames;           /* BATCH * FRAME_MAX, touched as frames come */
	struct packet_frame frame; /* for frame.prog */
};

static void reset_batch(struct sock_source *source)
{
	for (uint32_t i = 0; i < BATCH; i++) {
		source->iov[i] = (struct iovec){ source->frames + (size_t)i * FRAME_MAX, FRAME_MAX };
		source->msgs[i].msg_hdr = (struct msghdr){
			.msg_name = &source->names[i],
			.msg_namelen = sizeof(source->names[i]),
			.msg_iov = &source->iov[i],
			.msg_iovlen = 1,
			.msg_control = source->control[i],
			.msg_controllen = CONTROL_SIZE,
		};
	}
}

/* What the kernel knows of the frame beside its bytes, as Linux's own filter would see it. */
static void frame_meta(const struct msghdr *msg, struct ebpf_skb *skb)
{
	const struct sockaddr_ll *name = msg->msg_name;
	struct tpacket_auxdata aux;

	skb->ifindex = (uint32_t)name->sll_ifindex;
	skb->ingress_ifindex = skb->ifindex;
	skb->protocol = name->sll_protocol;
	skb->pkt_type = name->sll_pkttype;
	skb->vlan_present = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR((struct msghdr *)(uintptr_t)msg, c)) {
		if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA)
			continue;
		memcpy(&aux, CMSG_DATA(c), sizeof(aux));
		if (!(aux.tp_status & TP_STATUS_VLAN_VALID))
			continue;
		skb->vlan_present = 1;
		skb->vlan_tci = aux.tp_vlan_tci;
		skb->vlan_proto = htons(aux.tp_status & TP_STATUS_VLAN_TPID_VALID ? aux.tp_vlan_tpid : ETHERTYPE_VLAN);
	}
}

/* The context for `prog` over a frame; NULL without memory. */
static void *bind_frame(struct sock_source *source, struct ebpf_prog *prog, const struct msghdr *msg, uint32_t nbytes)
{
	void *ctx;

	if (source->frame.prog != prog) {
		packet_frame_free(&source->frame);
		packet_frame_init(&source->frame, prog);
	}
	ctx = packet_bind(&source->frame, msg->msg_iov->iov_base, nbytes);
	if (ctx)
		frame_meta(msg, &source->frame.skb);
	return ctx;
}

static void run_frame(struct sock_source *source, struct ebpf_prog *prog, const struct mmsghdr *msg)
{
	uint8_t *frame = msg->msg_hdr.msg_iov->iov_base;
	uint32_t nbytes = msg->msg_len < FRAME_MAX ? msg->msg_len : FRAME_MAX;
	struct pump_stats *stats = &source->base.stats;
	uint64_t retval = 0;
	uint32_t keep;
	void *ctx;

	ctx = msg->msg_hdr.msg_flags & MSG_TRUNC ? NULL : bind_frame(source, prog, &msg->msg_hdr, nbytes);
	if (!ctx || prog_run(prog, ctx, 0, &retval)) {
		pump_count(&stats->failed, 1);
		return;
	}
	pump_count(&stats->events, 1);
	keep = (uint32_t)retval < nbytes ? (uint32_t)retval : nbytes;
	if (!keep)
		return;
	pump_count(&stats->kept, 1);
	if (!frame_queue_push(source->queue, frame, keep))
		pump_count(&stats->lost, 1);
}

/* PACKET_STATISTICS resets as it is read: frames the socket had no room for. */
static void count_drops(struct sock_source *source)
{
	struct tpacket_stats stats;
	socklen_t nbytes = sizeof(stats);

	if (!getsockopt(source->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &nbytes))
		pump_count(&source->base.stats.lost, stats.tp_drops);
}

/* Whether the user still has the socket open under that number. */
static bool user_has_socket(const struct sock_source *source)
{
	struct stat st;

	return !fstat(source->user_fd, &st) && st.st_ino == source->inode;
}

static int sock_source_drain(struct event_source *base, struct ebpf_prog *prog, bool *idle)
{
	struct sock_source *source = container_of(base, struct sock_source, base);
	int n;

	reset_batch(source);
	n = recvmmsg(source->fd, source->msgs, BATCH, MSG_DONTWAIT | MSG_TRUNC, NULL);
	if (n < 0) {
		int failure = errno;

		*idle = true;
		if (failure == EAGAIN && !user_has_socket(source)) {
			close(source->fd);
			source->fd = -1;
			return -EBADF;
		}
		/* ENETDOWN says once that the interface went down; frames go on when it is up again. */
		return failure == EAGAIN || failure == EINTR || failure == ENETDOWN ? 0 : -failure;
	}
	for (int i = 0; i < n; i++)
		run_frame(source, prog, &source->msgs[i]);
	if (n < BATCH) {
		*idle = true;
		count_drops(source);
	}
	return 0;
}

static void sock_source_destroy(struct event_source *base)
{
	struct sock_source *source = container_of(base, struct sock_source, base);

	packet_frame_free(&source->frame);
	frame_queue_destroy(source->queue);
	if (source->fd >= 0)
		close(source->fd);
	free(source->frames);
	free(source);
}

static const struct event_source_ops sock_source_ops = {
	.drain = sock_source_drain,
	.destroy = sock_source_destroy,
};

static int check_socket(int fd, struct ebpf_error *err)
{
	socklen_t nbytes = sizeof(int);
	int domain, type, one = 1, room = RECEIVE_ROOM;

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &nbytes) ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &nbytes))
		return ebpf_fail(err, -errno, -1, "fd %d is not a socket", fd);
	if (domain != AF_PACKET)
		return ebpf_fail(err, -EOPNOTSUPP, -1,
				 "socket of domain %d, type %d: only AF_PACKET sockets are drained here", domain, type);
	/* The pump's thread may have to wait for a CPU; without the privilege the system's limit holds. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)))
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &one, sizeof(one)))
		return ebpf_fail(err, -errno, -1, "PACKET_AUXDATA is refused");
	return 0;
}

static int sock_source_open(struct sock_source *source, int fd, size_t queue_bytes, struct ebpf_error *err)
{
	struct stat st;

	source->user_fd = fd;
	source->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (source->fd < 0 || fstat(fd, &st))
		return ebpf_fail(err, -errno, -1, "cannot duplicate socket %d", fd);
	source->inode = st.st_ino;
	source->frames = malloc((size_t)BATCH * FRAME_MAX);
	source->queue = frame_queue_create(queue_bytes);
	if (!source->frames || !source->queue)
		return ebpf_fail(err, -ENOMEM, -1, "no memory for a queue of %zu bytes", queue_bytes);
	source->base = (struct event_source){
		.ops = &sock_source_ops,
		.fds = &source->fd,
		.n_fds = 1,
		.tick_ms = TICK_MS,
	};
	return 0;
}

int sock_source_create(int fd, size_t queue_bytes, struct event_source **out, struct ebpf_error *err)
{
	struct sock_source *source;
	int rc = check_socket(fd, err);

	if (rc)
		return rc;
	source = calloc(1, sizeof(*source));
	if (!source)
		return ebpf_fail(err, -ENOMEM, -1, "no memory for a packet source");
	source->fd = -1;
	rc = sock_source_open(source, fd, queue_bytes, err);
	if (rc) {
		sock_source_destroy(&source->base);
		return rc;
	}
	*out = &source->base;
	return 0;
}

int64_t sock_source_recv(struct event_source *base, void *buf, size_t nbytes)
{
	return frame_queue_pop(container_of(base, struct sock_source, base)->queue, buf, nbytes);
}

int sock_source_fd(const struct event_source *base)
{
	return frame_queue_fd(container_of(base, struct sock_source, base)->queue);
}
