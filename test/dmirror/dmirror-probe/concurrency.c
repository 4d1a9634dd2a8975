/* SPDX-License-Identifier: MIT */
/* Everything at once. */
#include "probe.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static bool ends;

static bool goes_on(void)
{
	return !__atomic_load_n(&ends, __ATOMIC_RELAXED);
}

static pthread_t start(void *(*body)(void *), void *argument)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, body, argument))
		fail("pthread_create");
	return thread;
}

static unsigned char *storm_memory;

static void *storm(void *argument)
{
	for (unsigned int round = 0; goes_on(); round++)
		if (madvise(storm_memory + round % 64 * PAGE, PAGE, MADV_DONTNEED))
			fail("madvise");
	return argument;
}

/* Reads while another thread drops pages: each page is whole, its bytes or zeros; writes arrive or were dropped. */
void case_storm(void)
{
	int fd = open_node();
	unsigned char *buffer = map(64, PROT_READ | PROT_WRITE, MAP_PRIVATE), *bytes = map_filled(64, 1);
	long torn = 0, errors = 0, short_counts = 0;
	pthread_t thread;

	storm_memory = map(64, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	thread = start(storm, NULL);
	for (int round = 0; round < 100; round++) {
		errors += command(fd, HMM_DMIRROR_WRITE, storm_memory, bytes, 64) != 0;
		short_counts += cmd.cpages != 64;
		errors += command(fd, HMM_DMIRROR_READ, storm_memory, buffer, 64) != 0;
		short_counts += cmd.cpages != 64;
		for (size_t page = 0; page < 64; page++) {
			unsigned char *bytes_of = buffer + page * PAGE;

			torn += (*bytes_of && *bytes_of != page + 1) || memcmp(bytes_of, bytes_of + 1, PAGE - 1) != 0;
		}
	}
	__atomic_store_n(&ends, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	tell("errors", errors);
	tell("short", short_counts);
	tell("torn", torn);
}

#define CHURN_PAGES 16
#define CHURN_ROUNDS 25

static unsigned char *churn_memory;

/* One thread: its command on all pages or the last ones, what it moved, how often it failed without a good reason. */
struct mover {
	unsigned long request;
	unsigned int stride;
	long pages;
	long unexpected;
};

static void *move(void *argument)
{
	unsigned char *buffer = map(CHURN_PAGES, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	struct mover *mover = argument;
	int fd = open_node(), error;

	for (unsigned int round = 0; goes_on(); round++) {
		size_t first = round * mover->stride % CHURN_PAGES;

		error = command(fd, mover->request, churn_memory + first * PAGE, buffer, CHURN_PAGES - first);
		mover->pages += (long)cmd.cpages;
		/* Has left again, was in use, or there is nothing that could be moved. */
		if (error && error != ENOENT && error != EBUSY && error != EOPNOTSUPP)
			mover->unexpected++;
		/* Each move is an invalidation: without a pause the device would never see all the pages at once. */
		usleep(1000);
	}
	close(fd);
	return NULL;
}

/*
 * The CPU counts in every page, while other threads send the pages back and forth and take them: no count is lost, and
 * the device reads the same ones.
 */
void case_churn(void)
{
	unsigned char *buffer = map(CHURN_PAGES, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	struct mover movers[] = {
		{ .request = HMM_DMIRROR_MIGRATE_TO_DEV, .stride = 5 },
		{ .request = HMM_DMIRROR_MIGRATE_TO_SYS, .stride = 7 },
		{ .request = HMM_DMIRROR_EXCLUSIVE, .stride = 11 },
		{ .request = HMM_DMIRROR_RELEASE, .stride = 1 },
	};
	const size_t count = sizeof(movers) / sizeof(movers[0]);
	long lost = 0, wrong = 0, errors = 0, unexpected = 0;
	pthread_t threads[sizeof(movers) / sizeof(movers[0])];
	int fd = open_node();

	churn_memory = map(CHURN_PAGES, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	for (size_t i = 0; i < count; i++)
		threads[i] = start(move, &movers[i]);
	for (uint64_t round = 0; round < CHURN_ROUNDS; round++) {
		for (size_t page = 0; page < CHURN_PAGES; page++) {
			volatile uint64_t *counter = (volatile uint64_t *)(churn_memory + page * PAGE + page * 8);

			lost += *counter != round;
			*counter = round + 1;
		}
		errors += command(fd, HMM_DMIRROR_READ, churn_memory, buffer, CHURN_PAGES) != 0;
		for (size_t page = 0; page < CHURN_PAGES; page++)
			wrong += *(uint64_t *)(buffer + page * PAGE + page * 8) != round + 1;
		/* Left alone for a moment, so that the others come to an end of what they do. */
		usleep(5000);
	}
	__atomic_store_n(&ends, true, __ATOMIC_RELAXED);
	for (size_t i = 0; i < count; i++) {
		pthread_join(threads[i], NULL);
		unexpected += movers[i].unexpected;
	}
	close(fd);
	tell("lost", lost);
	tell("wrong", wrong);
	tell("errors", errors);
	tell("unexpected", unexpected);
	tell("toDevice", movers[0].pages);
	tell("toSystem", movers[1].pages);
	tell("exclusive", movers[2].pages);
}
