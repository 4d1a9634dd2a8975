/* SPDX-License-Identifier: MIT */
/*
 * What the module costs a C program: the yardstick for the same calls from TypeScript. Reads commands from standard input
 * and answers each with one line, so that the two can take turns in one run:
 *
 *	prepare PAGES           a child maps and touches that many pages and binds itself; a notifier and a mirror cover them
 *	snapshot PAGES CALLS    HMM_MIRROR_RANGE_FAULT without requests     -> nanoseconds for all calls
 *	fault PAGES CALLS       the same, with HMM_PFN_REQ_FAULT for all pages, which are present
 *	read PAGES CALLS        HMM_MIRROR_READ into one buffer
 *	fresh PAGES CALLS       HMM_MIRROR_READ into a new buffer each time
 *	pagemap PAGES CALLS     pread of /proc/self/pagemap for that many pages of our own, in one piece
 *	cycles COUNT            open, bind, insert, fault and close, that often
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../kernel-module/uapi/hmm_mirror.h"

#define PAGE 4096ULL
#define BASE (1ULL << 40)

static const char *device_path = "/dev/hmm_mirror0";
static int device = -1;
static uint32_t notifier;
static uint32_t mirror;
static pid_t child;
static uint64_t *pfns;
static unsigned char *buffer;

static void fail(const char *what)
{
	printf("error %s: %s\n", what, strerror(errno));
	exit(1);
}

static void *map(void *address, uint64_t length, int flags)
{
	void *mapped = mmap(address, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	if (mapped == MAP_FAILED)
		fail("mmap");
	return mapped;
}

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000ULL + (uint64_t)time.tv_nsec;
}

static void control(int fd, unsigned long request, void *argument, const char *name)
{
	if (ioctl(fd, request, argument))
		fail(name);
}

static void bind_self(int fd)
{
	struct hmm_mirror_bind argument = { 0 };

	control(fd, HMM_MIRROR_BIND, &argument, "bind");
}

static uint32_t insert(int fd, uint64_t length, uint32_t flags)
{
	struct hmm_mirror_notifier_insert argument = {
		.start = BASE,
		.length = length,
		.flags = flags,
		.device = flags ? 0 : HMM_MIRROR_NO_DEVICE,
	};

	control(fd, HMM_MIRROR_NOTIFIER_INSERT, &argument, "insert");
	return argument.id;
}

static uint64_t begin(int fd, uint32_t id)
{
	struct hmm_mirror_sequence argument = { .id = id };

	control(fd, HMM_MIRROR_READ_BEGIN, &argument, "read_begin");
	return argument.sequence;
}

static void prepare(uint64_t pages)
{
	uint64_t length = pages * PAGE;
	int ready[2];
	char byte;

	device = open(device_path, O_RDWR | O_CLOEXEC);
	if (device < 0)
		fail("open");
	if (pipe(ready))
		fail("pipe");
	child = fork();
	if (child < 0)
		fail("fork");
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		memset(map((void *)BASE, length, MAP_FIXED), 1, length);
		bind_self(device);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		fail("the child");
	close(ready[0]);
	notifier = insert(device, length, 0);
	mirror = insert(device, length, HMM_MIRROR_NOTIFIER_PAGE_TABLE);
	pfns = map(NULL, pages * sizeof(*pfns), MAP_POPULATE);
	buffer = map(NULL, length, MAP_POPULATE);
}

static void range_fault(uint64_t pages, uint64_t requests, uint64_t sequence)
{
	struct hmm_mirror_range_fault argument = {
		.id = notifier,
		/* A walk that may fault may also wait: the flag is for those that may not. */
		.flags = requests ? 0 : HMM_MIRROR_NONBLOCK,
		.start = BASE,
		.end = BASE + pages * PAGE,
		.sequence = sequence,
		.default_flags = requests,
		.pfns = (uintptr_t)pfns,
		.owner_device = HMM_MIRROR_NO_DEVICE,
	};

	control(device, HMM_MIRROR_RANGE_FAULT, &argument, "range_fault");
}

