/* Formatting as Linux's bpf_trace_printk and bpf_snprintf do it: %c %d %i %u %x %X with l and ll, %s, %p and its
 * kinds that make sense outside the kernel; flags and width, no precision. */
#include "bprintf.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "uaccess.h"

/* What one string may take, as MAX_BPRINTF_BUF. */
#define STRING_MAX 512

struct writer {
	char *buf;
	size_t size;
	size_t len; /* of the whole text, written or not */
};

/* One conversion: "%" flags width, without length and letter. */
struct conversion {
	char head[24];
	uint8_t nbytes; /* of an integer: 4 or 8 */
	char kind;      /* letter */
	char ptr[3];    /* of %p: the letters behind */
};

static void put(struct writer *w, const char *text, size_t nbytes)
{
	for (size_t i = 0; i < nbytes; i++, w->len++)
		if (w->len + 1 < w->size)
			w->buf[w->len] = text[i];
}

static void put_integer(struct writer *w, const struct conversion *c, uint64_t value)
{
	char text[256], fmt[40];
	int len;
	bool is_signed = c->kind == 'd' || c->kind == 'i';

	if (c->nbytes == 4)
		value = is_signed ? (uint64_t)(int64_t)(int32_t)value : (uint32_t)value;
	snprintf(fmt, sizeof(fmt), "%sll%c", c->head, c->kind);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	len = snprintf(text, sizeof(text), fmt, (unsigned long long)value);
#pragma GCC diagnostic pop
	put(w, text, (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1);
}

static void put_string(struct writer *w, uint64_t address)
{
	char text[STRING_MAX];
	int64_t len = string_from_user(text, address, sizeof(text));

	/* Linux prints an unreadable string as empty. */
	if (len > 0)
		put(w, text, (size_t)len);
}

static void put_ip(struct writer *w, const struct conversion *c, uint64_t address)
{
	uint8_t ip[16] = { 0 };
	char text[64];
	int len = 0;
	bool v4 = c->ptr[1] == '4', plain = c->ptr[0] == 'i';

	if (copy_from_user(ip, address, v4 ? 4 : 16))
		memset(ip, 0, sizeof(ip));
	if (v4)
		len = snprintf(text, sizeof(text), plain ? "%03u.%03u.%03u.%03u" : "%u.%u.%u.%u", ip[0], ip[1], ip[2],
			       ip[3]);
	for (size_t i = 0; !v4 && i < 16; i += 2)
		len += snprintf(text + len, sizeof(text) - (size_t)len, "%s%02x%02x", plain || !i ? "" : ":", ip[i],
				ip[i + 1]);
	put(w, text, (size_t)len);
}

static void put_one(struct writer *w, const struct conversion *c, uint64_t value)
{
	char text[24];

	if (c->kind == 'c') {
		text[0] = (char)value;
		put(w, text, 1);
	} else if (c->kind == 's') {
		put_string(w, value);
	} else if (c->kind == 'p' && (c->ptr[0] == 'i' || c->ptr[0] == 'I')) {
		put_ip(w, c, value);
	} else if (c->kind == 'p') {
		put(w, text, (size_t)snprintf(text, sizeof(text), "%016llx", (unsigned long long)value));
	} else {
		put_integer(w, c, value);
	}
}

/* Behind %p: a kind of pointer, or nothing and then space, punctuation or the end. */
static const char *parse_pointer(const char *p, struct conversion *c)
{
	c->kind = 'p';
	if (!*p || isspace((unsigned char)*p) || ispunct((unsigned char)*p))
		return p;
	if ((p[0] == 'k' || p[0] == 'u') && p[1] == 's') {
		c->kind = 's';
		return p + 2;
	}
	if ((p[0] == 'i' || p[0] == 'I') && (p[1] == '4' || p[1] == '6')) {
		memcpy(c->ptr, p, 2);
		return p + 2;
	}
	return *p == 'x' || *p == 'B' || *p == 's' || *p == 'S' || *p == 'K' ? p + 1 : NULL;
}

/* p is behind the '%'; the place behind the conversion, NULL for one that Linux refuses. */
static const char *parse(const char *p, struct conversion *c)
{
	size_t n = 0;
	uint32_t width = 0;

	*c = (struct conversion){ .head = "%", .nbytes = 4 };
	for (; *p == '0' || *p == '+' || *p == '-' || *p == ' '; p++)
		if (n < 8)
			c->head[++n] = *p;
	for (; isdigit((unsigned char)*p); p++)
		width = width < 100 ? width * 10 + (uint32_t)(*p - '0') : width;
	if (width)
		snprintf(c->head + n + 1, sizeof(c->head) - n - 1, "%u", width < 200 ? width : 200);
	if (*p == 'p')
		return parse_pointer(p + 1, c);
	if (*p == 's' || *p == 'c') {
		c->kind = *p;
		return p + 1;
	}
	if (*p == 'l') {
		c->nbytes = 8;
		p += p[1] == 'l' ? 2 : 1;
	}
	c->kind = *p;
	return *p && strchr("iduxX", *p) ? p + 1 : NULL;
}

int ebpf_bprintf(char *buf, size_t size, const char *fmt, size_t fmt_nbytes, const uint64_t *args, uint32_t n_args)
{
	struct writer w = { .buf = buf, .size = size };
	uint32_t used = 0;

	if (strnlen(fmt, fmt_nbytes) == fmt_nbytes)
		return -EINVAL;
	while (*fmt) {
		struct conversion c;

		if (isascii((unsigned char)*fmt) && !isprint((unsigned char)*fmt) && !isspace((unsigned char)*fmt))
			return -EINVAL;
		if (*fmt != '%' || fmt[1] == '%') {
			put(&w, fmt, 1);
			fmt += *fmt == '%' ? 2 : 1;
			continue;
		}
		if (used >= n_args)
			return -EINVAL;
		fmt = parse(fmt + 1, &c);
		if (!fmt)
			return -EINVAL;
		put_one(&w, &c, args[used++]);
	}
	if (size)
		buf[w.len < size ? w.len : size - 1] = '\0';
	return (int)w.len;
}
