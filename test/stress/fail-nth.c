// SPDX-License-Identifier: MIT
/*
 * Makes every memory allocation on the way of a request fail, one after the other: the first in one run of the request, the second
 * in the next, until a run gets through without one having failed (the kernel's fail-nth, which needs FAULT_INJECTION,
 * FAILSLAB and FAIL_PAGE_ALLOC; and with FAULT_INJECTION_USERCOPY every copy from and to user memory as well). Each must end in success or in an errno that says so, must leave everything usable
 * (the same request succeeds right after, and the memory holds the bytes that it held), and nothing may leak: that is for
 * kmemleak, and for who boots the kernel, to say.
 *
 *	fail-nth [--most N] [--module FILE.ko [--arguments "a=1 b=2"]] [--without NAME,NAME]
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "stress.h"

/* More than a chunk of 512 pages, so that what is allocated per chunk is allocated twice. */
#define PAGES 600
#define LENGTH (PAGES * PAGE)

static int nth_file;
static int context;
static int dmirror;
static uint32_t mirror;
static uint64_t sequence;
static unsigned char *buffer;
static uint64_t *entries;
static const char *without = "";
static unsigned long most = 1000;

static void fail(const char *what)
{
	fprintf(stderr, "fail-nth: %s: %s\n", what, strerror(errno));
	exit(1);
}

static bool set_nth(unsigned long nth)
{
	char text[32];
	int size = snprintf(text, sizeof(text), "%lu", nth);

	return pwrite(nth_file, text, size, 0) == size;
}

static void arm(unsigned long nth)
{
	if (!set_nth(nth))
		fail("fail-nth cannot be set");
}

/* True if something was made to fail since arm(). */
static bool disarm(void)
{
	char text[32] = "";
	bool failed = pread(nth_file, text, sizeof(text) - 1, 0) > 0 && atol(text) == 0;

	/* The copies of reading it and of setting it count as all do: it may be them that fail, but then no other does. */
	if (!set_nth(0))
		arm(0);
	return failed;
}

static bool zeroed; /* the memory holds nothing but zeros */

static unsigned char byte_of(uint64_t index)
{
	return zeroed ? 0 : (unsigned char)(index * 31 + (index >> 12) + 7);
}

static void fill(void)
{
	unsigned char *memory = (unsigned char *)ARENA;
	uint64_t index;

	zeroed = false;
	for (index = 0; index < LENGTH; index++)
		memory[index] = byte_of(index);
}

static void verify(const char *name)
{
	const unsigned char *memory = (const unsigned char *)ARENA;
	uint64_t index;

	for (index = 0; index < LENGTH; index++) {
		if (memory[index] == byte_of(index))
			continue;
		errno = EIO;
		fprintf(stderr, "byte %llu\n", (unsigned long long)index);
		fail(name);
	}
}

