/* SPDX-License-Identifier: MIT */
/* Where memory is, and who may use it: migration, release, exclusive access. */
#include "probe.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Migration stops at a hole; it reads back up to what did not move; the counts say how far. */
void case_migrate(void)
{
	int fd = open_node();
	unsigned char *memory = map_filled(8, 1), *buffer = map(8, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	unsigned char *mixed = map_filled(8, 21);

	munmap(memory + 5 * PAGE, PAGE);
	run("hole", fd, HMM_DMIRROR_MIGRATE_TO_DEV, memory, buffer, 8);
	tell("hole.copied", filled(buffer, 8, 1));
	run("holeBack", fd, HMM_DMIRROR_MIGRATE_TO_SYS, memory, buffer, 8);
	tell("memory", filled(memory, 5, 1));
	/* Shared memory that is there: it stays where it is, and is not read back. */
	mmap(mixed + 4 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	memset(mixed + 4 * PAGE, 99, 4 * PAGE);
	command(fd, HMM_DMIRROR_READ, mixed, buffer, 8);
	run("shared", fd, HMM_DMIRROR_MIGRATE_TO_DEV, mixed, buffer, 8);
	tell("shared.copied", filled(buffer, 8, 21));
	mprotect(mixed, PAGE, PROT_NONE);
	run("protected", fd, HMM_DMIRROR_MIGRATE_TO_DEV, mixed, buffer, 2);
}

/* What one file moves the other file of the same device and process sees at once, in both directions. */
void case_two(void)
{
	int a = open_node(), b = open_node();
	unsigned char *memory = map_filled(8, 1), *buffer = map(8, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	run("toDevice", a, HMM_DMIRROR_MIGRATE_TO_DEV, memory, buffer, 8);
	run("readOnDevice", b, HMM_DMIRROR_READ, memory, buffer, 8);
	tell("readOnDevice.copied", filled(buffer, 8, 1));
	run("writeOnDevice", b, HMM_DMIRROR_WRITE, memory, map_filled(8, 31), 8);
	run("toSystem", a, HMM_DMIRROR_MIGRATE_TO_SYS, memory, buffer, 8);
	tell("memory", filled(memory, 8, 31));
	for (size_t i = 0; i < 8; i++)
		memset(memory + i * PAGE, (int)i + 61, PAGE);
	run("readInSystem", b, HMM_DMIRROR_READ, memory, buffer, 8);
	tell("readInSystem.copied", filled(buffer, 8, 61));
}

/* What is on the device when its file is closed, or when it is released, is not lost. */
void case_release(void)
{
	int fd = open_node();
	unsigned char *memory = map_filled(700, 1), *buffer = map(700, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	run("toDevice", fd, HMM_DMIRROR_MIGRATE_TO_DEV, memory, buffer, 700);
	run("release", fd, HMM_DMIRROR_RELEASE, memory, buffer, 1);
	run("left", fd, HMM_DMIRROR_MIGRATE_TO_SYS, memory, buffer, 700);
	tell("memory", filled(memory, 700, 1));
	run("again", fd, HMM_DMIRROR_MIGRATE_TO_DEV, memory, buffer, 700);
	close(fd);
	tell("closed", filled(memory, 700, 1));
}

void case_exclusive(void)
{
	int fd = open_node();
	unsigned char *memory = map_filled(8, 1), *buffer = map(8, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	unsigned char *mixed = map_filled(8, 21);

	run("all", fd, HMM_DMIRROR_EXCLUSIVE, memory, buffer, 8);
	tell("all.copied", filled(buffer, 8, 1));
	run("held", fd, HMM_DMIRROR_CHECK_EXCLUSIVE, memory, buffer, 8);
	/* Who has exclusive access may write, and still has it then. */
	run("write", fd, HMM_DMIRROR_WRITE, memory, map_filled(8, 41), 8);
	run("stillHeld", fd, HMM_DMIRROR_CHECK_EXCLUSIVE, memory, buffer, 8);
	/* The CPU takes three pages back; the fourth page is the first that is held. */
	tell("memory", filled(memory, 3, 41));
	run("fourth", fd, HMM_DMIRROR_CHECK_EXCLUSIVE, memory, buffer, 8);
	run("three", fd, HMM_DMIRROR_CHECK_EXCLUSIVE, memory, buffer, 3);
	mmap(mixed + 4 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	run("shared", fd, HMM_DMIRROR_EXCLUSIVE, mixed, buffer, 8);
	munmap(mixed, PAGE);
	run("hole", fd, HMM_DMIRROR_EXCLUSIVE, mixed, buffer, 2);
	mprotect(memory, 8 * PAGE, PROT_READ);
	run("readonly", fd, HMM_DMIRROR_EXCLUSIVE, memory, buffer, 1);
}