static void device_read(uint64_t pages, unsigned char *into)
{
	struct hmm_mirror_access argument = {
		.id = mirror,
		.address = BASE,
		.length = pages * PAGE,
		.buffer = (uintptr_t)into,
	};

	control(device, HMM_MIRROR_READ, &argument, "read");
}

static void fresh_read(uint64_t pages)
{
	unsigned char *fresh = malloc(pages * PAGE);

	if (!fresh)
		fail("malloc");
	device_read(pages, fresh);
	free(fresh);
}

static void pagemap(uint64_t pages)
{
	static int fd = -1;
	static unsigned char *own;
	static uint64_t *entries;
	size_t size = pages * sizeof(*entries);

	if (fd < 0) {
		fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			fail("pagemap");
		own = map(NULL, pages * PAGE, 0);
		madvise(own, pages * PAGE, MADV_NOHUGEPAGE);
		memset(own, 1, pages * PAGE);
		entries = map(NULL, size, MAP_POPULATE);
	}
	if (pread(fd, entries, size, (off_t)((uintptr_t)own / PAGE * sizeof(*entries))) != (ssize_t)size)
		fail("pagemap");
}

static void cycle(void)
{
	int fd = open(device_path, O_RDWR | O_CLOEXEC);
	uint64_t entry = 0;
	struct hmm_mirror_range_fault argument = {
		.start = BASE,
		.end = BASE + PAGE,
		.default_flags = HMM_MIRROR_PFN_REQ_FAULT,
		.pfns = (uintptr_t)&entry,
		.owner_device = HMM_MIRROR_NO_DEVICE,
	};
	struct hmm_mirror_populate populate = { .start = BASE, .end = BASE + PAGE };

	if (fd < 0)
		fail("open");
	bind_self(fd);
	argument.id = insert(fd, PAGE, 0);
	argument.sequence = begin(fd, argument.id);
	control(fd, HMM_MIRROR_RANGE_FAULT, &argument, "range_fault");
	if (!(entry & HMM_MIRROR_PFN_VALID))
		fail("the fault gave no page");
	populate.id = insert(fd, PAGE, HMM_MIRROR_NOTIFIER_PAGE_TABLE | HMM_MIRROR_NOTIFIER_EVENTS);
	control(fd, HMM_MIRROR_POPULATE, &populate, "populate");
	close(fd);
	if (madvise((void *)BASE, PAGE, MADV_DONTNEED))
		fail("madvise");
}

int main(void)
{
	char command[32];
	uint64_t pages, calls, call, start, sequence;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while (scanf("%31s %lu", command, &pages) == 2) {
		if (!strcmp(command, "prepare")) {
			prepare(pages);
			printf("0\n");
			continue;
		}
		if (!strcmp(command, "cycles")) {
			map((void *)BASE, PAGE, MAP_FIXED);
			start = now();
			for (call = 0; call < pages; call++)
				cycle();
			printf("%lu\n", now() - start);
			continue;
		}
		if (scanf("%lu", &calls) != 1)
			break;
		sequence = device < 0 ? 0 : begin(device, notifier);
		start = now();
		for (call = 0; call < calls; call++) {
			if (!strcmp(command, "snapshot"))
				range_fault(pages, 0, sequence);
			else if (!strcmp(command, "fault"))
				range_fault(pages, HMM_MIRROR_PFN_REQ_FAULT, sequence);
			else if (!strcmp(command, "read"))
				device_read(pages, buffer);
			else if (!strcmp(command, "fresh"))
				fresh_read(pages);
			else if (!strcmp(command, "pagemap"))
				pagemap(pages);
			else
				fail(command);
		}
		printf("%lu\n", now() - start);
	}
	if (child > 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	return 0;
}
