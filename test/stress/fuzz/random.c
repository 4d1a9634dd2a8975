// SPDX-License-Identifier: MIT
#include "fuzz.h"

uint64_t random_next(struct random *random)
{
	random->state ^= random->state >> 12;
	random->state ^= random->state << 25;
	random->state ^= random->state >> 27;
	return random->state * 0x2545f4914f6cdd1dULL;
}

uint64_t random_below(struct random *random, uint64_t below)
{
	return below ? random_next(random) % below : 0;
}

bool random_chance(struct random *random, unsigned int percent)
{
	return random_below(random, 100) < percent;
}

void random_seed(struct random *random, uint64_t seed, uint64_t stream)
{
	/* Never 0, from which xorshift does not get away. */
	random->state = (seed * 0x9e3779b97f4a7c15ULL + stream + 1) | 1;
	random_next(random);
	random_next(random);
}

uint64_t random_interesting(struct random *random)
{
	static const uint64_t numbers[] = {
		0, 1, 2, 7, 8, 4095, 4096, 4097, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000,
		HUGE_PAGES, HMM_MIRROR_MAX_PAGES, HMM_MIRROR_MAX_PAGES * PAGE, (HMM_MIRROR_MAX_PAGES + 1ULL) * PAGE,
		0x7ffffffff000, 0x800000000000, 0xffff800000000000, 0x7fffffffffffffff, 0x8000000000000000,
		0xfffffffffffff000, 0xfffffffffffffffe, 0xffffffffffffffff, ARENA, ARENA + ARENA_PAGES * PAGE,
	};

	switch (random_below(random, 3)) {
	case 0:
		return numbers[random_below(random, sizeof(numbers) / sizeof(numbers[0]))];
	case 1:
		return 1ULL << random_below(random, 64);
	default:
		return random_next(random);
	}
}

uint64_t random_address(struct random *random)
{
	uint64_t page = random_below(random, ARENA_PAGES);

	/* Around huge pages more often than chance has it. */
	if (random_chance(random, 30))
		page &= ~511ULL;
	return ARENA + page * PAGE;
}

uint64_t random_pages(struct random *random, uint64_t most)
{
	static const uint64_t few[] = { 1, 1, 2, 3, 8, 15, 16, 17, 33 };
	static const uint64_t many[] = { 511, 512, 513, 1024, 1500 };
	uint64_t pages;

	if (random_chance(random, 1))
		pages = many[random_below(random, sizeof(many) / sizeof(many[0]))];
	else
		pages = few[random_below(random, sizeof(few) / sizeof(few[0]))];
	return pages < most ? pages : most;
}
