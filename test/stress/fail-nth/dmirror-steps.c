// SPDX-License-Identifier: MIT
/* The commands of /dev/hmm_dmirror0. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fail-nth.h"

static int file = -1;
static void *mapping = MAP_FAILED;

static int command(unsigned long number)
{
	struct hmm_dmirror_cmd argument = { .addr = START, .ptr = (uintptr_t)step_buffer, .npages = memory_pages };

	return ioctl(file, number, &argument) ? errno : 0;
}

void dmirror_close(void)
{
	if (file >= 0)
		close(file);
	file = -1;
}

static int open_file(void)
{
	char path[32];

	snprintf(path, sizeof(path), "/dev/hmm_dmirror%u", step_device);
	file = open(path, O_RDWR | O_CLOEXEC);
	return file < 0 ? errno : 0;
}

static void closed(void)
{
	dmirror_close();
	memory_fill();
}

static void filled(void)
{
	if (file < 0)
		must(open_file(), "open");
	memory_fill();
}

static void to_write(void)
{
	filled();
	memset(step_buffer, 0xa5, LENGTH);
}

static void on_device(void)
{
	filled();
	must(command(HMM_DMIRROR_MIGRATE_TO_DEV), "to the device");
}

static void unmapped(void)
{
	filled();
	if (mapping != MAP_FAILED && munmap(mapping, LENGTH))
		fail("munmap");
	mapping = MAP_FAILED;
}

#define COMMAND(name, number)          \
	static int do_##name(void)     \
	{                              \
		return command(number); \
	}
COMMAND(read, HMM_DMIRROR_READ)
COMMAND(to_device, HMM_DMIRROR_MIGRATE_TO_DEV)
COMMAND(to_system, HMM_DMIRROR_MIGRATE_TO_SYS)
COMMAND(snapshot, HMM_DMIRROR_SNAPSHOT)
COMMAND(exclusive, HMM_DMIRROR_EXCLUSIVE)
COMMAND(check_exclusive, HMM_DMIRROR_CHECK_EXCLUSIVE)
COMMAND(release, HMM_DMIRROR_RELEASE)

static int do_write(void)
{
	int error = command(HMM_DMIRROR_WRITE);

	if (!error)
		memcpy(memory_expected, step_buffer, LENGTH);
	return error;
}

static int do_mmap(void)
{
	mapping = mmap(NULL, LENGTH, PROT_READ, MAP_SHARED, file, 0);
	return mapping == MAP_FAILED ? errno : 0;
}

/* ENOENT and EBUSY: the device has not got the page. */
const struct step dmirror_steps[] = {
	{ "dmirror open", 0, FEW, closed, open_file, 0 },
	{ "dmirror mmap", 0, FEW, unmapped, do_mmap, 0 },
	{ "dmirror read", 0, MANY, filled, do_read, 0 },
	{ "dmirror write", 0, MANY, to_write, do_write, 0 },
	{ "dmirror to_device", 0, FEW, filled, do_to_device, ENOENT },
	{ "dmirror to_system", 0, FEW, on_device, do_to_system, 0 },
	{ "dmirror snapshot", 0, FEW, filled, do_snapshot, 0 },
	{ "dmirror exclusive", 0, FEW, filled, do_exclusive, EBUSY },
	{ "dmirror check", 0, FEW, filled, do_check_exclusive, 0 },
	{ "dmirror release", 0, FEW, on_device, do_release, 0 },
	{ "dmirror to_device, coherent", 2, FEW, filled, do_to_device, ENOENT },
	{ 0 },
};
