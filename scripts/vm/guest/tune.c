// SPDX-License-Identifier: MIT
/* Nothing in the background may touch page tables on its own: a run must be repeatable. */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* Writes a setting; a kernel built without it has nothing to turn off. */
static void set(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0) {
		if (errno != ENOENT)
			fail("%s: %s", path, strerror(errno));
		return;
	}
	if (write(fd, value, strlen(value)) < 0)
		fail("writing %s to %s: %s", value, path, strerror(errno));
	close(fd);
}

static void raise_limit(int resource, rlim_t soft, rlim_t hard)
{
	const struct rlimit limit = { .rlim_cur = soft, .rlim_max = hard };

	if (setrlimit(resource, &limit) != 0)
		fail("setrlimit: %s", strerror(errno));
}

static void loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		if (errno != EAFNOSUPPORT)
			fail("socket: %s", strerror(errno));
		return;
	}
	if (ioctl(fd, SIOCSIFFLAGS, &request) != 0)
		fail("bringing the loopback interface up: %s", strerror(errno));
	close(fd);
}

/*
 * khugepaged cannot be turned off without turning huge pages off. One page in a scan, and the next scan after 49 days, is as good, once
 * it has had its first: that it makes when a process comes to its empty list (__khugepaged_enter). So this one, which
 * outlives all others, is there before them, and has nothing to be made huge; and the list is never empty again.
 */
static void still_khugepaged(void)
{
	/* Wherever it begins, a whole huge page fits in. */
	const size_t length = 4 << 20;
	volatile char *memory;

	set("/sys/kernel/mm/transparent_hugepage/khugepaged/pages_to_scan", "1");
	set("/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs", "4294967295");
	memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		fail("mmap: %s", strerror(errno));
	/* Without an anon_vma it does not count; with a page in it, it would be made huge. */
	memory[0] = 1;
	if (madvise((void *)memory, length, MADV_DONTNEED) != 0)
		fail("madvise: %s", strerror(errno));
	/* EINVAL: a kernel without huge pages has no khugepaged. */
	if (madvise((void *)memory, length, MADV_HUGEPAGE) != 0 && errno != EINVAL)
		fail("madvise: %s", strerror(errno));
}

void tune_kernel(void)
{
	/* From here on every message reaches the console, which the host reads for splats. */
	set("/proc/sys/kernel/printk", "8");
	set("/proc/sys/vm/compaction_proactiveness", "0");
	set("/proc/sys/vm/swappiness", "0");
	still_khugepaged();
	set("/sys/kernel/mm/ksm/run", "0");
	/* As distributions build their kernels; the default of a kernel of one's own is 4096. */
	set("/proc/sys/vm/mmap_min_addr", "65536");
	sethostname("node-hmm", strlen("node-hmm"));
	raise_limit(RLIMIT_NOFILE, 65536, 65536);
	raise_limit(RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
	raise_limit(RLIMIT_CORE, 0, RLIM_INFINITY);
	loopback_up();
}
