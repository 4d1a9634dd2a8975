// SPDX-License-Identifier: MIT
/*
 * Makes every memory allocation on the way of a request fail, and every copy from and to user memory, one after the
 * other: the first in one attempt, the second in the next, until an attempt gets through without one having failed. Each
 * must end in success or in an errno that says so, and must leave everything usable: the same request succeeds right
 * after, and the memory holds what it must. The same for loading the module and for unloading it. That nothing leaks is
 * for kmemleak, and for who boots the kernel, to say.
 *
 *	fail-nth [--most N]                                            the requests
 *	fail-nth [--most N] --module FILE.ko [--arguments "a=1 b=2"]   loading it and unloading it
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "../module.h"
#include "fail-nth.h"

uint32_t step_device;
unsigned char *step_buffer;

void fail(const char *what)
{
	fprintf(stderr, "fail-nth: %s: %s\n", what, strerror(errno));
	exit(1);
}

void must(int error, const char *what)
{
	if (!error)
		return;
	errno = error;
	fail(what);
}

double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* EFAULT: a copy from or to user memory failed, or a page could not be faulted in, of which hmm_range_fault() says so. */
static bool allowed(const struct step *step, int error)
{
	return !error || error == ENOMEM || error == EFAULT || error == step->also;
}

/*
 * How often each allocation is made to fail. kmemleak takes a leak for something in use as long as any word anywhere, on
 * an old stack say, happens to hold its address; of several the later ones have overwritten those of the earlier.
 */
#define ATTEMPTS 3

/* True if an allocation was made to fail. */
static bool attempt(const struct step *step, unsigned long nth, unsigned long *failed)
{
	bool injected;
	int error;

	step->reset();
	injection_arm(nth);
	error = step->run();
	injected = injection_disarm();
	if (!allowed(step, error) || (error && !injected)) {
		fprintf(stderr, "fail-nth: allocation %lu%s\n", nth, injected ? "" : ", which did not fail");
		must(error, step->name);
	}
	if (error) {
		/* Nothing is left of it that would be in the way of the same once more. */
		++*failed;
		must(step->run(), step->name);
	}
	memory_verify(step->name);
	return injected;
}

static void run_step(const struct step *step, unsigned long most)
{
	unsigned long nth, again, failed = 0;
	double begun = now();
	bool injected = true;

	for (nth = 1; nth <= most && injected; nth++)
		for (again = 0; again < ATTEMPTS && injected; again++)
			injected = attempt(step, nth, &failed);
	printf("%-28s %4lu made to fail, %4lu errors, %.1f s\n", step->name, nth - 2, failed, now() - begun);
	fflush(stdout);
	if (injected) {
		errno = ERANGE;
		fail("more allocations than --most says");
	}
}

static void run_steps(const struct step *step, void (*close_file)(void), unsigned long most)
{
	for (; step->name; step++) {
		if (step->device != step_device)
			close_file();
		step_device = step->device;
		memory_pages = step->pages;
		run_step(step, most);
	}
	close_file();
}

int main(int argc, char **argv)
{
	const char *module = NULL, *arguments = "";
	unsigned long most = 1000;
	int index;

	for (index = 1; index + 1 < argc; index += 2) {
		if (!strcmp(argv[index], "--module"))
			module = argv[index + 1];
		else if (!strcmp(argv[index], "--arguments"))
			arguments = argv[index + 1];
		else if (!strcmp(argv[index], "--most"))
			most = strtoul(argv[index + 1], NULL, 0);
		else
			break;
	}
	if (index != argc) {
		fprintf(stderr, "usage: fail-nth [--most N] [--module FILE [--arguments A]]\n");
		return 2;
	}
	step_buffer = mmap(NULL, MANY * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (step_buffer == MAP_FAILED)
		fail("mmap");
	injection_configure();
	if (module) {
		module_read(module);
		run_module_steps(arguments, most);
	} else {
		run_steps(mirror_steps, mirror_close, most);
		run_steps(dmirror_steps, dmirror_close, most);
	}
	return 0;
}
