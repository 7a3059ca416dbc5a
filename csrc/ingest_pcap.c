/* pcap: a header of 24 bytes, then records.
 *
 *   header  [ magic | major:u16 minor:u16 | zone | sigfigs | snaplen | linktype ]      each u32 but as said
 *   record  [ seconds | fraction | captured | original ] bytes        modified pcap: 8 bytes more before them
 */
#include "ingest_format.h"

#define MAGIC_US       0xa1b2c3d4u
#define MAGIC_NS       0xa1b23c4du
#define MAGIC_MODIFIED 0xa1b2cd34u
#define HEAD_NBYTES    24
#define RECORD_NBYTES  16
#define SECOND_NS      1000000000u

static int pcap_step(struct ingest *in, struct ingest_window *window, size_t left, struct ebpf_error *err)
{
	const uint8_t *p = window->data + in->at;
	size_t head = in->modified ? RECORD_NBYTES + 8 : RECORD_NBYTES;
	uint64_t fraction;
	uint32_t captured;

	in->want = head;
	if (left < head)
		return STEP_MORE;
	captured = ingest_u32(in, p + 8);
	if (captured > INGEST_MAX_PACKET)
		return ebpf_fail(err, -EINVAL, -1,
				 "offset %" PRIu64 ": a pcap record of %u captured bytes, expected at most %u",
				 in->base + in->at, captured, INGEST_MAX_PACKET);
	in->want = head + captured;
	if (left < in->want)
		return STEP_MORE;
	if (window->n == window->max)
		return STEP_FULL;
	fraction = ingest_u32(in, p + 4);
	if (in->ifaces[0].units != SECOND_NS)
		fraction *= SECOND_NS / 1000000;
	ingest_add(in, window, head, captured, ingest_u32(in, p + 12),
		   ingest_u32(in, p) * (uint64_t)SECOND_NS + fraction, 0);
	in->at += in->want;
	return STEP_DONE;
}

/* The byte order and kind that the magic number says; false: none. */
static bool read_magic(struct ingest *in, const uint8_t *p, bool *nanoseconds)
{
	uint32_t magic;

	in->swapped = false;
	magic = ingest_u32(in, p);
	in->swapped = magic != MAGIC_US && magic != MAGIC_NS && magic != MAGIC_MODIFIED;
	magic = ingest_u32(in, p);
	in->modified = magic == MAGIC_MODIFIED;
	*nanoseconds = magic == MAGIC_NS;
	return magic == MAGIC_US || magic == MAGIC_NS || magic == MAGIC_MODIFIED;
}

static int not_a_capture(const uint8_t *p, struct ebpf_error *err)
{
	static const uint8_t gzip[2] = { 0x1f, 0x8b };

	if (memcmp(p, gzip, sizeof(gzip)) == 0)
		return ebpf_fail(err, -EINVAL, -1, "offset 0: compressed by gzip, expected a pcap or pcapng capture");
	return ebpf_fail(err, -EINVAL, -1,
			 "offset 0: first bytes %02x %02x %02x %02x, expected a pcap or pcapng capture", p[0], p[1],
			 p[2], p[3]);
}

int ingest_pcap_head(struct ingest *in, struct ingest_window *window, size_t left, struct ebpf_error *err)
{
	const uint8_t *p = window->data + in->at;
	struct ingest_iface *iface;
	bool nanoseconds;

	in->want = 4;
	if (left < in->want)
		return STEP_MORE;
	if (!read_magic(in, p, &nanoseconds))
		return not_a_capture(p, err);
	in->want = HEAD_NBYTES;
	if (left < in->want)
		return STEP_MORE;
	if (ingest_u16(in, p + 4) != 2)
		return ebpf_fail(err, -EINVAL, -1, "offset 4: pcap version %u.%u, expected 2.x", ingest_u16(in, p + 4),
				 ingest_u16(in, p + 6));
	iface = ingest_add_iface(in, err);
	if (!iface)
		return err->code;
	iface->snaplen = ingest_u32(in, p + 16);
	iface->linktype = ingest_u32(in, p + 20) & 0xffffu; /* above: length of the frame check sequence */
	iface->units = nanoseconds ? SECOND_NS : 1000000;
	in->format = "pcap";
	in->step = pcap_step;
	in->at += HEAD_NBYTES;
	return STEP_DONE;
}
