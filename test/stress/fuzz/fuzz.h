/* SPDX-License-Identifier: MIT */
/* The fuzzer's parts: numbers, requests, who is mirrored, and who throws requests at that. */
#ifndef FUZZ_H
#define FUZZ_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../stress.h"

#define ARENA_PAGES 2048ULL

/* main.c */
extern uint64_t fuzz_seed;
/* Prints what, errno and how to get there again, and ends the program. */
void fail(const char *what) __attribute__((noreturn));
/* Seconds. */
double now(void);

/* random.c */

/* xorshift64*: one per thread, so that a seed gives each thread the same numbers again. */
struct random {
	uint64_t state;
};

uint64_t random_next(struct random *random);
/* 0 .. below - 1 */
uint64_t random_below(struct random *random, uint64_t below);
bool random_chance(struct random *random, unsigned int percent);
void random_seed(struct random *random, uint64_t seed, uint64_t stream);
/* Numbers at which code breaks. */
uint64_t random_interesting(struct random *random);
uint64_t random_address(struct random *random);
/*
 * 1 .. most: few, as a rule. Many at once take as long as a hundred requests for a few, and who holds the mmap_lock
 * meanwhile keeps all others waiting: one in a hundred.
 */
uint64_t random_pages(struct random *random, uint64_t most);

/* requests.c */

union request_memory {
	unsigned char bytes[512];
	uint32_t words[128];
	uint64_t longs[64];
};

struct request_kind {
	const char *name;
	unsigned long command;
	unsigned int size; /* bytes of its argument */
};

enum {
	INFO, BIND, INSERT, REMOVE, READ_BEGIN, READ_RETRY, RANGE_FAULT, POPULATE, READ, WRITE, QUERY, LOCK, UNLOCK,
	DEVICE_READ, DEVICE_WRITE, ACK, TO_DEVICE, TO_SYSTEM, EXCLUSIVE, ATOMIC, EVICT, MIRROR_REQUESTS,
};
#define DMIRROR_REQUESTS 8
extern const struct request_kind mirror_requests[MIRROR_REQUESTS];
extern const struct request_kind dmirror_requests[DMIRROR_REQUESTS];

/* How often each was made, and succeeded: in memory that all processes share, added to by __atomic builtins. */
struct request_count {
	unsigned long made;
	unsigned long succeeded;
};
struct counts {
	struct request_count mirror[MIRROR_REQUESTS];
	struct request_count dmirror[DMIRROR_REQUESTS];
};
extern struct counts *counts;

/* Makes the request, and counts it. 0 or an errno. */
int mirror_request_issue(int fd, unsigned int kind, union request_memory *memory);
int dmirror_request_issue(int fd, unsigned int kind, union request_memory *memory);

/* Memory that requests read and write. */
struct request_buffers {
	void *good;      /* REQUEST_BUFFER bytes */
	void *read_only; /* a few pages */
	void *unmapped;  /* the same */
};
#define REQUEST_BUFFER (4UL << 20)
void request_buffers_make(struct request_buffers *buffers);

/* Fills in an argument that makes sense, if need be by asking the file. */
void mirror_request_make(struct random *random, int fd, unsigned int kind, const struct request_buffers *buffers,
			 union request_memory *memory);
void dmirror_request_make(struct random *random, const struct request_buffers *buffers, union request_memory *memory);
/* Makes it wrong somewhere. */
void mirror_request_break(struct random *random, unsigned int kind, union request_memory *memory);
void dmirror_request_break(struct random *random, union request_memory *memory);

/* workload.c */

/*
 * The mirrored process: binds itself to each file, closes `ready`, and then maps, writes, protects, unmaps and forks
 * until it is killed.
 */
void mirrored_process(const int *contexts, unsigned int count, uint64_t stream, int ready) __attribute__((noreturn));

/*
 * processes.c: the mirrored processes, each with two files, one of a device with private memory, and one with coherent
 * if there is any.
 */

#define PROCESSES 2
void processes_init(void);
void processes_start(struct random *random);
/* Kills them, but leaves the files open. */
void processes_kill(void);
void processes_end(void);
/* One of them dies, and another takes its place. Not while processes_start() or processes_end() runs. */
void processes_replace(struct random *random);
/* Locks that nobody gives back would make everybody wait: here is who gives them back. */
void processes_unlock_all(void);
/* One of the files, as a file of the caller's own: who replaces the process need not wait for what is done with it. */
int processes_file(struct random *random);

/* throw.c */

#define THREADS 3
void throw_start(uint64_t stream);
/* Ends them. NULL, or the name of the request that hangs. */
const char *throw_end(void);

#endif /* FUZZ_H */
