// SPDX-License-Identifier: MIT
/*
 * The second page of the reader's buffer is not there, and userfaultfd says when read() has come to it: so the read is
 * in the middle of its work for as long as it takes to make new records where it has made room.
 */
#include "queue.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RECORDS_PER_PAGE (PAGE / sizeof(struct hmm_mirror_event))

struct reading {
	int fd;
	void *buffer;
	size_t size;
	ssize_t got;
	int error;
};

static void *reader(void *argument)
{
	struct reading *reading = argument;

	reading->got = read(reading->fd, reading->buffer, reading->size);
	reading->error = errno;
	return NULL;
}

static uint64_t queue_capacity(int fd)
{
	struct hmm_mirror_info info;

	if (ioctl(fd, HMM_MIRROR_INFO, &info))
		give_up("info");
	return info.event_capacity;
}

/* Whose missing pages are whoever reads its faults to fill. */
static int watch_page(char *page)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register area = {
		.range = { .start = (uintptr_t)page, .len = PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int watcher = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	if (watcher < 0 || ioctl(watcher, UFFDIO_API, &api) || ioctl(watcher, UFFDIO_REGISTER, &area))
		give_up("userfaultfd");
	return watcher;
}

bool check_read(void)
{
	int fd = context_open();
	uint64_t record, capacity = queue_capacity(fd), all = capacity + RECORDS_PER_PAGE;
	struct reading first = { .fd = fd, .size = all * sizeof(struct hmm_mirror_event) };
	struct reading second = { .fd = fd, .size = first.size };
	struct uffdio_zeropage fill = { 0 };
	struct uffd_msg fault;
	pthread_t thread;
	int watcher;

	first.buffer = mmap(NULL, first.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	second.buffer = malloc(second.size);
	if (first.buffer == MAP_FAILED || !second.buffer)
		give_up("buffers");
	watcher = watch_page((char *)first.buffer + PAGE);

	notifier_insert(fd, ARENA, HMM_MIRROR_NOTIFIER_EVENTS, 0);
	for (record = 0; record < capacity; record++)
		invalidate(ARENA);
	errno = pthread_create(&thread, NULL, reader, &first);
	if (errno)
		give_up("thread");

	await_readable(watcher, "the reader's fault");
	if (read(watcher, &fault, sizeof(fault)) != sizeof(fault) || fault.event != UFFD_EVENT_PAGEFAULT)
		give_up("fault");
	/* The first page of records has left the queue, so there is room for as many. */
	for (record = 0; record < RECORDS_PER_PAGE; record++)
		invalidate(ARENA);
	fill.range.start = (uintptr_t)first.buffer + PAGE;
	fill.range.len = PAGE;
	if (ioctl(watcher, UFFDIO_ZEROPAGE, &fill))
		give_up("fill");

	pthread_join(thread, NULL);
	/* Not before the first is done, or there would be two readers. */
	if (fcntl(fd, F_SETFL, O_NONBLOCK))
		give_up("nonblocking");
	reader(&second);
	close(watcher);
	close(fd);
	printf("capacity %lu: the first read gave %zd bytes, the second %zd\n", capacity, first.got, second.got);
	return first.got == (ssize_t)(capacity * sizeof(struct hmm_mirror_event)) && second.got == (ssize_t)PAGE;
}
