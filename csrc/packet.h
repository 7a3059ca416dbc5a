/* Packets as programs see them: the context of each program type, filled from a packet's bytes. */
#pragma once

#include "common.h"
#include "gen/ctx.h"
#include "prog.h"
#include "runtime.h"

_Static_assert(sizeof(struct ebpf_skb) % 16 == 0 && sizeof(struct ebpf_xdp) % 16 == 0, "zero_struct");

#define ETH_HLEN 14
/* Linux's PROG_TEST_RUN: room before an XDP packet, and where its page ends for the packet (4096 bytes less what
 * Linux keeps behind). */
#define PACKET_HEADROOM 256
#define PACKET_ROOM     3776

/* struct bpf_flow_keys of uapi/linux/bpf.h. */
struct ebpf_flow_keys {
	uint16_t nhoff;
	uint16_t thoff;
	uint16_t addr_proto;
	uint8_t is_frag;
	uint8_t is_first_frag;
	uint8_t is_encap;
	uint8_t ip_proto;
	uint16_t n_proto; /* big-endian, as sport and dport */
	uint16_t sport;
	uint16_t dport;
	uint8_t addrs[32];
	uint32_t flags;
	uint32_t flow_label;
};
_Static_assert(sizeof(struct ebpf_flow_keys) == 56, "as Linux's");

/* What r1 points to. */
enum packet_kind {
	PACKET_RAW, /* the bytes given, as they are */
	PACKET_SKB,
	PACKET_XDP,
	PACKET_FLOW, /* an skb whose flow_keys are the run's own */
};

enum packet_kind packet_kind(uint32_t prog_type);

/* One thread's place to see packets through, for one program, used packet after packet. */
struct packet_frame {
	union {
		struct ebpf_skb skb;
		struct ebpf_xdp xdp;
	};
	struct ebpf_flow_keys keys;
	struct ebpf_prog *prog;
	enum packet_kind kind;
	bool copies;   /* the program writes or resizes what it is given: run it on a copy */
	bool dirty;    /* it writes the context: fill all of it each time */
	uint8_t *room; /* the copy, with head and tail room */
	size_t room_nbytes;
};

void packet_frame_init(struct packet_frame *frame, struct ebpf_prog *prog);
void packet_frame_free(struct packet_frame *frame);

/* Memory for copies of up to nbytes; false: none. */
bool packet_reserve(struct packet_frame *frame, size_t nbytes);

/* Fills the frame for one packet (or raw context) and returns r1; NULL: no memory for the copy. */
void *packet_bind(struct packet_frame *frame, const void *data, size_t nbytes);
/* After the run of a flow dissector: Linux's bounds on the offsets it left. */
void packet_clamp_keys(struct packet_frame *frame, size_t nbytes);
/* What a run over *nbytes left, as PROG_TEST_RUN's data_out: the packet with its metadata, a flow dissector's keys,
 * or a raw context. */
const void *packet_left(struct packet_frame *frame, const void *r1, size_t *nbytes);

/* One whole run over one packet; raw contexts and unverified programs get the memory itself.  0 or the -errno that
 * ended the run early; -EINVAL: a raw context shorter than the program looks at; -EAGAIN: no vCPU is free, and the
 * caller, who holds the GIL, will not wait. */
int prog_run_packet(struct ebpf_prog *prog, const void *data, size_t nbytes, bool wait, uint64_t *retval);
