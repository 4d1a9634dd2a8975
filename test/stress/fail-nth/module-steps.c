// SPDX-License-Identifier: MIT
/* Loading the module: it is all there, or it gives an errno and has left nothing. And unloading it, which cannot fail. */
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../module.h"
#include "fail-nth.h"

/* What a module that is not loaded has not got. */
static void check_nothing_left(unsigned long nth)
{
	static const char *const files[] = { "/proc/iomem", "/proc/modules", "/proc/misc" };
	unsigned int index;
	char line[256];
	glob_t nodes;
	FILE *file;

	if (glob("/dev/hmm_*mirror*", 0, NULL, &nodes) != GLOB_NOMATCH) {
		fprintf(stderr, "fail-nth: load: allocation %lu: %s\n", nth, nodes.gl_pathv[0]);
		errno = EEXIST;
		fail("a node is left");
	}
	for (index = 0; index < sizeof(files) / sizeof(files[0]); index++) {
		file = fopen(files[index], "re");
		if (!file)
			fail(files[index]);
		while (fgets(line, sizeof(line), file)) {
			if (!strstr(line, "hmm_"))
				continue;
			fprintf(stderr, "fail-nth: load: allocation %lu: %s: %s", nth, files[index], line);
			errno = EEXIST;
			fail("something is left");
		}
		fclose(file);
	}
}

static void run_load(const char *arguments, unsigned long most)
{
	unsigned long nth, failed = 0;
	double begun = now();
	bool injected = true;
	int error;

	must(module_unload(), "unload");
	for (nth = 1; nth <= most && injected; nth++) {
		injection_arm(nth);
		error = module_load(arguments);
		injected = injection_disarm();
		/* EBUSY: request_mem_region() does not say whether the region or the memory was missing. */
		if (error && (!injected || (error != ENOMEM && error != EBUSY))) {
			fprintf(stderr, "fail-nth: load: allocation %lu%s\n", nth, injected ? "" : ", which did not fail");
			errno = error;
			fail("load");
		}
		if (error) {
			failed++;
			check_nothing_left(nth);
		} else if (injected) {
			/* Something that it can do without. */
			must(module_unload(), "unload");
			check_nothing_left(nth);
		}
	}
	printf("%-28s %4lu made to fail, %4lu of them an error, %.1f s\n", "load", nth - 2, failed, now() - begun);
	fflush(stdout);
	if (injected) {
		errno = ERANGE;
		fail("load: more allocations than --most says");
	}
}

static void run_unload(const char *arguments, unsigned long most)
{
	double begun = now();
	bool injected = true;
	unsigned long nth;
	int error;

	for (nth = 1; nth <= most && injected; nth++) {
		injection_arm(nth);
		error = module_unload();
		injected = injection_disarm();
		must(error, "unload");
		check_nothing_left(nth);
		must(module_load(arguments), "load");
	}
	printf("%-28s %4lu made to fail, none of them an error, %.1f s\n", "unload", nth - 2, now() - begun);
	fflush(stdout);
	if (injected) {
		errno = ERANGE;
		fail("unload: more allocations than --most says");
	}
}

void run_module_steps(const char *arguments, unsigned long most)
{
	run_load(arguments, most);
	run_unload(arguments, most);
}
