// SPDX-License-Identifier: MIT
/*
 * A thread invalidates one page again and again, and each time waits for its answer. Another removes a notifier: what it
 * waits for must be over some time, though there is always an invalidation that waits.
 *
 * All three threads are on one processor, the invalidating one before the answering one, both before the removing one.
 * So whenever an answer has been given, the next invalidation waits before the remover looks; and the remover looks
 * when the other two sleep.
 */
#include "queue.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The longest that an invalidation can be made to wait: it must not give up by itself. */
#define SYNC_TIMEOUT_MS 60000

/* The wait for the answer at entry is one, the kernel's own for the invalidation that then runs another; and some more. */
#define ROUNDS 8
#define ROUND_MS 1000

static int fd;
static uint32_t removed;
static atomic_bool stop;
static atomic_int remover_thread; /* 0 until it runs */
static sem_t begin, done;

static void prefer(int priority)
{
	struct sched_param parameter = { .sched_priority = priority };

	if (sched_setscheduler(0, priority ? SCHED_FIFO : SCHED_OTHER, &parameter))
		give_up("priority");
}

static void *invalidator(void *argument)
{
	(void)argument;
	prefer(2);
	while (!atomic_load(&stop))
		invalidate(ARENA);
	return NULL;
}

static void *remover(void *argument)
{
	struct hmm_mirror_notifier_id notifier = { .id = removed };

	(void)argument;
	atomic_store(&remover_thread, (int)syscall(SYS_gettid));
	sem_wait(&begin);
	if (ioctl(fd, HMM_MIRROR_NOTIFIER_REMOVE, &notifier))
		give_up("remove");
	sem_post(&done);
	return NULL;
}

static void nap(void)
{
	const struct timespec millisecond = { .tv_nsec = 1000000 };

	nanosleep(&millisecond, NULL);
}

/* Sleeps where a signal that does not kill does not wake it: "D". */
static bool remover_sleeps(void)
{
	char path[64], line[256], *state;
	int thread = atomic_load(&remover_thread);
	FILE *file;

	if (!thread)
		return false;
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", thread);
	file = fopen(path, "re");
	if (!file || !fgets(line, sizeof(line), file))
		give_up(path);
	fclose(file);
	state = strrchr(line, ')');
	return state && state[2] == 'D';
}

/* The ticket of the next invalidation that waits. */
static uint64_t next_ticket(void)
{
	struct hmm_mirror_event event;

	await_readable(fd, "an invalidation that waits");
	if (read(fd, &event, sizeof(event)) != sizeof(event))
		give_up("read");
	return event.ticket;
}

static void answer(uint64_t ticket)
{
	struct hmm_mirror_ack ack = { .ticket = ticket };

	if (ioctl(fd, HMM_MIRROR_ACK, &ack))
		give_up("ack");
}

static bool removed_within(long ms)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	return !sem_timedwait(&done, &until);
}

bool check_remove(void)
{
	pthread_t invalidates, removes;
	uint64_t ticket;
	bool over = false;
	cpu_set_t one;
	int round, waited;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		give_up("affinity");
	sem_init(&begin, 0, 0);
	sem_init(&done, 0, 0);
	fd = context_open();
	notifier_insert(fd, ARENA, HMM_MIRROR_NOTIFIER_SYNC, SYNC_TIMEOUT_MS);
	removed = notifier_insert(fd, ARENA + PAGE, 0, 0);

	errno = pthread_create(&removes, NULL, remover, NULL);
	if (!errno)
		errno = pthread_create(&invalidates, NULL, invalidator, NULL);
	if (errno)
		give_up("threads");
	ticket = next_ticket();
	sem_post(&begin);
	for (waited = 0; waited < PATIENCE && !remover_sleeps(); waited++)
		nap();
	if (waited == PATIENCE) {
		fprintf(stderr, "the removal does not wait for the invalidation that is under way\n");
		exit(2);
	}

	prefer(1);
	for (round = 1; round <= ROUNDS && !over; round++) {
		answer(ticket);
		ticket = next_ticket();
		over = removed_within(ROUND_MS);
	}
	/* An invalidation waits still, and nobody has answered it. */
	printf("%s after %d answers\n", over ? "removed" : "not removed", round - 1);

	atomic_store(&stop, true);
	answer(ticket);
	pthread_join(invalidates, NULL);
	pthread_join(removes, NULL);
	close(fd);
	return over;
}
