/* SPDX-License-Identifier: MIT */
/*
 * What /dev/hmm_dmirrorN answers, told as facts: dmirror-probe NODE CASE runs one case and prints one line of JSON.
 * What is right is said by ../dmirror.test.ts. It runs on the kernel's own test_hmm as well, to see where that differs;
 * there "mapping" uses up the memory, and "two" on private memory is a kernel oops.
 */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../../kernel-module/uapi/hmm_mirror.h"

/* What the out fields hold before a call: not a count that a case could give. */
#define UNTOUCHED 77

const char *node;
__thread struct hmm_dmirror_cmd cmd;
static const char *separator = "{";

void fail(const char *what)
{
	fprintf(stderr, "dmirror-probe: %s: %s\n", what, strerror(errno));
	exit(2);
}

void tell(const char *key, long value)
{
	printf("%s\"%s\":%ld", separator, key, value);
	separator = ",";
}

int open_node(void)
{
	int fd = open(node, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		fail(node);
	return fd;
}

unsigned char *map(size_t pages, int protection, int flags)
{
	void *mapped = mmap(NULL, pages * PAGE, protection, flags | MAP_ANONYMOUS, -1, 0);

	if (mapped == MAP_FAILED)
		fail("mmap");
	return mapped;
}

/* Private memory of which page i is filled with the byte i + first. */
unsigned char *map_filled(size_t pages, int first)
{
	unsigned char *mapped = map(pages, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	for (size_t i = 0; i < pages; i++)
		memset(mapped + i * PAGE, (int)i + first, PAGE);
	return mapped;
}

/* The errno, or 0; the out fields are left in cmd. */
int command(int fd, unsigned long request, const void *address, const void *buffer, uint64_t pages)
{
	cmd.addr = (uintptr_t)address;
	cmd.ptr = (uintptr_t)buffer;
	cmd.npages = pages;
	cmd.cpages = UNTOUCHED;
	cmd.faults = UNTOUCHED;
	return ioctl(fd, request, &cmd) ? errno : 0;
}

/* Runs it and tells its errno, cpages and faults under that name. */
void run(const char *name, int fd, unsigned long request, const void *address, const void *buffer, uint64_t pages)
{
	char key[64];

	tell(name, command(fd, request, address, buffer, pages));
	snprintf(key, sizeof(key), "%s.cpages", name);
	tell(key, (long)cmd.cpages);
	snprintf(key, sizeof(key), "%s.faults", name);
	tell(key, (long)cmd.faults);
}

/* How many pages from the first on are filled with the byte i + first. */
long filled(const unsigned char *memory, size_t pages, int first)
{
	for (size_t i = 0; i < pages * PAGE; i++)
		if (memory[i] != (unsigned char)(i / PAGE + (size_t)first))
			return (long)(i / PAGE);
	return (long)pages;
}

/* What the module says of this device, to know what can be expected here. */
static void case_device(void)
{
	struct hmm_mirror_info info = { 0 };
	int fd = open("/dev/hmm_mirror0", O_RDWR | O_CLOEXEC);
	unsigned int id = (unsigned int)atoi(node + strlen(node) - 1);

	if (fd < 0 || ioctl(fd, HMM_MIRROR_INFO, &info))
		fail("/dev/hmm_mirror0");
	tell("kind", info.devices[id].kind);
	tell("used", (long)info.devices[id].used);
	tell("exclusive", !!(info.features & HMM_MIRROR_FEATURE_EXCLUSIVE));
}

static void case_privilege(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data))
		fail("capget");
	data[0].effective &= ~(1u << CAP_SYS_ADMIN);
	if (syscall(SYS_capset, &header, data))
		fail("capset");
	tell("open", open(node, O_RDWR | O_CLOEXEC) < 0 ? errno : 0);
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{ "device", case_device },       { "privilege", case_privilege }, { "arguments", case_arguments },
	{ "progress", case_progress },   { "buffer", case_buffer },       { "faults", case_faults },
	{ "snapshot", case_snapshot },   { "inherited", case_inherited }, { "mapping", case_mapping },
	{ "migrate", case_migrate },     { "two", case_two },             { "release", case_release },
	{ "exclusive", case_exclusive }, { "storm", case_storm },         { "churn", case_churn },
};

int main(int argc, char **argv)
{
	if (argc == 3) {
		node = argv[1];
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
			if (!strcmp(argv[2], cases[i].name)) {
				cases[i].run();
				puts("}");
				return 0;
			}
	}
	fprintf(stderr, "usage: dmirror-probe NODE CASE\n");
	return 64;
}
