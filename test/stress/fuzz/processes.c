// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"

#define FILES 2
/* Notifiers of each file that are there from the start, under the ids 1, 2 and 3. */
#define NOTIFIERS 3
/* Ids beyond that are rarely had within a process's life. */
#define IDS 64

struct process {
	pthread_rwlock_t lock; /* written where pid and files are replaced */
	pid_t pid;
	int files[FILES];
};

static struct process processes[PROCESSES];

/* What most requests are about: mirrors by two devices, and somebody who only listens. */
static void insert_notifiers(int file, unsigned int first_device)
{
	unsigned int index;

	for (index = 0; index < NOTIFIERS; index++) {
		struct hmm_mirror_notifier_insert insert = {
			.start = ARENA,
			.length = ARENA_PAGES * PAGE,
			.flags = HMM_MIRROR_NOTIFIER_EVENTS | (index < 2 ? HMM_MIRROR_NOTIFIER_PAGE_TABLE : 0),
			.device = index < 2 ? first_device + index : HMM_MIRROR_NO_DEVICE,
			.timeout_ms = index < 2 ? 5 : 0,
		};

		/* A kernel without coherent devices has only the first two. */
		if (ioctl(file, HMM_MIRROR_NOTIFIER_INSERT, &insert) && errno == ENODEV) {
			insert.device = index;
			ioctl(file, HMM_MIRROR_NOTIFIER_INSERT, &insert);
		}
		if (!insert.id)
			fail("insert");
	}
}

static int open_file(unsigned int device)
{
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "/dev/hmm_mirror%u", device);
	fd = open(name, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	/* No coherent device here. */
	if (fd < 0 && errno == ENOENT)
		fd = open("/dev/hmm_mirror1", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		fail(name);
	return fd;
}

static void start(struct process *process, uint64_t stream)
{
	unsigned int index;
	int ready[2];
	char byte;

	for (index = 0; index < FILES; index++)
		process->files[index] = open_file(index * 2);
	if (pipe(ready))
		fail("pipe");
	fflush(NULL);
	process->pid = fork();
	if (process->pid < 0)
		fail("fork");
	if (process->pid == 0) {
		close(ready[0]);
		mirrored_process(process->files, FILES, stream, ready[1]);
	}
	close(ready[1]);
	/* The end of the file: it has bound itself, or has died. */
	if (read(ready[0], &byte, 1) != 0)
		fail("the mirrored process");
	close(ready[0]);
	for (index = 0; index < FILES; index++)
		insert_notifiers(process->files[index], index * 2);
}

static void end(struct process *process)
{
	unsigned int index;

	kill(process->pid, SIGKILL);
	for (index = 0; index < FILES; index++)
		close(process->files[index]);
	waitpid(process->pid, NULL, 0);
}

void processes_init(void)
{
	unsigned int index;

	for (index = 0; index < PROCESSES; index++)
		pthread_rwlock_init(&processes[index].lock, NULL);
}

void processes_start(struct random *random)
{
	unsigned int index;

	for (index = 0; index < PROCESSES; index++)
		start(&processes[index], random_next(random));
}

void processes_kill(void)
{
	unsigned int index;

	for (index = 0; index < PROCESSES; index++)
		kill(processes[index].pid, SIGKILL);
}

void processes_end(void)
{
	unsigned int index;

	for (index = 0; index < PROCESSES; index++)
		end(&processes[index]);
}

void processes_replace(struct random *random)
{
	struct process *process = &processes[random_below(random, PROCESSES)];
	struct process next = { 0 }, last = { 0 };

	start(&next, random_next(random));
	pthread_rwlock_wrlock(&process->lock);
	last.pid = process->pid;
	memcpy(last.files, process->files, sizeof(last.files));
	process->pid = next.pid;
	memcpy(process->files, next.files, sizeof(next.files));
	pthread_rwlock_unlock(&process->lock);
	/* With requests on its files under way, and without keeping those on the new ones waiting. */
	end(&last);
}

void processes_unlock_all(void)
{
	struct hmm_mirror_notifier_id id = { 0 };
	unsigned int process, file;

	for (process = 0; process < PROCESSES; process++)
		for (file = 0; file < FILES; file++)
			for (id.id = 1; id.id < IDS; id.id++)
				ioctl(processes[process].files[file], HMM_MIRROR_UNLOCK, &id);
}

int processes_file(struct random *random)
{
	struct process *process = &processes[random_below(random, PROCESSES)];
	int fd;

	pthread_rwlock_rdlock(&process->lock);
	fd = dup(process->files[random_below(random, FILES)]);
	pthread_rwlock_unlock(&process->lock);
	if (fd < 0)
		fail("dup");
	return fd;
}
