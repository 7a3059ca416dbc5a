/* pcapng: blocks, in sections that each have their own byte order and interfaces.
 *
 *   block      [ type | length | body, padded to 4 | length ]
 *   section    type 0x0a0d0d0a  [ magic 0x1a2b3c4d | major:u16 minor:u16 | section length:u64 | options ]
 *   interface  type 1           [ linktype:u16 0:u16 | snaplen | options ]
 *   packet     type 6           [ interface | time high | time low | captured | original | bytes | options ]
 *   simple     type 3           [ original | bytes ]
 *   obsolete   type 2           [ interface:u16 drops:u16 | time high | time low | captured | original | bytes ]
 *   option                      [ code:u16 length:u16 | value, padded to 4 ], the last one 0
 *
 * Source: draft-ietf-opsawg-pcapng.  Words are u32 but as said; other blocks are passed over.
 */
#include "ingest_format.h"

enum {
	BLOCK_SECTION = 0x0a0d0d0a,
	BLOCK_INTERFACE = 1,
	BLOCK_OBSOLETE = 2,
	BLOCK_SIMPLE = 3,
	BLOCK_PACKET = 6,
};
#define MAGIC         0x1a2b3c4du
#define HEAD_NBYTES   8
#define FRAME_NBYTES  12 /* of a block around its body */
#define OPTION_END    0
#define OPTION_NAME   2
#define OPTION_RESOL  9
#define OPTION_OFFSET 14
#define SECOND_NS     1000000000u

static int bad(const struct ingest *in, struct ebpf_error *err, const char *what, uint32_t seen, const char *wanted)
{
	return ebpf_fail(err, -EINVAL, -1, "offset %" PRIu64 ": %s %u, expected %s", in->base + in->at, what, seen,
			 wanted);
}

/* Units in a second of if_tsresol: a power of ten, with the top bit set of two; 0: not below 2^64. */
static uint64_t units_of(uint8_t resolution)
{
	uint64_t units = 1;

	if (resolution & 0x80u)
		return (resolution & 0x7fu) < 64 ? 1ull << (unsigned)(resolution & 0x7fu) : 0;
	if (resolution > 19)
		return 0;
	while (resolution--)
		units *= 10;
	return units;
}

static uint64_t time_ns(const struct ingest_iface *iface, uint32_t high, uint32_t low)
{
	uint64_t units = ((uint64_t)high << 32u) | low;
	uint64_t seconds = units / iface->units + (uint64_t)iface->offset_s, rest = units % iface->units;

	if (likely(iface->units == 1000000))
		return seconds * SECOND_NS + rest * 1000;
	return seconds * SECOND_NS + (uint64_t)((unsigned __int128)rest * SECOND_NS / iface->units);
}

static int read_option(const struct ingest *in, struct ingest_iface *iface, uint16_t code, const uint8_t *value,
		       size_t nbytes, struct ebpf_error *err)
{
	if (code == OPTION_NAME) {
		size_t n = nbytes < INGEST_NAME_NBYTES - 1 ? nbytes : INGEST_NAME_NBYTES - 1;

		memcpy(iface->name, value, n);
		iface->name[n] = '\0';
	} else if (code == OPTION_RESOL && nbytes >= 1) {
		iface->units = units_of(value[0]);
		if (!iface->units)
			return bad(in, err, "an interface with time resolution (if_tsresol)", value[0],
				   "0 to 19 or 128 to 191");
	} else if (code == OPTION_OFFSET && nbytes >= 8) {
		iface->offset_s = (int64_t)ingest_u64(in, value);
	}
	return 0;
}

static int read_options(const struct ingest *in, struct ingest_iface *iface, const uint8_t *p, size_t nbytes,
			struct ebpf_error *err)
{
	while (nbytes >= 4) {
		uint16_t code = ingest_u16(in, p), length = ingest_u16(in, p + 2);
		size_t whole = 4 + align_up(length, 4);
		int rc;

		if (code == OPTION_END)
			return 0;
		if (whole > nbytes)
			return bad(in, err, "an interface block with an option of length", length,
				   "it to end inside the block");
		rc = read_option(in, iface, code, p + 4, length, err);
		if (rc)
			return rc;
		p += whole;
		nbytes -= whole;
	}
	return 0;
}

static int take_section(struct ingest *in, struct ingest_window *window, const uint8_t *body, size_t nbytes,
			struct ebpf_error *err)
{
	(void)window;
	if (nbytes < 16)
		return bad(in, err, "a section header of body length", (uint32_t)nbytes, "at least 16");
	if (ingest_u16(in, body + 4) != 1)
		return bad(in, err, "pcapng major version", ingest_u16(in, body + 4), "1");
	in->section = in->n_ifaces;
	return STEP_DONE;
}

static int take_interface(struct ingest *in, struct ingest_window *window, const uint8_t *body, size_t nbytes,
			  struct ebpf_error *err)
{
	struct ingest_iface *iface;

	(void)window;
	if (nbytes < 8)
		return bad(in, err, "an interface block of body length", (uint32_t)nbytes, "at least 8");
	iface = ingest_add_iface(in, err);
	if (!iface)
		return err->code;
	iface->linktype = ingest_u16(in, body);
	iface->snaplen = ingest_u32(in, body + 4);
	iface->units = 1000000;
	return read_options(in, iface, body + 8, nbytes - 8, err) ?: STEP_DONE;
}

