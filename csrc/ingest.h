/* Captures: pcap and pcapng read through windows, never whole and never mapped (truncating a mapped file kills its
 * readers).  Any byte order, any time resolution; files and pipes.
 *
 * One reader belongs to one thread at a time.  A window's bytes and arrays stay as they are until it is filled again.
 */
#pragma once

#include "common.h"
#include "error.h"

#define INGEST_MAX_INTERFACES 4096
#define INGEST_NAME_NBYTES    64
/* The most bytes of one packet, 4 times tcpdump's largest snapshot length. */
#define INGEST_MAX_PACKET 1048576u
#define INGEST_MIN_WINDOW (2u * INGEST_MAX_PACKET)
/* A window has room for one packet in so many bytes. */
#define INGEST_PACKET_ROOM 64

struct ingest_iface {
	uint32_t linktype; /* LINKTYPE_*, 1: Ethernet */
	uint32_t snaplen;  /* 0: no limit */
	uint64_t units;    /* of a time stamp, in a second */
	int64_t offset_s;  /* added to time stamps */
	char name[INGEST_NAME_NBYTES];
};

/* Packets; packet i has lengths[i] bytes at data + offsets[i]. */
struct ingest_window {
	uint8_t *data;
	size_t cap;             /* bytes of data */
	size_t used;            /* bytes read into data */
	uint32_t n;             /* packets */
	uint32_t max;           /* packets there is room for */
	uint64_t *offsets;      /* max of each */
	uint32_t *lengths;      /* captured bytes */
	uint32_t *wire_lengths; /* bytes the packet had */
	uint64_t *times_ns;     /* since 1970 */
	uint32_t *ifaces;       /* index of the interface */
};

struct ingest;

/* A reader of fd, which stays the caller's, through windows of that size; *out is for ingest_close.  -ENOMEM. */
int ingest_open(int fd, size_t window_nbytes, struct ingest **out, struct ebpf_error *err);
void ingest_close(struct ingest *in);

/* A window for that reader; it may outlive it.  NULL: no memory. */
struct ingest_window *ingest_window_new(const struct ingest *in);
void ingest_window_free(struct ingest_window *window);

/* The next packets, at least one; blocks on a pipe, so never with the GIL held.  1; 0 at the end; -EINVAL: malformed
 * or no capture (the text has the offset), after all packets before that place were given; -EINTR: a signal, call
 * again; or read's -errno. */
int ingest_next(struct ingest *in, struct ingest_window *window, struct ebpf_error *err);

/* Bytes of the capture that were taken in. */
uint64_t ingest_position(const struct ingest *in);
/* Where the last record was cut off; -1: nowhere (yet). */
int64_t ingest_truncated(const struct ingest *in);
/* Interfaces so far; a pcap has one. */
uint32_t ingest_n_ifaces(const struct ingest *in);
const struct ingest_iface *ingest_iface(const struct ingest *in, uint32_t i);
/* "pcap", "pcapng", or "" before the first window. */
const char *ingest_format(const struct ingest *in);
