// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "fail-nth.h"

uint64_t memory_pages = FEW;
unsigned char memory_expected[MANY * PAGE];

void memory_empty(void)
{
	void *at = (void *)START;

	if (munmap((void *)ARENA, SPAN) ||
	    mmap(at, LENGTH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at)
		fail("new memory");
	memset(memory_expected, 0, LENGTH);
}

void memory_fill(void)
{
	uint64_t index;

	memory_empty();
	/* Every page has its own bytes. */
	for (index = 0; index < LENGTH; index += 8)
		*(uint64_t *)&memory_expected[index] = (index + 1) * 0x9e3779b97f4a7c15ULL;
	memcpy((void *)START, memory_expected, LENGTH);
}

void memory_verify(const char *step)
{
	uint64_t page;

	for (page = 0; page < memory_pages; page++) {
		if (!memcmp((void *)(START + page * PAGE), &memory_expected[page * PAGE], PAGE))
			continue;
		fprintf(stderr, "fail-nth: %s: page %llu does not hold what it should\n", step, (unsigned long long)page);
		errno = EIO;
		fail(step);
	}
}
