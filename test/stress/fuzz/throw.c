// SPDX-License-Identifier: MIT
/* The threads that make requests, while the processes that these are about live their lives, and die. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

/* A request waits for bounded things only; far beyond the sum of them on a slow machine. */
#define HANG_SECONDS 120

/* What is to be undone: of a notifier, by a file of its own. -1: nothing. */
struct held {
	int file;
	uint32_t id;
};

/* What a thread remembers from one request to the next. */
struct thrower {
	struct random random;
	union request_memory good[MIRROR_REQUESTS]; /* arguments that have succeeded, */
	bool has_good[MIRROR_REQUESTS];             /* if there were any */
	struct held lock;   /* the update lock that it has got and not given back, */
	struct held insert; /* and the notifier that it has inserted and not removed */
};

static volatile bool stopping;
static pthread_t threads[THREADS], answerer;
static struct random answerer_random;
static struct thrower throwers[THREADS];
static const char *volatile busy[THREADS];
static struct request_buffers buffers;

static unsigned int index_of(const struct thrower *thrower)
{
	return (unsigned int)(thrower - throwers);
}

static int issue(struct thrower *thrower, int fd, unsigned int kind, union request_memory *memory)
{
	int error;

	busy[index_of(thrower)] = mirror_requests[kind].name;
	error = mirror_request_issue(fd, kind, memory);
	busy[index_of(thrower)] = NULL;
	return error;
}

/*
 * Takes what events there are, and answers nearly all of them: an invalidation that is not answered keeps the process
 * waiting, and with it all requests.
 */
static void answer_events(struct random *random, int fd)
{
	struct hmm_mirror_event events[32];
	unsigned int index;
	ssize_t size;

	/* Into memory that is not there: nothing may be lost by that. */
	if (random_chance(random, 5) && read(fd, buffers.unmapped, sizeof(events)) >= 0)
		fail("events were read into memory that is not there");
	size = read(fd, events, sizeof(events));
	for (index = 0; size > 0 && index < (size_t)size / sizeof(events[0]); index++) {
		union request_memory memory = { 0 };

		if (!events[index].ticket || random_chance(random, 3))
			continue;
		((struct hmm_mirror_ack *)memory.bytes)->ticket = events[index].ticket;
		mirror_request_issue(fd, ACK, &memory);
	}
}

/* A thread that does nothing else, so that answers come in time. */
static void *answer(void *argument)
{
	struct random *random = argument;
	struct pollfd poll_file = { .events = POLLIN };

	while (!stopping) {
		poll_file.fd = processes_file(random);
		if (poll(&poll_file, 1, 2) > 0)
			answer_events(random, poll_file.fd);
		close(poll_file.fd);
	}
	return NULL;
}

static void undo(struct thrower *thrower, struct held *held, unsigned int kind)
{
	union request_memory memory = { 0 };

	if (held->file < 0)
		return;
	((struct hmm_mirror_notifier_id *)memory.bytes)->id = held->id;
	issue(thrower, held->file, kind, &memory);
	close(held->file);
	held->file = -1;
}

/* A lock that is held keeps everybody else waiting, so it is held by one thread of the three, and not for long. */
static unsigned int pick_kind(struct thrower *thrower)
{
	/* BIND would expose this program: it is the mirrored processes that make it. */
	static const unsigned int never = BIND;
	unsigned int kind;

	do
		kind = random_below(&thrower->random, MIRROR_REQUESTS);
	while (kind == never);
	if (kind == LOCK && (index_of(thrower) || thrower->lock.file >= 0 || random_chance(&thrower->random, 50)))
		kind = READ_BEGIN;
	return kind;
}

static void make_argument(struct thrower *thrower, int fd, unsigned int kind, union request_memory *memory)
{
	struct random *random = &thrower->random;

	/* What was sound a moment ago, and on another file perhaps, is sound more often than what is made up. */
	if (thrower->has_good[kind] && random_chance(random, 30)) {
		*memory = thrower->good[kind];
		if (random_chance(random, 30))
			return;
		mirror_request_break(random, kind, memory);
	} else {
		mirror_request_make(random, fd, kind, &buffers, memory);
	}
	while (random_chance(random, 15))
		mirror_request_break(random, kind, memory);
}

static void throw_one(struct thrower *thrower)
{
	union request_memory memory, made;
	unsigned int kind = pick_kind(thrower);
	int fd = processes_file(&thrower->random), error;

	make_argument(thrower, fd, kind, &memory);
	made = memory;
	error = issue(thrower, fd, kind, &memory);
	if (!error) {
		/* As it was: the outputs are in there, too. */
		thrower->good[kind] = made;
		thrower->has_good[kind] = true;
	}
	if (!error && kind == LOCK) {
		thrower->lock = (struct held){ fd, ((struct hmm_mirror_notifier_id *)made.bytes)->id };
	} else if (!error && kind == INSERT) {
		/* The one before it: what is inserted and stays slows down all that follows. */
		undo(thrower, &thrower->insert, REMOVE);
		thrower->insert = (struct held){ fd, ((struct hmm_mirror_notifier_insert *)memory.bytes)->id };
	} else {
		close(fd);
	}
}

static void *run(void *argument)
{
	struct thrower *thrower = argument;

	while (!stopping) {
		throw_one(thrower);
		if (random_chance(&thrower->random, 50))
			undo(thrower, &thrower->lock, UNLOCK);
		if (random_chance(&thrower->random, 10))
			undo(thrower, &thrower->insert, REMOVE);
	}
	undo(thrower, &thrower->lock, UNLOCK);
	undo(thrower, &thrower->insert, REMOVE);
	return NULL;
}

void throw_start(uint64_t stream)
{
	unsigned int index;

	if (!buffers.good)
		request_buffers_make(&buffers);
	stopping = false;
	for (index = 0; index < THREADS; index++) {
		memset(&throwers[index], 0, sizeof(throwers[index]));
		random_seed(&throwers[index].random, fuzz_seed, stream * THREADS + index);
		throwers[index].lock.file = -1;
		throwers[index].insert.file = -1;
		if (pthread_create(&threads[index], NULL, run, &throwers[index]))
			fail("pthread_create");
	}
	random_seed(&answerer_random, fuzz_seed, 2000000 + stream);
	if (pthread_create(&answerer, NULL, answer, &answerer_random))
		fail("pthread_create");
}

const char *throw_end(void)
{
	double until = now() + HANG_SECONDS;
	struct timespec soon;
	unsigned int index;
	int error;

	stopping = true;
	for (index = 0; index < THREADS; index++) {
		do {
			/* Locks that were taken under a wrong id, or an id that was not remembered. */
			processes_unlock_all();
			clock_gettime(CLOCK_REALTIME, &soon);
			soon.tv_sec += 1;
			error = pthread_timedjoin_np(threads[index], NULL, &soon);
		} while (error == ETIMEDOUT && now() < until);
		if (error)
			return busy[index] ? busy[index] : "a thread";
	}
	pthread_join(answerer, NULL);
	return NULL;
}
