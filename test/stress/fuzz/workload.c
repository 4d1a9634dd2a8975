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

#include "fuzz.h"

/* Newer than some C libraries. */
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* Beyond what this program ever has open. */
#define FILES_MOST 64

/* Pages that one step touches at most. */
#define TOUCHED 32

static const int advices[] = {
	MADV_DONTNEED, MADV_FREE, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_COLD, MADV_PAGEOUT, MADV_DONTFORK, MADV_DOFORK,
	MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_DONTNEED, MADV_COLLAPSE,
};

static int dmirrors[4] = { -1, -1, -1, -1 };
static struct request_buffers buffers;
static int zero; /* /dev/zero */

/* Stores, or faults for reading, page by page. The kernel makes them, so what is refused is an errno and no SIGSEGV. */
static void touch(struct random *random, uint64_t address, uint64_t pages, bool write)
{
	uint64_t page, at;

	for (page = 0; page < pages && page < TOUCHED; page++) {
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
	while (random_chance(random, 15))
		dmirror_request_break(random, &memory);
	dmirror_request_issue(fd, kind, &memory);
}

/* A mapping that is neither a file nor anonymous. */
static void map_device(struct random *random, void *at)
{
	int fd = dmirrors[random_below(random, 4)];

	if (fd >= 0)
		mmap(at, random_pages(random, 8) * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
}

static void step(struct random *random)
{
	static const int protections[] = { PROT_READ, PROT_READ | PROT_WRITE, PROT_NONE, PROT_READ | PROT_WRITE };
	uint64_t address = random_address(random), pages = 2 * random_pages(random, 512);
	void *at = (void *)(uintptr_t)address;
	int flags = MAP_FIXED | MAP_ANONYMOUS;

	switch (random_below(random, 13)) {
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
		mremap(at, pages * PAGE, random_pages(random, 1024) * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
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
		map_device(random, at);
		break;
	case 10:
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
	for (;;) {
		step(&random);
		/*
		 * A device that is invalidated all the time never gets through: it needs a time in which it is not. And a
		 * machine of two processors has others to run.
		 */
		if (random_chance(&random, 25))
			usleep(5000 + random_below(&random, 50000));
	}
	return NULL;
}

/* What it has from the process that it was forked from: files of others, which these think that they close for good. */
static void close_all_but(const int *contexts, unsigned int count, int ready)
{
	unsigned int index;
	int fd;

	for (fd = STDERR_FILENO + 1; fd < FILES_MOST; fd++) {
		for (index = 0; index < count && contexts[index] != fd; index++)
			;
		if (index == count && fd != ready)
			close(fd);
	}
}

void mirrored_process(const int *contexts, unsigned int count, uint64_t stream, int ready)
{
	union request_memory bind = { 0 };
	char name[] = "/dev/hmm_dmirror0";
	pthread_t second;
	unsigned int index;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close_all_but(contexts, count, ready);
	zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	request_buffers_make(&buffers);
	for (index = 0; index < count; index++)
		if (mirror_request_issue(contexts[index], BIND, &bind))
			_exit(3);
	close(ready);
	for (index = 0; index < 4; index++) {
		name[sizeof(name) - 2] = '0' + index;
		dmirrors[index] = open(name, O_RDWR | O_CLOEXEC);
	}
	mmap((void *)(uintptr_t)ARENA, ARENA_PAGES * PAGE, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (pthread_create(&second, NULL, run, (void *)(uintptr_t)(stream * 2 + 1)))
		_exit(4);
	run((void *)(uintptr_t)(stream * 2));
	_exit(0);
}
