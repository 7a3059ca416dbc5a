/* Memory named by an address that a stranger gave. */
#define _GNU_SOURCE
#include "uaccess.h"

#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* The longest transfer that Linux makes in one call is a little under 2 GiB. */
#define CHUNK ((size_t)1 << 30)
#define PAGE  ((size_t)4096)

enum direction { FROM_USER, TO_USER };

static int transfer(void *local, uint64_t remote, size_t nbytes, enum direction direction)
{
	pid_t self = getpid();

	while (nbytes) {
		size_t n = nbytes < CHUNK ? nbytes : CHUNK;
		struct iovec here = { local, n };
		struct iovec there = { (void *)(uintptr_t)remote, n };
		ssize_t done = direction == FROM_USER ? process_vm_readv(self, &here, 1, &there, 1, 0)
						      : process_vm_writev(self, &here, 1, &there, 1, 0);

		if (done < 0)
			/* EINVAL: the address range wraps or leaves user space. */
			return errno == EFAULT || errno == EINVAL ? -EFAULT : errno == ENOMEM ? -ENOMEM : -ENOSYS;
		if (done == 0)
			return -EFAULT;
		local = (char *)local + done;
		remote += (uint64_t)done;
		nbytes -= (size_t)done;
	}
	return 0;
}

int copy_from_user(void *dst, uint64_t src, size_t nbytes)
{
	return transfer(dst, src, nbytes, FROM_USER);
}

int copy_to_user(uint64_t dst, const void *src, size_t nbytes)
{
	return transfer((void *)(uintptr_t)src, dst, nbytes, TO_USER);
}

int64_t string_from_user(char *dst, uint64_t src, size_t nbytes)
{
	size_t have = 0;

	/* Page by page: what lies behind the string's page may not be mapped. */
	while (have < nbytes) {
		size_t n = PAGE - (size_t)((src + have) % PAGE);
		const char *end;
		int rc;

		if (n > nbytes - have)
			n = nbytes - have;
		rc = transfer(dst + have, src + have, n, FROM_USER);
		if (rc)
			return rc;
		end = memchr(dst + have, 0, n);
		if (end)
			return end - dst;
		have += n;
	}
	return (int64_t)nbytes;
}
