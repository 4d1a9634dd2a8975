// SPDX-License-Identifier: MIT
/* Kernel modules: those without which nothing can be mounted, and the one that the command is about. */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* As the kernel knows it: the file's name, without its ending. */
static const char *module_name(const struct job *job)
{
	static char name[64];
	const char *slash = strrchr(job->module, '/');

	snprintf(name, sizeof(name), "%s", slash ? slash + 1 : job->module);
	name[strcspn(name, ".")] = '\0';
	return name;
}

/* One file name per line in /modules/order, dependencies first. No control port yet: errors go to the console. */
void load_boot_modules(void)
{
	char name[256], path[sizeof(name) + 16];
	FILE *order = fopen("/modules/order", "re");

	if (!order) {
		perror("node-hmm: /modules/order");
		return;
	}
	while (fgets(name, sizeof(name), order)) {
		int fd;

		name[strcspn(name, "\n")] = '\0';
		snprintf(path, sizeof(path), "/modules/%s", name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST))
			fprintf(stderr, "node-hmm: loading %s: %s\n", name, strerror(errno));
		if (fd >= 0)
			close(fd);
	}
	fclose(order);
}

int open_module(const struct job *job)
{
	int fd;

	if (!job->module)
		return -1;
	fd = open(job->module, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail("opening %s: %s", job->module, strerror(errno));
	return fd;
}

void load_module(int fd, const struct job *job)
{
	if (syscall(SYS_finit_module, fd, job->parameters, 0) != 0)
		fail("loading %s with parameters \"%s\": %s (the kernel log says more)", module_name(job),
		     job->parameters, strerror(errno));
	close(fd);
}

void unload_module(const struct job *job)
{
	/*
	 * Every process of the command has been reaped, but the last reference to an address space or an open file
	 * may be dropped from a work queue a moment later: up to two seconds of patience, then it is a leak.
	 */
	const struct timespec pause = { .tv_nsec = 5000000 };

	for (int tries = 0; tries < 400; tries++) {
		if (syscall(SYS_delete_module, module_name(job), O_NONBLOCK) == 0) {
			control_say("unloaded");
			return;
		}
		if (errno != EAGAIN && errno != EBUSY)
			break;
		nanosleep(&pause, NULL);
	}
	/* A command may have removed it itself, which is no leak. */
	if (errno == ENOENT)
		control_say("unloaded");
	else
		control_say("loaded %s", strerror(errno));
}
