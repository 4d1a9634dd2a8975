/* SPDX-License-Identifier: MIT */
/*
 * The kernel's own interval tree as a yardstick for the simulation's: its rbtree and the template of include/linux, compiled here
 * from its source. Reads commands from standard input, answers each with a line:
 *
 *	intervals COUNT     that many in place of those that there were   -> nanoseconds for all insertions
 *	queries COUNT       all that overlap one page, that often         -> nanoseconds for all
 *	hits                                                              -> how many those queries found
 *	removals            all intervals, in the order of insertion      -> nanoseconds for all
 *
 * Places are random, the same as in interval-tree.ts: a xorshift of 32 bits from the same seed.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <linux/kernel.h>
#include <linux/rbtree_augmented.h>
#include <linux/interval_tree_generic.h>

struct interval {
	struct rb_node node;
	uint64_t start, last, subtree_last;
};

#define START(interval) ((interval)->start)
#define LAST(interval) ((interval)->last)

INTERVAL_TREE_DEFINE(struct interval, node, uint64_t, subtree_last, START, LAST, static, interval)

#define PAGE 4096ULL

static struct rb_root_cached tree = RB_ROOT_CACHED;
static struct interval *intervals;
static uint64_t count, hits;

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000ULL + (uint64_t)time.tv_nsec;
}

static uint64_t insert_all(uint64_t wanted)
{
	uint32_t state = 1;
	uint64_t start;

	free(intervals);
	tree = RB_ROOT_CACHED;
	count = wanted;
	intervals = calloc(count, sizeof(*intervals));
	if (!intervals)
		exit(1);
	for (uint64_t i = 0; i < count; i++) {
		intervals[i].start = next_random(&state) % (8 * count) * PAGE;
		intervals[i].last = intervals[i].start + (1 + next_random(&state) % 31) * PAGE - 1;
	}
	start = now();
	for (uint64_t i = 0; i < count; i++)
		interval_insert(&intervals[i], &tree);
	return now() - start;
}

static uint64_t query(uint64_t times)
{
	uint32_t state = 2;
	uint64_t start = now();

	hits = 0;
	for (uint64_t i = 0; i < times; i++) {
		uint64_t at = next_random(&state) % (8 * count) * PAGE;
		struct interval *found = interval_iter_first(&tree, at, at + PAGE - 1);

		for (; found; found = interval_iter_next(found, at, at + PAGE - 1))
			hits++;
	}
	return now() - start;
}

static uint64_t remove_all(void)
{
	uint64_t start = now();

	for (uint64_t i = 0; i < count; i++)
		interval_remove(&intervals[i], &tree);
	return now() - start;
}

int main(void)
{
	char line[128];

	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		unsigned long long number = 0;

		if (sscanf(line, "intervals %llu", &number) == 1)
			printf("%llu\n", (unsigned long long)insert_all(number));
		else if (sscanf(line, "queries %llu", &number) == 1)
			printf("%llu\n", (unsigned long long)query(number));
		else if (strcmp(line, "hits\n") == 0)
			printf("%llu\n", (unsigned long long)hits);
		else if (strcmp(line, "removals\n") == 0)
			printf("%llu\n", (unsigned long long)remove_all());
		else
			printf("error: what is %s", line);
	}
	return 0;
}
