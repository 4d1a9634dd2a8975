// SPDX-License-Identifier: MIT
/*
 * A snapshot is of one moment, though its walk takes longer than a page does to go. One thread puts pages there, from the last to the
 * first, and drops them all at once; another looks, from the first to the last, as a walk does. So whoever has seen a page sees all
 * that follow it, unless they were dropped meanwhile: and then the walk has to begin again.
 *
 * Exit status 0 if every snapshot was of one moment, 1 if one was not, 2 if that could not be found out.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../stress.h"

#define PAGES 512ULL
/* Walks that had to begin again: that many races were met. */
#define ENOUGH 50
/* Seconds: far longer than a machine that is translated and busy takes to meet them. */
#define DEADLINE 45

static int device;
static uint32_t mirror;
static volatile bool over;
static uint64_t pfns[PAGES];
static uint8_t locations[PAGES];

_Noreturn static void give_up(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(2);
}

static void control(unsigned long request, void *argument, const char *what)
{
	if (ioctl(device, request, argument))
		give_up(what);
}

static void *come_and_go(void *unused)
{
	uint64_t page;

	while (!over) {
		for (page = PAGES; page > 0; page--)
			*(volatile uint8_t *)(ARENA + (page - 1) * PAGE) = 1;
		if (madvise((void *)ARENA, PAGES * PAGE, MADV_DONTNEED))
			give_up("madvise");
	}
	return unused;
}

static void *remove_mirror(void *unused)
{
	struct hmm_mirror_notifier_id remove = { .id = mirror };

	control(HMM_MIRROR_NOTIFIER_REMOVE, &remove, "remove");
	return unused;
}

static int look(struct hmm_mirror_query *query)
{
	memset(pfns, 0, sizeof(pfns));
	memset(locations, 0xff, sizeof(locations));
	*query = (struct hmm_mirror_query){
		.id = mirror,
		.start = ARENA,
		.end = ARENA + PAGES * PAGE,
		.pfns = (uintptr_t)pfns,
		.locations = (uintptr_t)locations,
	};
	return ioctl(device, HMM_MIRROR_QUERY, query) ? errno : 0;
}

/* Where the pages begin; ends the program with 1 where one is missing behind that. */
static uint64_t first_page(void)
{
	uint64_t first = PAGES, page;
	bool there;

	for (page = 0; page < PAGES; page++) {
		there = pfns[page] & HMM_MIRROR_PFN_VALID;
		if (there && first == PAGES)
			first = page;
		if (there != (page >= first) || there != (locations[page] != HMM_MIRROR_LOCATION_NONE)) {
			printf("page %lu of a snapshot of one moment is from another: first %lu, entry %lx, location %u\n",
			       page, first, pfns[page], locations[page]);
			exit(1);
		}
	}
	return first;
}

static pthread_t start(void *(*routine)(void *))
{
	pthread_t thread;

	errno = pthread_create(&thread, NULL, routine, NULL);
	if (errno)
		give_up("thread");
	return thread;
}

int main(void)
{
	struct hmm_mirror_notifier_insert insert = {
		.start = ARENA, .length = PAGES * PAGE, .flags = HMM_MIRROR_NOTIFIER_PAGE_TABLE,
	};
	struct hmm_mirror_bind bind = { 0 };
	struct hmm_mirror_query query;
	uint64_t retries = 0, parts = 0, first;
	time_t deadline = time(NULL) + DEADLINE;
	pthread_t mutator, remover;
	int error;

	if (mmap((void *)ARENA, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
	    MAP_FAILED)
		give_up("mmap");
	device = open("/dev/hmm_mirror0", O_RDWR | O_CLOEXEC);
	if (device < 0)
		give_up("/dev/hmm_mirror0");
	control(HMM_MIRROR_BIND, &bind, "bind");
	control(HMM_MIRROR_NOTIFIER_INSERT, &insert, "insert");
	mirror = insert.id;
	mutator = start(come_and_go);
	while (retries < ENOUGH || parts < ENOUGH) {
		errno = look(&query);
		if (errno)
			give_up("query");
		retries += query.retries;
		first = first_page();
		parts += first > 0 && first < PAGES;
		if (time(NULL) > deadline) {
			fprintf(stderr, "only %lu retries, %lu snapshots of a part\n", retries, parts);
			exit(2);
		}
	}
	/* And while its mirror goes away: of one moment, or not at all. */
	remover = start(remove_mirror);
	while (!(error = look(&query)))
		first_page();
	over = true;
	pthread_join(remover, NULL);
	pthread_join(mutator, NULL);
	printf("every snapshot is of one moment; without its mirror: %s\n", strerror(error));
	return 0;
}
