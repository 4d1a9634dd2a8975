// SPDX-License-Identifier: MIT
/*
 * Throws ioctls at hmm_mirror.ko: arguments that make sense and arguments that do not, on several threads, while
 * the processes that are mirrored map, unmap, fork and die, files are closed under running requests, and the module is
 * unloaded and loaded again between rounds. What it asserts itself: nothing hangs, the module can always be
 * unloaded, and every request has succeeded, or else it was never tested. The kernel's log is for who boots it.
 *
 *	fuzz --seconds N --seed S [--module FILE.ko [--arguments "a=1 b=2"]] [--without NAME,NAME]
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "../module.h"
#include "fuzz.h"

/* A round begins with two processes and the module's load, which take most of a second where it is slow. */
#define ROUND_SECONDS 10
/* What a process that was killed has still to do before the module is free. */
#define UNLOAD_SECONDS 120

uint64_t fuzz_seed = 1;
static unsigned int round_number;
static const char *without = ""; /* requests that this kernel cannot do, of both ABIs */

double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

void fail(const char *what)
{
	fprintf(stderr, "fuzz: %s: %s (seed %llu, round %u)\n", what, strerror(errno), (unsigned long long)fuzz_seed,
		round_number);
	exit(1);
}

static void run_round(double until)
{
	struct timespec pause = { .tv_nsec = 50 * 1000 * 1000 };
	struct random random;
	const char *hanging;

	random_seed(&random, fuzz_seed, 1000000 + round_number);
	processes_start(&random);
	throw_start(round_number);
	while (now() < until) {
		nanosleep(&pause, NULL);
		processes_unlock_all();
		if (random_chance(&random, 3))
			processes_replace(&random);
	}
	/* Half of the rounds end by their processes' death under the requests. */
	if (round_number % 2)
		processes_kill();
	hanging = throw_end();
	if (hanging) {
		errno = ETIMEDOUT;
		fail(hanging);
	}
	processes_end();
}

static void unload(void)
{
	double until = now() + UNLOAD_SECONDS;
	struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };
	int error;

	/* The last mmput of a process that was killed may still be on its way (mmput_async). */
	while ((error = module_unload()) != 0) {
		errno = error;
		if ((error != EAGAIN && error != EBUSY) || now() > until)
			fail("the module cannot be unloaded");
		nanosleep(&pause, NULL);
	}
}

static void load(const char *arguments)
{
	int error = module_load(arguments);

	if (!error)
		return;
	errno = error;
	fail("the module cannot be loaded");
}

/* Whether the name is in the list, which it divides by commas. */
static bool is_in(const char *list, const char *name)
{
	size_t length = strlen(name);

	for (; *list; list += strcspn(list, ","), list += *list == ',')
		if (!strncmp(list, name, length) && (list[length] == ',' || !list[length]))
			return true;
	return false;
}

/* False if it should have succeeded now and then, and never has. */
static bool report(const struct request_kind *kind, const struct request_count *count)
{
	bool expected = !is_in(without, kind->name);

	printf("%-32s %9lu made %9lu succeeded%s\n", kind->name, count->made, count->succeeded,
	       expected ? "" : " (not on this kernel)");
	return !expected || count->succeeded;
}

static bool report_all(void)
{
	unsigned int kind;
	bool tested = true;

	for (kind = 0; kind < MIRROR_REQUESTS; kind++)
		tested &= report(&mirror_requests[kind], &counts->mirror[kind]);
	for (kind = 0; kind < DMIRROR_REQUESTS; kind++)
		tested &= report(&dmirror_requests[kind], &counts->dmirror[kind]);
	return tested;
}

int main(int argc, char **argv)
{
	const char *module = NULL, *arguments = "";
	double end, until, seconds = 30;
	int index;

	for (index = 1; index + 1 < argc; index += 2) {
		if (!strcmp(argv[index], "--seconds"))
			seconds = atof(argv[index + 1]);
		else if (!strcmp(argv[index], "--seed"))
			fuzz_seed = strtoull(argv[index + 1], NULL, 0);
		else if (!strcmp(argv[index], "--module"))
			module = argv[index + 1];
		else if (!strcmp(argv[index], "--arguments"))
			arguments = argv[index + 1];
		else if (!strcmp(argv[index], "--without"))
			without = argv[index + 1];
		else
			break;
	}
	if (index != argc) {
		fprintf(stderr, "usage: fuzz [--seconds N] [--seed S] [--module FILE] [--arguments A] [--without NAMES]\n");
		return 2;
	}

	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED)
		fail("mmap");
	if (module)
		module_read(module);
	processes_init();
	printf("seed %llu\n", (unsigned long long)fuzz_seed);
	for (end = now() + seconds; now() < end; round_number++) {
		until = now() + ROUND_SECONDS;
		run_round(until < end ? until : end);
		if (module) {
			unload();
			load(arguments);
		}
		printf("round %u done\n", round_number);
		fflush(stdout);
	}
	if (report_all())
		return 0;
	fprintf(stderr, "fuzz: a request that never succeeds is not tested\n");
	return 1;
}