/* New memory, all of it there, with bytes that are known. */
static void renew(void)
{
	void *at = (void *)ARENA;

	if (mmap(at, LENGTH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at)
		fail("mmap");
	fill();
}

static int request(int fd, unsigned long command, void *argument)
{
	return ioctl(fd, command, argument) ? errno : 0;
}

static int insert(uint32_t flags, uint32_t *id)
{
	struct hmm_mirror_notifier_insert insert = { .start = ARENA, .length = LENGTH, .flags = flags };
	int error;

	insert.device = flags & HMM_MIRROR_NOTIFIER_PAGE_TABLE ? 0 : HMM_MIRROR_NO_DEVICE;
	error = request(context, HMM_MIRROR_NOTIFIER_INSERT, &insert);
	*id = insert.id;
	return error;
}

static int open_context(void)
{
	struct hmm_mirror_bind bind = { 0 };
	int error;

	context = open("/dev/hmm_mirror0", O_RDWR | O_CLOEXEC);
	if (context < 0)
		return errno;
	error = request(context, HMM_MIRROR_BIND, &bind);
	if (!error)
		error = insert(HMM_MIRROR_NOTIFIER_PAGE_TABLE | HMM_MIRROR_NOTIFIER_EVENTS, &mirror);
	if (error) {
		close(context);
		context = -1;
	}
	return error;
}

static void close_context(void)
{
	if (context >= 0)
		close(context);
	context = -1;
}

static int populate(uint32_t flags)
{
	struct hmm_mirror_populate populate = { .id = mirror, .flags = flags, .start = ARENA, .end = ARENA + LENGTH };

	return request(context, HMM_MIRROR_POPULATE, &populate);
}

static int migrate(unsigned long command, uint64_t *pages)
{
	struct hmm_mirror_pages migrate = { .id = mirror, .start = ARENA, .end = ARENA + LENGTH };
	int error = request(context, command, &migrate);

	*pages = migrate.pages;
	return error;
}

static void must(int error, const char *what)
{
	if (!error)
		return;
	errno = error;
	fail(what);
}

/* Preparations: none of them under injection. */

static void nothing(void)
{
}

static void mirrored(void)
{
	renew();
	must(open_context(), "open");
}

/* Nothing is there yet, for what faults it in. */
static void mirrored_untouched(void)
{
	mirrored();
	must(madvise((void *)ARENA, LENGTH, MADV_DONTNEED) ? errno : 0, "madvise");
	zeroed = true;
}

static void begun(void)
{
	struct hmm_mirror_sequence begin;

	mirrored();
	begin = (struct hmm_mirror_sequence){ .id = mirror };
	must(request(context, HMM_MIRROR_READ_BEGIN, &begin), "read_begin");
	sequence = begin.sequence;
}

static void on_device(void)
{
	uint64_t pages;

	mirrored();
	must(migrate(HMM_MIRROR_MIGRATE_TO_DEVICE, &pages), "migrate to the device");
}

static void exclusive(void)
{
	uint64_t pages;

	mirrored();
	must(migrate(HMM_MIRROR_MAKE_EXCLUSIVE, &pages), "make exclusive");
}

static void with_entries(void)
{
	struct hmm_mirror_query query;

	mirrored();
	query = (struct hmm_mirror_query){
		.id = mirror, .start = ARENA, .end = ARENA + LENGTH, .pfns = (uintptr_t)entries,
	};
	must(request(context, HMM_MIRROR_QUERY, &query), "query");
}

static void dmirrored(void)
{
	renew();
	dmirror = open("/dev/hmm_dmirror0", O_RDWR | O_CLOEXEC);
	if (dmirror < 0)
		fail("open /dev/hmm_dmirror0");
}

static int dmirror_command(unsigned long command)
{
	struct hmm_dmirror_cmd argument = { .addr = ARENA, .ptr = (uintptr_t)buffer, .npages = PAGES };

	return request(dmirror, command, &argument);
}

static void dmirrored_on_device(void)
{
	dmirrored();
	must(dmirror_command(HMM_DMIRROR_MIGRATE_TO_DEV), "dmirror, to the device");
}

static void close_dmirror(void)
{
	if (dmirror >= 0)
		close(dmirror);
	dmirror = -1;
}

/* The steps, under injection. */

static int do_insert(void)
{
	uint32_t id;

	return insert(HMM_MIRROR_NOTIFIER_EVENTS, &id);
}

static int do_range_fault(void)
{
	struct hmm_mirror_range_fault fault = {
		.id = mirror, .start = ARENA, .end = ARENA + LENGTH, .sequence = sequence,
		.default_flags = HMM_MIRROR_PFN_REQ_FAULT, .pfns = (uintptr_t)entries,
		.owner_device = HMM_MIRROR_NO_DEVICE,
	};

	return request(context, HMM_MIRROR_RANGE_FAULT, &fault);
}

static int do_populate(void)
{
	return populate(HMM_MIRROR_WRITABLE);
}

static int do_snapshot(void)
{
	return populate(HMM_MIRROR_SNAPSHOT);
}

static int do_access(unsigned long command, uint64_t length)
{
	struct hmm_mirror_access access = {
		.id = mirror, .address = ARENA, .length = length, .buffer = (uintptr_t)buffer,
	};

	return request(context, command, &access);
}

static int do_read(void)
{
	return do_access(HMM_MIRROR_READ, LENGTH);
}

static int do_write(void)
{
	memcpy(buffer, (void *)ARENA, LENGTH);
	return do_access(HMM_MIRROR_WRITE, LENGTH);
}

static int do_query(void)
{
	struct hmm_mirror_query query = {
		.id = mirror, .start = ARENA, .end = ARENA + LENGTH, .pfns = (uintptr_t)entries,
		.entries = (uintptr_t)buffer, .locations = (uintptr_t)buffer + LENGTH / 2,
	};

	return request(context, HMM_MIRROR_QUERY, &query);
}

static int do_device_read(void)
{
	struct hmm_mirror_device_access access = {
		.device = 0, .address = ARENA, .length = LENGTH, .entries = (uintptr_t)entries,
		.buffer = (uintptr_t)buffer,
	};

	return request(context, HMM_MIRROR_DEVICE_READ, &access);
}

/* A failed allocation may mean pages that do not move: that is a count, and no error. */
static int do_to_device(void)
{
	uint64_t pages;

	return migrate(HMM_MIRROR_MIGRATE_TO_DEVICE, &pages);
}

static int do_to_system(void)
{
	uint64_t pages;

	return migrate(HMM_MIRROR_MIGRATE_TO_SYSTEM, &pages);
}

static int do_exclusive(void)
{
	uint64_t pages;

	return migrate(HMM_MIRROR_MAKE_EXCLUSIVE, &pages);
}

static int do_atomic(void)
{
	struct hmm_mirror_atomic atomic = { .id = mirror, .address = ARENA + 8 };

	return request(context, HMM_MIRROR_ATOMIC_ADD, &atomic);
}

static int do_evict(void)
{
	struct hmm_mirror_evict evict = { .device = 0 };

	return request(context, HMM_MIRROR_EVICT, &evict);
}

/* Faults all of it back. The kernel makes the faults, so what fails is an errno. */
static int do_cpu_fault(void)
{
	return madvise((void *)ARENA, LENGTH, MADV_POPULATE_READ) ? errno : 0;
}

static int do_close(void)
{
	close_context();
	return 0;
}

static int do_dmirror_open(void)
{
	dmirror = open("/dev/hmm_dmirror0", O_RDWR | O_CLOEXEC);
	return dmirror < 0 ? errno : 0;
}

#define DMIRROR(name, command)                      \
	static int do_dmirror_##name(void)          \
	{                                           \
		return dmirror_command(command);    \
	}
DMIRROR(read, HMM_DMIRROR_READ)
DMIRROR(to_dev, HMM_DMIRROR_MIGRATE_TO_DEV)
DMIRROR(to_sys, HMM_DMIRROR_MIGRATE_TO_SYS)
DMIRROR(snapshot, HMM_DMIRROR_SNAPSHOT)
DMIRROR(exclusive, HMM_DMIRROR_EXCLUSIVE)
DMIRROR(release, HMM_DMIRROR_RELEASE)

static int do_dmirror_write(void)
{
	memcpy(buffer, (void *)ARENA, LENGTH);
	return dmirror_command(HMM_DMIRROR_WRITE);
}

static const char *module;
static const char *module_arguments = "";

static int load_module(void)
{
	int fd = open(module, O_RDONLY | O_CLOEXEC), error;

	if (fd < 0)
		fail(module);
	error = syscall(SYS_finit_module, fd, module_arguments, 0) ? errno : 0;
	close(fd);
	return error;
}

static void unload_module(void)
{
	/* Contexts are freed when the last mmput of this process is done: at once. */
	if (syscall(SYS_delete_module, "hmm_mirror", 0) && errno != ENOENT)
		fail("delete_module");
}

struct step {
	const char *name;
	void (*prepare)(void);
	int (*run)(void);
	void (*finish)(void);
	int also; /* an errno that only this one may give, beside ENOMEM and EFAULT */
};

static const struct step steps[] = {
	{ "open", renew, open_context, close_context, 0 },
	{ "insert", mirrored, do_insert, close_context, 0 },
	{ "range_fault", begun, do_range_fault, close_context, 0 },
	{ "populate", mirrored_untouched, do_populate, close_context, 0 },
	{ "snapshot", mirrored, do_snapshot, close_context, 0 },
	{ "read", mirrored, do_read, close_context, 0 },
	{ "write", mirrored, do_write, close_context, 0 },
	{ "query", mirrored, do_query, close_context, 0 },
	{ "device_read", with_entries, do_device_read, close_context, 0 },
	{ "to_device", mirrored, do_to_device, close_context, 0 },
	{ "to_system", on_device, do_to_system, close_context, 0 },
	{ "exclusive", mirrored, do_exclusive, close_context, 0 },
	{ "atomic", mirrored, do_atomic, close_context, 0 },
	{ "read of exclusive", exclusive, do_read, close_context, 0 },
	{ "read on the device", on_device, do_read, close_context, 0 },
	{ "evict", on_device, do_evict, close_context, 0 },
	{ "cpu_fault", on_device, do_cpu_fault, close_context, 0 },
	{ "close", on_device, do_close, close_context, 0 },
	{ "dmirror_open", renew, do_dmirror_open, close_dmirror, 0 },
	{ "dmirror_read", dmirrored, do_dmirror_read, close_dmirror, 0 },
	{ "dmirror_write", dmirrored, do_dmirror_write, close_dmirror, 0 },
	{ "dmirror_to_dev", dmirrored, do_dmirror_to_dev, close_dmirror, ENOENT },
	{ "dmirror_to_sys", dmirrored_on_device, do_dmirror_to_sys, close_dmirror, 0 },
	{ "dmirror_snapshot", dmirrored, do_dmirror_snapshot, close_dmirror, 0 },
	{ "dmirror_exclusive", dmirrored, do_dmirror_exclusive, close_dmirror, EBUSY },
	{ "dmirror_release", dmirrored_on_device, do_dmirror_release, close_dmirror, 0 },
};

/*
 * EFAULT: a copy from or to user memory failed, or a page could not be faulted in, which hmm_range_fault() says so. EBUSY and
 * ENOENT, in dmirror's ABI: the device has not got the page.
 */
static bool allowed(const struct step *step, int error)
{
	return !error || error == ENOMEM || error == EFAULT || error == step->also;
}

static void run_step(const struct step *step)
{
	unsigned long nth, failed = 0;
	bool injected;
	int error;

	for (nth = 1; nth <= most; nth++) {
		step->prepare();
		arm(nth);
		error = step->run();
		injected = disarm();
		failed += injected && error;
		if (!allowed(step, error) || (error && !injected)) {
			errno = error;
			fprintf(stderr, "allocation %lu%s\n", nth, injected ? "" : ", which did not fail");
			fail(step->name);
		}
		verify(step->name);
		if (error) {
			/* What failed can be done after all, in the same state. Opening is its own preparation. */
			must(step->run(), step->name);
			verify(step->name);
		}
		step->finish();
		if (!injected)
			break;
	}
	printf("%-20s %4lu made to fail, %4lu of them an error\n", step->name, nth - 1, failed);
	if (nth > most) {
		errno = ERANGE;
		fail("more allocations than --most says");
	}
	fflush(stdout);
}

static void run_module_step(void)
{
	static const struct step step = { "load", nothing, load_module, nothing, EBUSY };
	unsigned long nth, failed = 0;
	bool injected;
	int error;

	unload_module();
	for (nth = 1; nth <= most; nth++) {
		arm(nth);
		error = load_module();
		injected = disarm();
		failed += injected && error;
		if (!allowed(&step, error) || (error && !injected)) {
			errno = error;
			fprintf(stderr, "allocation %lu\n", nth);
			fail("load");
		}
		if (!injected)
			break;
		if (!error)
			unload_module();
	}
	printf("%-20s %4lu made to fail, %4lu of them an error\n", "load", nth - 1, failed);
}

static void configure(const char *file, const char *value)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		fail(file);
	close(fd);
}

