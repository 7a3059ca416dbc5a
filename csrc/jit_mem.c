/* Memory for machine code: written first, executable after, never both. */
#include "jit_mem.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static size_t page_nbytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

int jit_mem_reserve(struct jit_mem *mem, size_t nbytes, struct ebpf_error *err)
{
	size_t page = page_nbytes();

	*mem = (struct jit_mem){ .nbytes = align_up(nbytes, page) };
	mem->map_nbytes = mem->nbytes + 2 * page;
	mem->map = mmap(NULL, mem->map_nbytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem->map == MAP_FAILED) {
		mem->map = NULL;
		return ebpf_fail(err, -ENOMEM, -1, "no memory for %zu bytes of machine code", nbytes);
	}
	mem->code = (uint8_t *)mem->map + page;
	if (!mprotect(mem->code, mem->nbytes, PROT_READ | PROT_WRITE))
		return 0;
	jit_mem_free(mem);
	return ebpf_fail(err, -ENOMEM, -1, "no memory for %zu bytes of machine code", nbytes);
}

/* Gives back the pages behind the used ones; the first of them becomes the upper guard. */
static void shrink(struct jit_mem *mem, size_t used)
{
	size_t page = page_nbytes(), keep = align_up(used, page);
	uint8_t *end = (uint8_t *)mem->map + mem->map_nbytes;
	uint8_t *new_end = mem->code + keep + page;

	if (keep >= mem->nbytes || mprotect(mem->code + keep, page, PROT_NONE))
		return;
	if (munmap(new_end, (size_t)(end - new_end)))
		return;
	mem->nbytes = keep;
	mem->map_nbytes = keep + 2 * page;
}

int jit_mem_seal(struct jit_mem *mem, size_t used, struct ebpf_error *err)
{
	int code;

	shrink(mem, used);
	if (!mprotect(mem->code, mem->nbytes, PROT_READ | PROT_EXEC))
		return 0;
	code = errno;
	if (code == ENOMEM)
		return ebpf_fail(err, -ENOMEM, -1, "no memory for %zu bytes of executable code", used);
	return ebpf_fail(
	    err, -EACCES, -1,
	    "executable memory is refused on this machine: mprotect(PROT_EXEC): %s (a policy such as SELinux "
	    "execmem, a seccomp filter or PR_SET_MDWE); the interpreter needs none",
	    strerror(code));
}

void jit_mem_free(struct jit_mem *mem)
{
	if (mem->map)
		munmap(mem->map, mem->map_nbytes);
	*mem = (struct jit_mem){ 0 };
}

/* The file, if it is ours: another user may have laid a link or a file of that name in /tmp. */
static int open_perf_map(void)
{
	char path[64];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0 && (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_uid != geteuid())) {
		close(fd);
		return -1;
	}
	return fd;
}

void jit_mem_perf_map(const char *name, const uint8_t *code, size_t nbytes)
{
	const char *asked = getenv("PYEBPF_PERF_MAP");
	char line[128];
	int fd, n;

	if (!asked || strcmp(asked, "1") != 0)
		return;
	fd = open_perf_map();
	if (fd < 0)
		return;
	n = snprintf(line, sizeof(line), "%lx %zx bpf_prog_%s\n", (unsigned long)(uintptr_t)code, nbytes, name);
	/* One write, so that lines of several threads do not mix. */
	if (n > 0)
		(void)!write(fd, line, (size_t)n); /* perf then shows an address: no reason to fail */
	close(fd);
}
