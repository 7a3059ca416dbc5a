/* Helpers about the thread that runs, and reads of its memory. */
#define _GNU_SOURCE
#include "helpers.h"

#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "uaccess.h"

/* TASK_COMM_LEN */
#define COMM_LEN 16

EBPF_HELPER(get_current_pid_tgid)
{
	return (uint64_t)getpid() << 32 | (uint32_t)syscall(SYS_gettid);
}

EBPF_HELPER(get_current_uid_gid)
{
	return (uint64_t)getgid() << 32 | getuid();
}

/* get_current_comm(buffer, nbytes): the name, cut to fit, the rest zeros. */
EBPF_HELPER(get_current_comm)
{
	char *buf = EBPF_PTR(r1), name[COMM_LEN] = { 0 };
	size_t nbytes = (uint32_t)r2;

	if (!nbytes)
		return EBPF_ERROR(EINVAL);
	prctl(PR_GET_NAME, name);
	memset(buf, 0, nbytes);
	memcpy(buf, name, strnlen(name, nbytes - 1 < COMM_LEN ? nbytes - 1 : COMM_LEN - 1));
	return 0;
}

/* probe_read(destination, nbytes, address): 0, or -EFAULT and zeros. */
static uint64_t probe_read(uint64_t dst, uint64_t nbytes, uint64_t src)
{
	int rc = copy_from_user(EBPF_PTR(dst), src, (uint32_t)nbytes);

	if (rc)
		memset(EBPF_PTR(dst), 0, (uint32_t)nbytes);
	return (uint64_t)(int64_t)rc;
}

EBPF_HELPER(probe_read)
{
	return probe_read(r1, r2, r3);
}

EBPF_HELPER(probe_read_user)
{
	return probe_read(r1, r2, r3);
}

EBPF_HELPER(probe_read_kernel)
{
	return probe_read(r1, r2, r3);
}

/* probe_read_str(destination, nbytes, address): the length with its NUL, cut to fit; -EFAULT and zeros. */
static uint64_t probe_read_str(uint64_t dst, uint64_t size, uint64_t src)
{
	uint32_t nbytes = (uint32_t)size;
	char *buf = EBPF_PTR(dst);
	int64_t len;

	if (!nbytes)
		return 0;
	len = string_from_user(buf, src, nbytes);
	if (len < 0) {
		memset(buf, 0, nbytes);
		return (uint64_t)len;
	}
	if (len == nbytes)
		len--;
	buf[len] = '\0';
	return (uint64_t)len + 1;
}

EBPF_HELPER(probe_read_str)
{
	return probe_read_str(r1, r2, r3);
}

EBPF_HELPER(probe_read_user_str)
{
	return probe_read_str(r1, r2, r3);
}

EBPF_HELPER(probe_read_kernel_str)
{
	return probe_read_str(r1, r2, r3);
}

/* strncmp(s1, s1 size, s2) */
EBPF_HELPER(strncmp)
{
	return (uint64_t)(int64_t)strncmp(EBPF_PTR(r1), EBPF_PTR(r3), (uint32_t)r2);
}
