// SPDX-License-Identifier: MIT
/* The kernel's fail-nth: FAULT_INJECTION, with FAILSLAB, FAIL_PAGE_ALLOC and FAULT_INJECTION_USERCOPY. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fail-nth.h"

/* Where x86-64 puts the text of modules, and that of their initialization, wherever the kernel itself is. */
#define MODULES_START "0xffffffffa0000000"
#define MODULES_END "0xffffffffff000000"

/*
 * The kernel's own, which is spared: that memory cannot be added is an error of memremap_pages(), and handled as one,
 * but this function warns of it in the log as of a fault.
 */
#define SPARED "add_pages"

static int nth_file = -1;

static void set(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		fail(path);
	close(fd);
}

static void configure(const char *kind, const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/%s", kind, name);
	set(path, value);
}

/* Where a function of the kernel begins and where the next one does, as text. */
static void function_range(const char *function, char start[32], char end[32])
{
	FILE *symbols = fopen("/proc/kallsyms", "re");
	unsigned long long address, from = 0, until = ~0ULL;
	char name[128], type;
	int pass;

	if (!symbols)
		fail("/proc/kallsyms");
	/* Sorted by address, but for those of modules; twice, so that it need not be. */
	for (pass = 0; pass < 2; pass++) {
		rewind(symbols);
		while (fscanf(symbols, "%llx %c %127s%*[^\n]", &address, &type, name) == 3) {
			if (pass == 0 && !strcmp(name, function))
				from = address;
			else if (pass == 1 && address > from && address < until)
				until = address;
		}
	}
	fclose(symbols);
	if (!from) {
		errno = ENOENT;
		fail(function);
	}
	snprintf(start, 32, "0x%llx", from);
	snprintf(end, 32, "0x%llx", until);
}

void injection_configure(void)
{
	static const char *const kinds[] = { "failslab", "fail_page_alloc", "fail_usercopy" };
	char spared_start[32], spared_end[32];
	unsigned int index;

	function_range(SPARED, spared_start, spared_end);

	for (index = 0; index < sizeof(kinds) / sizeof(kinds[0]); index++) {
		configure(kinds[index], "require-start", MODULES_START);
		configure(kinds[index], "require-end", MODULES_END);
		configure(kinds[index], "reject-start", spared_start);
		configure(kinds[index], "reject-end", spared_end);
		/* Else every failure is told with a stack. */
		configure(kinds[index], "verbose", "0");
	}
	/* By default an allocation that may sleep is spared. */
	configure("failslab", "ignore-gfp-wait", "N");
	configure("fail_page_alloc", "ignore-gfp-wait", "N");
	configure("fail_page_alloc", "ignore-gfp-highmem", "N");
	configure("fail_page_alloc", "min-order", "0");
	/* Memory that comes and goes with the module waits for grace periods, and that is what loading it takes. */
	set("/sys/kernel/rcu_expedited", "1");
	nth_file = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (nth_file < 0)
		fail("/proc/thread-self/fail-nth");
}

void injection_arm(unsigned long nth)
{
	char text[32];
	int size = snprintf(text, sizeof(text), "%lu", nth);

	if (pwrite(nth_file, text, size, 0) != size)
		fail("fail-nth cannot be set");
}

bool injection_disarm(void)
{
	char text[32] = "";

	if (pread(nth_file, text, sizeof(text) - 1, 0) <= 0)
		fail("fail-nth cannot be read");
	injection_arm(0);
	return strtoul(text, NULL, 10) == 0;
}
