// SPDX-License-Identifier: MIT
/* The host's root, read-only, with this machine's own /proc, /sys and /dev, and scratch space, over it. */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* As large as 9p messages over virtio go on all kernels; a smaller one costs a round trip per 4 KiB. */
#define P9_OPTIONS "trans=virtio,version=9p2000.L,msize=262144"

static void mount_or_fail(const char *source, const char *target, const char *type, unsigned long flags,
			  const char *options)
{
	if (mount(source, target, type, flags, options) != 0)
		fail("mounting %s (%s) on %s: %s", source, type ? type : "bind", target, strerror(errno));
}

/* For file systems that a small kernel may not have. */
static void mount_optional(const char *type, const char *target)
{
	if (mount(type, target, type, 0, NULL) != 0 && errno != ENODEV && errno != ENOENT && errno != EBUSY)
		fail("mounting %s on %s: %s", type, target, strerror(errno));
}

/* Before the control port exists: an error shows in the kernel log, where the host looks if nobody calls. */
void mount_early(void)
{
	mkdir("/dev", 0755);
	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir(HOST_ROOT, 0755);
	if (mount("devtmpfs", "/dev", "devtmpfs", 0, NULL) != 0 && errno != EBUSY)
		perror("node-hmm: mounting devtmpfs");
	if (mount("proc", "/proc", "proc", 0, NULL) != 0)
		perror("node-hmm: mounting proc");
}

/* Makes the folders above a path. */
static void make_parents(const char *path)
{
	char parent[PATH_MAX];

	snprintf(parent, sizeof(parent), "%s", path);
	for (char *slash = strchr(parent + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(parent, 0755) != 0 && errno != EEXIST)
			fail("making directory %s: %s", parent, strerror(errno));
		*slash = '/';
	}
}

/* Makes the place where something of the same kind (directory or file) can be mounted. */
static void make_mount_point(const char *path, int directory)
{
	make_parents(path);
	if (directory) {
		if (mkdir(path, 0755) != 0 && errno != EEXIST)
			fail("making directory %s: %s", path, strerror(errno));
	} else {
		int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

		if (fd < 0)
			fail("making file %s: %s", path, strerror(errno));
		close(fd);
	}
}

/* A path below a scratch directory is held open while that is covered, and then bound to its old name. */
static int hold_path(const char *path)
{
	int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd < 0)
		fail("%s: %s", path, strerror(errno));
	return fd;
}

static void show_path(int fd, const char *path)
{
	char held[64];
	struct stat status;

	if (fstat(fd, &status) != 0)
		fail("%s: %s", path, strerror(errno));
	make_mount_point(path, S_ISDIR(status.st_mode));
	snprintf(held, sizeof(held), "/proc/self/fd/%d", fd);
	mount_or_fail(held, path, NULL, MS_BIND, NULL);
	close(fd);
}

static void mount_scratch(const struct job *job)
{
	int *held = calloc(job->keep.count + 1, sizeof(*held));

	if (!held)
		fail("out of memory");
	for (size_t i = 0; i < job->keep.count; i++)
		held[i] = hold_path(job->keep.items[i]);
	for (size_t i = 0; i < job->scratch.count; i++) {
		/* A host may lack /var/tmp; on a read-only root nobody can make it. */
		if (mount("tmpfs", job->scratch.items[i], "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") != 0 &&
		    errno != ENOENT)
			fail("mounting tmpfs on %s: %s", job->scratch.items[i], strerror(errno));
	}
	for (size_t i = 0; i < job->keep.count; i++)
		show_path(held[i], job->keep.items[i]);
	free(held);
}

static void mount_writable(size_t number, const char *path)
{
	char tag[32];
	struct stat status;

	/* Below a scratch directory the place does not exist yet; elsewhere it is the host's own directory. */
	if (stat(path, &status) != 0)
		make_mount_point(path, 1);
	snprintf(tag, sizeof(tag), "writable%zu", number);
	/* cache=mmap: what the command writes is on the host at once, and shared mappings work. */
	mount_or_fail(tag, path, "9p", 0, P9_OPTIONS ",cache=mmap");
}

static void link_descriptors(void)
{
	/* What udev would link. */
	static const char *const links[][2] = {
		{ "/proc/self/fd", "/dev/fd" },
		{ "/proc/self/fd/0", "/dev/stdin" },
		{ "/proc/self/fd/1", "/dev/stdout" },
		{ "/proc/self/fd/2", "/dev/stderr" },
	};

	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (symlink(links[i][0], links[i][1]) != 0 && errno != EEXIST)
			fail("linking %s: %s", links[i][1], strerror(errno));
}

/* The initramfs cannot be unmounted; the host's root moves over it, as switch_root does. */
void change_root(void)
{
	/* cache=loose: nobody changes the host's files through this mount, and lookups are not repeated. */
	mount_or_fail("hostroot", HOST_ROOT, "9p", MS_RDONLY, P9_OPTIONS ",cache=loose");
	mount_or_fail("/dev", HOST_ROOT "/dev", NULL, MS_MOVE, NULL);
	mount_or_fail("/proc", HOST_ROOT "/proc", NULL, MS_MOVE, NULL);
	if (chdir(HOST_ROOT) != 0 || mount(".", "/", NULL, MS_MOVE, NULL) != 0 || chroot(".") != 0 || chdir("/") != 0)
		fail("changing the root: %s", strerror(errno));
}

void mount_view(const struct job *job)
{
	mount_or_fail("sysfs", "/sys", "sysfs", 0, NULL);
	mount_optional("debugfs", "/sys/kernel/debug");
	make_mount_point("/dev/shm", 1);
	mount_or_fail("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
	make_mount_point("/dev/pts", 1);
	mount_optional("devpts", "/dev/pts");
	link_descriptors();
	mount_scratch(job);
	for (size_t i = 0; i < job->writable.count; i++)
		mount_writable(i, job->writable.items[i]);
	if (chdir(job->cwd) != 0)
		fail("changing to %s: %s", job->cwd, strerror(errno));
}

void unmount_writable(const struct job *job)
{
	if (chdir("/") != 0)
		fail("changing to /: %s", strerror(errno));
	/* Unmounting, not only sync: what a shared mapping left dirty must be on the host before QEMU ends. */
	for (size_t i = job->writable.count; i-- > 0;)
		if (umount(job->writable.items[i]) != 0)
			fail("unmounting %s: %s", job->writable.items[i], strerror(errno));
}
