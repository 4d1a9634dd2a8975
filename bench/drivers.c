/* SPDX-License-Identifier: MIT */
/*
 * The same work by this project's module and by the kernel's test_hmm, to compare what they cost. Started as
 * "drivers ours DEVICE" or "drivers test_hmm DEVICE"; then, as ioctls.c, reads commands from standard input and answers each
 * with one line, nanoseconds for all CALLS of what is named:
 *
 *	snapshot PAGES CALLS     what the process's page table has
 *	walk PAGES CALLS         the same without where each page is: a sequence, and one walk
 *	read PAGES CALLS         the device reads pages that it has translations for
 *	write PAGES CALLS        the same, for writing
 *	cold PAGES CALLS         the device reads pages that it has none for: they were unmapped and are there again
 *	to_device PAGES CALLS    migration to the device, and the device reads them there (test_hmm does both in one)
 *	to_system PAGES CALLS    migration back
 *	cpu_fault PAGES CALLS    the CPU touches pages that are on the device
 *	open PAGES CALLS         open, and what it takes until the whole address space is mirrored
 *	close PAGES CALLS        close, of a mirror that has translations for PAGES pages
 *
 * The memory is this program's own: test_hmm mirrors nobody else's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../kernel-module/uapi/hmm_dmirror.h"
#include "../kernel-module/uapi/hmm_mirror.h"

#define PAGE 4096UL
#define MOST 65536UL
#define BASE (1UL << 40)

static const char *path;
static bool ours;
static uint32_t device;
static int fd = -1;
static uint32_t mirror;
static unsigned char *buffer;
static uint64_t *pfns;

static void fail(const char *what)
{
	printf("error %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000UL + (uint64_t)time.tv_nsec;
}

static void control(unsigned long request, void *argument, const char *name)
{
	if (ioctl(fd, request, argument))
		fail(name);
}

static void open_mirror(void)
{
	struct hmm_mirror_bind bind = { 0 };
	struct hmm_mirror_notifier_insert insert = {
		.start = 0,
		.length = 0x7ffffffff000,
		.flags = HMM_MIRROR_NOTIFIER_PAGE_TABLE,
		.device = device,
	};

	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		fail(path);
	if (!ours)
		return;
	control(HMM_MIRROR_BIND, &bind, "bind");
	control(HMM_MIRROR_NOTIFIER_INSERT, &insert, "insert");
	mirror = insert.id;
}

static void close_mirror(void)
{
	close(fd);
	fd = -1;
}

static void dmirror(unsigned long request, uint64_t pages, const char *name)
{
	struct hmm_dmirror_cmd command = { .addr = BASE, .ptr = (uintptr_t)buffer, .npages = pages };

	control(request, &command, name);
}

static void access_by_device(unsigned long request, uint64_t pages, const char *name)
{
	struct hmm_mirror_access access = {
		.id = mirror, .address = BASE, .length = pages * PAGE, .buffer = (uintptr_t)buffer,
	};

	control(request, &access, name);
}

static void migrate(unsigned long request, uint64_t pages, const char *name)
{
	struct hmm_mirror_pages migrate = { .id = mirror, .start = BASE, .end = BASE + pages * PAGE };

	control(request, &migrate, name);
	if (migrate.pages != pages) {
		errno = EBUSY;
		fail(name);
	}
}

/* hmm_range_fault() and no more. */
static void walk(uint64_t pages)
{
	struct hmm_mirror_sequence begin = { .id = mirror };
	struct hmm_mirror_range_fault fault = {
		.id = mirror,
		.flags = HMM_MIRROR_NONBLOCK,
		.start = BASE,
		.end = BASE + pages * PAGE,
		.pfns = (uintptr_t)pfns,
		.owner_device = device,
	};

	if (!ours) {
		dmirror(HMM_DMIRROR_SNAPSHOT, pages, "snapshot");
		return;
	}
	control(HMM_MIRROR_READ_BEGIN, &begin, "read_begin");
	fault.sequence = begin.sequence;
	control(HMM_MIRROR_RANGE_FAULT, &fault, "range_fault");
}

static void snapshot(uint64_t pages)
{
	struct hmm_mirror_query query = {
		.id = mirror,
		.start = BASE,
		.end = BASE + pages * PAGE,
		.pfns = (uintptr_t)pfns,
		.locations = (uintptr_t)buffer,
	};

	if (ours)
		control(HMM_MIRROR_QUERY, &query, "query");
	else
		dmirror(HMM_DMIRROR_SNAPSHOT, pages, "snapshot");
}

