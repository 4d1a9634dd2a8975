/* SPDX-License-Identifier: MIT */
/* Reads, writes and snapshots: what is checked, what is counted, whose memory it is. */
#include "probe.h"

#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <string.h>
#include <unistd.h>

void case_arguments(void)
{
	int fd = open_node();
	unsigned char *memory = map_filled(2, 1), *buffer = map(2, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	run("unaligned", fd, HMM_DMIRROR_READ, memory + 8, buffer, 1);
	run("none", fd, HMM_DMIRROR_READ, memory, buffer, 0);
	/* Shifted by 12 these are one page. */
	run("shifted", fd, HMM_DMIRROR_READ, memory, buffer, (1ULL << 52) + 1);
	run("wrapped", fd, HMM_DMIRROR_READ, (void *)-PAGE, buffer, 2);
	run("many", fd, HMM_DMIRROR_SNAPSHOT, memory, buffer, HMM_DMIRROR_MAX_PAGES + 1);
	run("release", fd, HMM_DMIRROR_RELEASE, memory + 8, buffer, 1);
	tell("unknown", command(fd, _IOWR('H', 0x3f, struct hmm_dmirror_cmd), memory, buffer, 1));
	tell("size", command(fd, _IOWR('H', 0x00, uint64_t), memory, buffer, 1));
	tell("direction", command(fd, _IOW('H', 0x00, struct hmm_dmirror_cmd), memory, buffer, 1));
	tell("struct", ioctl(fd, HMM_DMIRROR_READ, NULL) ? errno : 0);
	tell("copied", filled(buffer, 2, 1));
}

/* Errors in the middle: of 8 pages the fifth has no mapping, of 8 pages the fifth is read-only. */
void case_progress(void)
{
	int fd = open_node();
	unsigned char *memory = map_filled(8, 1), *buffer = map(8, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	unsigned char *target = map(8, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	munmap(memory + 4 * PAGE, PAGE);
	run("hole", fd, HMM_DMIRROR_READ, memory, buffer, 8);
	tell("hole.copied", filled(buffer, 8, 1));
	mprotect(target + 4 * PAGE, PAGE, PROT_READ);
	run("readonly", fd, HMM_DMIRROR_WRITE, target, map_filled(8, 101), 8);
	tell("readonly.copied", filled(target, 8, 101));
	run("nothing", fd, HMM_DMIRROR_READ, memory + 4 * PAGE, buffer, 1);
}

/* The caller's buffer: its third page is not there; it is the memory itself; it is no user address. */
void case_buffer(void)
{
	int fd = open_node();
	unsigned char *memory = map_filled(4, 1), *buffer = map(4, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	mprotect(buffer + 2 * PAGE, PAGE, PROT_NONE);
	run("read", fd, HMM_DMIRROR_READ, memory, buffer, 4);
	tell("read.copied", filled(buffer, 2, 1));
	run("write", fd, HMM_DMIRROR_WRITE, memory, buffer, 4);
	run("snapshot", fd, HMM_DMIRROR_SNAPSHOT, memory, buffer + 2 * PAGE, 4);
	run("itself", fd, HMM_DMIRROR_READ, memory, memory, 4);
	run("kernel", fd, HMM_DMIRROR_READ, memory, (void *)0xffff888000000000, 4);
	tell("memory", filled(memory, 4, 1));
}

/* A fault of the device is over all that is left; nothing is a fault that the device still has. */
void case_faults(void)
{
	int fd = open_node();
	unsigned char *memory = map_filled(1030, 1), *buffer = map(1030, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	run("first", fd, HMM_DMIRROR_READ, memory, buffer, 1030);
	tell("first.copied", filled(buffer, 1030, 1));
	run("again", fd, HMM_DMIRROR_READ, memory, buffer, 1030);
	/* An invalidation ends before its end: the second page is not the first one's business. */
	madvise(memory, PAGE, MADV_DONTNEED);
	run("neighbour", fd, HMM_DMIRROR_READ, memory + PAGE, buffer, 1029);
	run("dropped", fd, HMM_DMIRROR_READ, memory, buffer, 1030);
	tell("dropped.zero", buffer[0] == 0 && buffer[PAGE - 1] == 0);
	run("write", fd, HMM_DMIRROR_WRITE, memory + PAGE, buffer + PAGE, 1029);
}

void case_snapshot(void)
{
	int fd = open_node();
	unsigned char *memory = map(1030, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	unsigned char *bytes = map(2, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	long written = 0, none = 0, other = 0;

	for (size_t i = 0; i < 1030; i += 2)
		memory[i * PAGE] = 1;
	mprotect(bytes + PAGE, PAGE, PROT_NONE);
	run("all", fd, HMM_DMIRROR_SNAPSHOT, memory, bytes, 1030);
	for (size_t i = 0; i < 1030; i++) {
		if (bytes[i] == (i % 2 ? HMM_DMIRROR_PROT_NONE : HMM_DMIRROR_PROT_WRITE))
			*(i % 2 ? &none : &written) += 1;
		else
			other++;
	}
	tell("written", written);
	tell("none", none);
	tell("other", other);
	/* Room for 512 + 8 bytes only. */
	run("cut", fd, HMM_DMIRROR_SNAPSHOT, memory, bytes + PAGE - 520, 1030);
}

/* The file of a process is used by another, and then the process is gone. */
void case_inherited(void)
{
	unsigned char *memory = map_filled(4, 1), *buffer = map(4, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	unsigned char *shared = map(1, PROT_READ | PROT_WRITE, MAP_SHARED);
	int *child_fd = (int *)shared, pidfd, fd;
	pid_t child = fork();

	if (child < 0)
		fail("fork");
	if (child == 0) {
		memset(memory, 9, 4 * PAGE);
		for (size_t i = 0; i < 4; i++)
			memset(memory + i * PAGE, (int)i + 51, PAGE);
		__atomic_store_n(child_fd, open_node(), __ATOMIC_RELEASE);
		for (;;)
			pause();
	}
	while (!__atomic_load_n(child_fd, __ATOMIC_ACQUIRE))
		usleep(1000);
	pidfd = (int)syscall(SYS_pidfd_open, child, 0);
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, *child_fd, 0);
	if (fd < 0)
		fail("pidfd_getfd");
	run("theirs", fd, HMM_DMIRROR_READ, memory, buffer, 4);
	tell("theirs.copied", filled(buffer, 4, 51));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	run("read", fd, HMM_DMIRROR_READ, memory, buffer, 4);
	run("snapshot", fd, HMM_DMIRROR_SNAPSHOT, memory, buffer, 4);
	run("toDevice", fd, HMM_DMIRROR_MIGRATE_TO_DEV, memory, buffer, 4);
	run("exclusive", fd, HMM_DMIRROR_EXCLUSIVE, memory, buffer, 4);
	run("check", fd, HMM_DMIRROR_CHECK_EXCLUSIVE, memory, buffer, 4);
}

/* A mapping of the node itself. */
void case_mapping(void)
{
	int fd = open_node();
	unsigned char bytes[4], *buffer = map(4, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	unsigned char *memory = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (memory == MAP_FAILED)
		fail("mmap of the node");
	run("snapshot", fd, HMM_DMIRROR_SNAPSHOT, memory, bytes, 4);
	tell("byte", bytes[3]);
	tell("zero", memory[0] == 0 && memory[4 * PAGE - 1] == 0);
	run("write", fd, HMM_DMIRROR_WRITE, memory, map_filled(4, 1), 4);
	tell("written", filled(memory, 4, 1));
	run("migrate", fd, HMM_DMIRROR_MIGRATE_TO_DEV, memory, buffer, 4);
	buffer = mmap(NULL, (HMM_DMIRROR_MAX_PAGES + 1) * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	tell("long", buffer == MAP_FAILED ? errno : 0);
}
