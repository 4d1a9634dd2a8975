// SPDX-License-Identifier: MIT
/* Asks a kernel that can tell for the memory that nobody refers to any more. */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/*
 * The detector reports an object in its second scan at the earliest (in the first, its checksum is new), and only when
 * it has been there for five seconds by then (MSECS_MIN_AGE in mm/kmemleak.c): the last one that the command or the
 * module left behind must be that old when the second scan starts.
 */
#define MIN_AGE_S 5

static void scan(int fd)
{
	static const char command[] = "scan";

	/* EPERM: it has turned itself off, out of memory for its own records. That must not pass for "no leak". */
	if (write(fd, command, strlen(command)) < 0)
		fail("scanning for leaked memory: %s (the kernel log says more)", strerror(errno));
}

/* Onto the console, where the host looks for splats; each of the detector's reports is one. */
static void print_report(int from)
{
	int console = open("/dev/console", O_WRONLY | O_NOCTTY | O_CLOEXEC);
	char buffer[4096];
	ssize_t n;

	if (console < 0)
		fail("/dev/console: %s", strerror(errno));
	while ((n = read(from, buffer, sizeof(buffer))) > 0) {
		for (ssize_t sent = 0, written; sent < n; sent += written) {
			written = write(console, buffer + sent, (size_t)(n - sent));
			if (written < 0)
				fail("writing to the console: %s", strerror(errno));
		}
	}
	if (n < 0)
		fail("reading the report on leaked memory: %s", strerror(errno));
	close(console);
}

void report_leaks(void)
{
	struct timespec due, now;
	int fd = open("/sys/kernel/debug/kmemleak", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		if (errno != ENOENT)
			fail("/sys/kernel/debug/kmemleak: %s", strerror(errno));
		return; /* a kernel without the detector */
	}
	clock_gettime(CLOCK_MONOTONIC, &due);
	/* A second more than needed, for what still waits in a work queue or for a grace period. */
	due.tv_sec += MIN_AGE_S + 1;
	scan(fd);
	/* The first scan may well take that long. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec <= due.tv_sec)
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
	scan(fd);
	print_report(fd);
	close(fd);
}
