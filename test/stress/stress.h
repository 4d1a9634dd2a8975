/* SPDX-License-Identifier: MIT */
/* What the programs that strain the module share: random numbers, the arena, the requests of both of its ABIs. */
#ifndef STRESS_H
#define STRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../kernel-module/uapi/hmm_dmirror.h"
#include "../../kernel-module/uapi/hmm_mirror.h"

#define PAGE 4096ULL
/* Where the mirrored processes map and unmap, and what nearly all requests are about. */
#define ARENA (1ULL << 40)
#define ARENA_PAGES 8192ULL
#define HUGE_PAGES (2ULL << 20)

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

/* Makes the request. 0 or an errno. */
int request_issue(int fd, const struct request_kind *kind, struct request_count *count, union request_memory *memory);

/* Memory that requests read and write. */
struct request_buffers {
	void *good;      /* REQUEST_BUFFER bytes */
	void *read_only; /* a few pages */
	void *unmapped;  /* the same */
};
#define REQUEST_BUFFER (4UL << 20)
void request_buffers_make(struct request_buffers *buffers);

/* Fills in an argument that makes sense more often than not, if need be by asking the file, and sometimes breaks it. */
void mirror_request_make(struct random *random, int fd, unsigned int kind, const struct request_buffers *buffers,
			 union request_memory *memory);
void dmirror_request_make(struct random *random, const struct request_buffers *buffers, union request_memory *memory);

/*
 * The mirrored process: binds itself to each file, closes `ready`, and then maps, writes, protects, unmaps and forks until it
 * is killed.
 */
void mirrored_process(const int *contexts, unsigned int count, uint64_t seed, int ready);

#endif /* STRESS_H */