static void read_pages(uint64_t pages)
{
	if (ours)
		access_by_device(HMM_MIRROR_READ, pages, "read");
	else
		dmirror(HMM_DMIRROR_READ, pages, "read");
}

static void write_pages(uint64_t pages)
{
	if (ours)
		access_by_device(HMM_MIRROR_WRITE, pages, "write");
	else
		dmirror(HMM_DMIRROR_WRITE, pages, "write");
}

static void to_device(uint64_t pages)
{
	if (!ours) {
		dmirror(HMM_DMIRROR_MIGRATE_TO_DEV, pages, "to the device");
		return;
	}
	migrate(HMM_MIRROR_MIGRATE_TO_DEVICE, pages, "to the device");
	read_pages(pages);
}

static void to_system(uint64_t pages)
{
	if (ours)
		migrate(HMM_MIRROR_MIGRATE_TO_SYSTEM, pages, "to the system");
	else
		dmirror(HMM_DMIRROR_MIGRATE_TO_SYS, pages, "to the system");
}

static void touch(uint64_t pages)
{
	uint64_t page;

	for (page = 0; page < pages; page++)
		*(volatile unsigned char *)(BASE + page * PAGE) = 1;
}

static uint64_t one_call(const char *command, uint64_t pages)
{
	uint64_t start;

	if (!strcmp(command, "to_system") || !strcmp(command, "cpu_fault"))
		to_device(pages);
	else if (!strcmp(command, "cold") && madvise((void *)BASE, pages * PAGE, MADV_DONTNEED))
		fail("madvise");
	else if (!strcmp(command, "open"))
		close_mirror();
	else if (!strcmp(command, "close"))
		read_pages(pages);
	if (!strcmp(command, "cold"))
		touch(pages);

	start = now();
	if (!strcmp(command, "snapshot"))
		snapshot(pages);
	else if (!strcmp(command, "walk"))
		walk(pages);
	else if (!strcmp(command, "read") || !strcmp(command, "cold"))
		read_pages(pages);
	else if (!strcmp(command, "write"))
		write_pages(pages);
	else if (!strcmp(command, "to_device"))
		to_device(pages);
	else if (!strcmp(command, "to_system"))
		to_system(pages);
	else if (!strcmp(command, "cpu_fault"))
		touch(pages);
	else if (!strcmp(command, "open"))
		open_mirror();
	else if (!strcmp(command, "close"))
		close_mirror();
	else
		fail(command);
	start = now() - start;

	if (!strcmp(command, "to_device"))
		to_system(pages);
	else if (!strcmp(command, "close"))
		open_mirror();
	return start;
}

/* test_hmm makes no nodes for its devices; where they are /proc/devices says. */
static void make_node(void)
{
	FILE *devices = fopen("/proc/devices", "re");
	char line[128], name[64];
	unsigned int major;

	if (!access(path, F_OK))
		return;
	if (!devices)
		fail("/proc/devices");
	while (fgets(line, sizeof(line), devices))
		if (sscanf(line, "%u %63s", &major, name) == 2 && !strcmp(name, "HMM_DMIRROR") &&
		    mknod(path, S_IFCHR | 0600, makedev(major, device)))
			fail(path);
	fclose(devices);
}

int main(int argc, char **argv)
{
	uint64_t pages, calls, call, sum;
	char command[32];

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 3)
		return 2;
	ours = !strcmp(argv[1], "ours");
	path = argv[2];
	device = strtoul(path + strcspn(path, "0123456789"), NULL, 10);
	if (!ours)
		make_node();
	if (mmap((void *)BASE, MOST * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
	    MAP_FAILED)
		fail("mmap");
	buffer = mmap(NULL, MOST * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	pfns = mmap(NULL, MOST * sizeof(*pfns), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (buffer == MAP_FAILED || pfns == MAP_FAILED)
		fail("mmap");
	open_mirror();
	touch(MOST);

	while (scanf("%31s %lu %lu", command, &pages, &calls) == 3) {
		if (!strcmp(command, "read"))
			read_pages(pages);
		if (!strcmp(command, "write"))
			write_pages(pages);
		sum = 0;
		for (call = 0; call < calls; call++)
			sum += one_call(command, pages);
		printf("%lu\n", sum);
	}
	return 0;
}
