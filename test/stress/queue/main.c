// SPDX-License-Identifier: MIT
/* queue read|remove: exit status 0 if the bound is kept, 1 if not, 2 if it could not be found out. */
#include "queue.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* Far longer than either check takes, and shorter than a test may: so a hang has a name. */
#define DEADLINE_S 50

void give_up(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(2);
}

int context_open(void)
{
	struct hmm_mirror_bind bind = { 0 };
	int fd = open("/dev/hmm_mirror0", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		give_up("/dev/hmm_mirror0");
	if (ioctl(fd, HMM_MIRROR_BIND, &bind))
		give_up("bind");
	return fd;
}

uint32_t notifier_insert(int fd, uint64_t start, uint32_t flags, uint32_t timeout_ms)
{
	struct hmm_mirror_notifier_insert insert = {
		.start = start,
		.length = PAGE,
		.flags = flags,
		.timeout_ms = timeout_ms,
		.device = HMM_MIRROR_NO_DEVICE,
	};

	if (ioctl(fd, HMM_MIRROR_NOTIFIER_INSERT, &insert))
		give_up("insert");
	return insert.id;
}

void invalidate(uint64_t page)
{
	if (madvise((void *)page, PAGE, MADV_DONTNEED))
		give_up("madvise");
}

void await_readable(int fd, const char *what)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	if (poll(&ready, 1, PATIENCE) == 1)
		return;
	fprintf(stderr, "%s: not after %d ms\n", what, PATIENCE);
	exit(2);
}

int main(int argc, char **argv)
{
	bool (*check)(void) = NULL;

	if (argc == 2 && !strcmp(argv[1], "read"))
		check = check_read;
	if (argc == 2 && !strcmp(argv[1], "remove"))
		check = check_remove;
	if (!check) {
		fprintf(stderr, "usage: %s read|remove\n", argv[0]);
		return 2;
	}
	alarm(DEADLINE_S);
	if (mmap((void *)ARENA, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) ==
	    MAP_FAILED)
		give_up("mmap");
	return check() ? 0 : 1;
}