int main(int argc, char **argv)
{
	unsigned int step;
	int index;

	for (index = 1; index + 1 < argc; index += 2) {
		if (!strcmp(argv[index], "--module"))
			module = argv[index + 1];
		else if (!strcmp(argv[index], "--arguments"))
			module_arguments = argv[index + 1];
		else if (!strcmp(argv[index], "--without"))
			without = argv[index + 1];
		else if (!strcmp(argv[index], "--most"))
			most = strtoul(argv[index + 1], NULL, 0);
		else
			index = argc;
	}
	if (index != argc) {
		fprintf(stderr, "usage: fail-nth [--most N] [--module FILE] [--arguments A] [--without NAMES]\n");
		return 2;
	}

	/* By default an allocation that may sleep is spared, and every failure is told with a stack. */
	configure("/sys/kernel/debug/failslab/ignore-gfp-wait", "N");
	configure("/sys/kernel/debug/failslab/verbose", "0");
	configure("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N");
	configure("/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", "N");
	configure("/sys/kernel/debug/fail_page_alloc/min-order", "0");
	configure("/sys/kernel/debug/fail_page_alloc/verbose", "0");
	nth_file = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (nth_file < 0)
		fail("/proc/thread-self/fail-nth");
	buffer = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	entries = mmap(NULL, PAGES * sizeof(*entries), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (buffer == MAP_FAILED || entries == MAP_FAILED)
		fail("mmap");

	for (step = 0; step < sizeof(steps) / sizeof(steps[0]); step++)
		if (!strstr(without, steps[step].name))
			run_step(&steps[step]);
		else
			printf("%-20s not on this kernel\n", steps[step].name);
	if (module)
		run_module_step();
	return 0;
}