/* A packet whose bytes stand `head` bytes into a body of nbytes. */
static int take_bytes(struct ingest *in, struct ingest_window *window, size_t head, size_t nbytes, uint32_t iface,
		      const uint8_t *times, uint32_t captured, uint32_t original, struct ebpf_error *err)
{
	uint64_t stamp = 0;

	if (iface >= in->n_ifaces - in->section)
		return bad(in, err, "a packet of interface", iface, "one described before it in its section");
	if (captured > INGEST_MAX_PACKET)
		return bad(in, err, "a packet of captured length", captured, "at most 1048576");
	if (captured > nbytes - head)
		return bad(in, err, "a packet of captured length", captured, "it to end inside its block");
	if (window->n == window->max)
		return STEP_FULL;
	if (times)
		stamp = time_ns(&in->ifaces[in->section + iface], ingest_u32(in, times), ingest_u32(in, times + 4));
	ingest_add(in, window, HEAD_NBYTES + head, captured, original, stamp, in->section + iface);
	return STEP_DONE;
}

static int take_packet(struct ingest *in, struct ingest_window *window, const uint8_t *body, size_t nbytes,
		       struct ebpf_error *err)
{
	if (nbytes < 20)
		return bad(in, err, "a packet block of body length", (uint32_t)nbytes, "at least 20");
	return take_bytes(in, window, 20, nbytes, ingest_u32(in, body), body + 4, ingest_u32(in, body + 12),
			  ingest_u32(in, body + 16), err);
}

static int take_obsolete(struct ingest *in, struct ingest_window *window, const uint8_t *body, size_t nbytes,
			 struct ebpf_error *err)
{
	if (nbytes < 20)
		return bad(in, err, "a packet block of body length", (uint32_t)nbytes, "at least 20");
	return take_bytes(in, window, 20, nbytes, ingest_u16(in, body), body + 4, ingest_u32(in, body + 12),
			  ingest_u32(in, body + 16), err);
}

/* Has no captured length: what the interface's snapshot length leaves. */
static int take_simple(struct ingest *in, struct ingest_window *window, const uint8_t *body, size_t nbytes,
		       struct ebpf_error *err)
{
	uint32_t original, captured, snaplen;

	if (nbytes < 4)
		return bad(in, err, "a simple packet block of body length", (uint32_t)nbytes, "at least 4");
	if (in->n_ifaces == in->section)
		return bad(in, err, "a packet of interface", 0, "one described before it in its section");
	original = captured = ingest_u32(in, body);
	snaplen = in->ifaces[in->section].snaplen;
	if (snaplen && captured > snaplen)
		captured = snaplen;
	if (captured > nbytes - 4)
		captured = (uint32_t)(nbytes - 4);
	return take_bytes(in, window, 4, nbytes, 0, NULL, captured, original, err);
}

typedef int (*take_fn)(struct ingest *in, struct ingest_window *window, const uint8_t *body, size_t nbytes,
		       struct ebpf_error *err);

/* What takes a block of that type; NULL: it is passed over. */
static take_fn take_of(uint32_t type)
{
	switch (type) {
	case BLOCK_SECTION: return take_section;
	case BLOCK_INTERFACE: return take_interface;
	case BLOCK_OBSOLETE: return take_obsolete;
	case BLOCK_SIMPLE: return take_simple;
	case BLOCK_PACKET: return take_packet;
	default: return NULL;
	}
}

/* The byte order that a section header of `left` bytes says. */
static int read_order(struct ingest *in, const uint8_t *p, struct ebpf_error *err)
{
	in->swapped = false;
	if (ingest_u32(in, p + 8) == MAGIC)
		return 0;
	in->swapped = true;
	if (ingest_u32(in, p + 8) == MAGIC)
		return 0;
	return bad(in, err, "a section header of byte-order magic", ingest_u32(in, p + 8), "439041101");
}

int ingest_pcapng_step(struct ingest *in, struct ingest_window *window, size_t left, struct ebpf_error *err)
{
	const uint8_t *p = window->data + in->at;
	uint32_t type, length;
	take_fn take;
	int rc;

	in->want = FRAME_NBYTES;
	if (left < in->want)
		return STEP_MORE;
	type = ingest_u32(in, p); /* a section's reads the same in both orders */
	if (type == BLOCK_SECTION && read_order(in, p, err))
		return err->code;
	length = ingest_u32(in, p + 4);
	if (length < FRAME_NBYTES || length % 4)
		return bad(in, err, "a block of length", length, "a multiple of 4 from 12");
	take = take_of(type);
	in->format = "pcapng";
	if (!take) {
		in->skip = length;
		return STEP_DONE;
	}
	if (length > INGEST_MIN_WINDOW)
		return bad(in, err, "a block of length", length, "at most 2097152");
	in->want = length;
	if (left < in->want)
		return STEP_MORE;
	if (ingest_u32(in, p + length - 4) != length)
		return bad(in, err, "a block that ends with length", ingest_u32(in, p + length - 4),
			   "the one it begins with");
	rc = take(in, window, p + HEAD_NBYTES, length - FRAME_NBYTES, err);
	if (rc == STEP_DONE)
		in->at += length;
	return rc;
}
