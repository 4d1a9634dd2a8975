// SPDX-License-Identifier: MIT
/* The mirrored process: what a program can do to its memory, at random, on two threads, while a device looks at it. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stress.h"

/* Newer than some C libraries. */
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static const int advices[] = {
	MADV_DONTNEED, MADV_FREE, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_COLD, MADV_PAGEOUT, MADV_DONTFORK, MADV_DOFORK,
	MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_COLLAPSE,
};

static int dmirrors[4] = { -1, -1, -1, -1 };
static struct request_buffers buffers;
static int zero; /* /dev/zero */

/* Stores, or faults for reading, page by page. The kernel makes them, so what is refused is an errno and no SIGSEGV. */
static void touch(struct random *random, uint64_t address, uint64_t pages, bool write)
{
	uint64_t page, at;

	for (page = 0; page < pages && page < 64; page++) {
		at = address + page * PAGE;
		if (!write)
			madvise((void *)(uintptr_t)at, PAGE, MADV_POPULATE_READ);
		else if (read(zero, (void *)(uintptr_t)(at + random_below(random, PAGE - 8)), 8) != 8)
			return;
	}
}

static void fork_for_a_while(struct random *random)
{
	pid_t child = fork();

	if (child == 0) {
		unsigned int step;

		for (step = 0; step < 8; step++)
			touch(random, random_address(random), 4, true);
		_exit(0);
	}
	if (child > 0)
		waitpid(child, NULL, 0);
}

static void ask_dmirror(struct random *random)
{
	unsigned int kind = random_below(random, DMIRROR_REQUESTS);
	int fd = dmirrors[random_below(random, 4)];
	union request_memory memory;

	if (fd < 0)
		return;
	dmirror_request_make(random, &buffers, &memory);
	request_issue(fd, &dmirror_requests[kind], &counts->dmirror[kind], &memory);
}

static void step(struct random *random)
{
	static const int protections[] = { PROT_READ, PROT_READ | PROT_WRITE, PROT_NONE, PROT_READ | PROT_WRITE };
	uint64_t address = random_address(random), pages = 1 + random_below(random, 1024);
	void *at = (void *)(uintptr_t)address;
	int flags = MAP_FIXED | MAP_ANONYMOUS;

	switch (random_below(random, 12)) {
	case 0:
	case 1:
	case 2:
		flags |= random_chance(random, 80) ? MAP_PRIVATE : MAP_SHARED;
		mmap(at, pages * PAGE, PROT_READ | PROT_WRITE, flags, -1, 0);
		break;
	case 3:
		munmap(at, pages * PAGE);
		break;
	case 4:
		mprotect(at, pages * PAGE, protections[random_below(random, 4)]);
		break;
	case 5:
		madvise(at, pages * PAGE, advices[random_below(random, sizeof(advices) / sizeof(advices[0]))]);
		break;
	case 6:
		mremap(at, pages * PAGE, (1 + random_below(random, 1024)) * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		       (void *)(uintptr_t)random_address(random));
		break;
	case 7:
		if (random_chance(random, 20))
			fork_for_a_while(random);
		break;
	case 8:
		ask_dmirror(random);
		break;
	case 9:
		touch(random, address, pages, false);
		break;
	default:
		touch(random, address, pages, true);
		break;
	}
}

static void *run(void *argument)
{
	struct random random;

	random_seed(&random, (uintptr_t)argument, 77);
	for (;;)
		step(&random);
	return NULL;
}

void mirrored_process(const int *contexts, unsigned int count, uint64_t seed, int ready)
{
	struct hmm_mirror_bind bind = { 0 };
	char name[] = "/dev/hmm_dmirror0";
	pthread_t second;
	unsigned int index;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	request_buffers_make(&buffers);
	for (index = 0; index < count; index++)
		if (ioctl(contexts[index], HMM_MIRROR_BIND, &bind) && errno != EBUSY)
			_exit(3);
	close(ready);
	for (index = 0; index < 4; index++) {
		name[sizeof(name) - 2] = '0' + index;
		dmirrors[index] = open(name, O_RDWR | O_CLOEXEC);
	}
	mmap((void *)(uintptr_t)ARENA, ARENA_PAGES * PAGE, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (pthread_create(&second, NULL, run, (void *)(uintptr_t)(seed * 2 + 1)))
		_exit(4);
	run((void *)(uintptr_t)(seed * 2));
}
