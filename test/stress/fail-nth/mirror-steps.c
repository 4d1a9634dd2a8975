// SPDX-License-Identifier: MIT
/* The requests of /dev/hmm_mirror0. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fail-nth.h"

/* Newer than some C libraries. */
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

static int context = -1;
static uint32_t mirror; /* its id */
static uint32_t listener; /* likewise; 0: none */
static uint64_t sequence;
static uint64_t entries[MANY];

static int request(unsigned long command, void *argument)
{
	return ioctl(context, command, argument) ? errno : 0;
}

static int insert(uint32_t flags, uint32_t *id)
{
	struct hmm_mirror_notifier_insert insert = {
		.start = ARENA,
		.length = SPAN,
		.flags = flags,
		.device = flags & HMM_MIRROR_NOTIFIER_PAGE_TABLE ? step_device : HMM_MIRROR_NO_DEVICE,
	};
	int error = request(HMM_MIRROR_NOTIFIER_INSERT, &insert);

	/* The copy of the answer may be what fails: then it has an id that nobody knows. */
	*id = error ? 0 : insert.id;
	return error;
}

void mirror_close(void)
{
	if (context >= 0)
		close(context);
	context = -1;
	listener = 0;
}

static int open_context(void)
{
	struct hmm_mirror_bind bind = { 0 };
	int error;

	context = open("/dev/hmm_mirror0", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (context < 0)
		return errno;
	error = request(HMM_MIRROR_BIND, &bind);
	if (!error)
		error = insert(HMM_MIRROR_NOTIFIER_PAGE_TABLE | HMM_MIRROR_NOTIFIER_EVENTS, &mirror);
	if (error)
		mirror_close();
	return error;
}

static int access_pages(unsigned long command)
{
	struct hmm_mirror_access access = {
		.id = mirror, .address = START, .length = LENGTH, .buffer = (uintptr_t)step_buffer,
	};

	return request(command, &access);
}

static int access_as_driver(unsigned long command)
{
	struct hmm_mirror_device_access access = {
		.device = step_device, .address = START, .length = LENGTH, .entries = (uintptr_t)entries,
		.buffer = (uintptr_t)step_buffer,
	};

	return request(command, &access);
}

/* What the device has read is what the memory holds. */
static int check_read(int error)
{
	if (!error && memcmp(step_buffer, memory_expected, LENGTH)) {
		errno = EIO;
		fail("what the device has read");
	}
	return error;
}

/* What the device has written the memory holds from now on. */
static int note_written(int error)
{
	if (!error)
		memcpy(memory_expected, step_buffer, LENGTH);
	return error;
}

static int pages_request(unsigned long command)
{
	struct hmm_mirror_pages pages = { .id = mirror, .start = START, .end = START + LENGTH };

	return request(command, &pages);
}

static int populate(uint32_t flags)
{
	struct hmm_mirror_populate populate = { .id = mirror, .flags = flags, .start = START, .end = START + LENGTH };

	return request(HMM_MIRROR_POPULATE, &populate);
}

/* The states that requests begin with. None of them is made under injection. */

static void closed(void)
{
	mirror_close();
	memory_fill();
}

static void open_if_not(void)
{
	if (context < 0)
		must(open_context(), "open");
}

static void filled(void)
{
	open_if_not();
	memory_fill();
}

static void untouched(void)
{
	open_if_not();
	memory_empty();
}

static void without_listener(void)
{
	struct hmm_mirror_notifier_id id = { .id = listener };

	filled();
	if (listener)
		must(request(HMM_MIRROR_NOTIFIER_REMOVE, &id), "remove");
	listener = 0;
}

static void with_listener(void)
{
	filled();
	if (!listener)
		must(insert(HMM_MIRROR_NOTIFIER_EVENTS, &listener), "insert");
}

static void begun(void)
{
	struct hmm_mirror_sequence begin = { 0 };

	untouched();
	begin.id = mirror;
	must(request(HMM_MIRROR_READ_BEGIN, &begin), "read_begin");
	sequence = begin.sequence;
	memset(entries, 0, sizeof(entries));
}

static void with_entries(void)
{
	struct hmm_mirror_query query = { .start = START, .end = START + LENGTH, .pfns = (uintptr_t)entries };

	filled();
	query.id = mirror;
	must(request(HMM_MIRROR_QUERY, &query), "query");
	memset(step_buffer, 0x5a, LENGTH);
}

static void to_write(void)
{
	filled();
	memset(step_buffer, 0xa5, LENGTH);
}

static void on_device(void)
{
	filled();
	must(pages_request(HMM_MIRROR_MIGRATE_TO_DEVICE), "migrate to the device");
}

static void exclusive(void)
{
	filled();
	must(pages_request(HMM_MIRROR_MAKE_EXCLUSIVE), "make exclusive");
}

/* The requests. */

static int do_info(void)
{
	struct hmm_mirror_info info;

	return request(HMM_MIRROR_INFO, &info);
}

static int do_insert(void)
{
	return insert(HMM_MIRROR_NOTIFIER_EVENTS, &listener);
}

static int do_remove(void)
{
	struct hmm_mirror_notifier_id id = { .id = listener };
	int error = request(HMM_MIRROR_NOTIFIER_REMOVE, &id);

	if (!error)
		listener = 0;
	return error;
}

static int do_range_fault(void)
{
	struct hmm_mirror_range_fault fault = {
		.id = mirror, .start = START, .end = START + LENGTH, .sequence = sequence,
		.default_flags = HMM_MIRROR_PFN_REQ_FAULT | HMM_MIRROR_PFN_REQ_WRITE, .pfns = (uintptr_t)entries,
		.owner_device = HMM_MIRROR_NO_DEVICE,
	};

	return request(HMM_MIRROR_RANGE_FAULT, &fault);
}

static int do_populate(void)
{
	return populate(HMM_MIRROR_WRITABLE);
}

static int do_snapshot(void)
{
	return populate(HMM_MIRROR_SNAPSHOT);
}

static int do_query(void)
{
	static unsigned char locations[MANY];
	static uint64_t device_entries[MANY];
	struct hmm_mirror_query query = {
		.id = mirror, .start = START, .end = START + LENGTH, .pfns = (uintptr_t)entries,
		.entries = (uintptr_t)device_entries, .locations = (uintptr_t)locations,
	};

	return request(HMM_MIRROR_QUERY, &query);
}

static int do_read(void)
{
	return check_read(access_pages(HMM_MIRROR_READ));
}

static int do_write(void)
{
	return note_written(access_pages(HMM_MIRROR_WRITE));
}

static int do_device_read(void)
{
	return check_read(access_as_driver(HMM_MIRROR_DEVICE_READ));
}

static int do_device_write(void)
{
	return note_written(access_as_driver(HMM_MIRROR_DEVICE_WRITE));
}

/* A failed allocation may mean pages that do not move: that is a count, and no error. */
static int do_to_device(void)
{
	return pages_request(HMM_MIRROR_MIGRATE_TO_DEVICE);
}

static int do_to_system(void)
{
	return pages_request(HMM_MIRROR_MIGRATE_TO_SYSTEM);
}

static int do_exclusive(void)
{
	return pages_request(HMM_MIRROR_MAKE_EXCLUSIVE);
}

static int do_atomic(void)
{
	struct hmm_mirror_atomic atomic = { .id = mirror, .address = START + 8, .value = 1 };
	int error = request(HMM_MIRROR_ATOMIC_ADD, &atomic);

	/*
	 * An error may be that of the copy of the answer, and then it has been added all the same. The word itself says so:
	 * whether it is one of the two that there can be is for memory_verify() to say.
	 */
	if (*(volatile uint64_t *)(START + 8) == *(uint64_t *)&memory_expected[8] + 1)
		(*(uint64_t *)&memory_expected[8])++;
	return error;
}

static int do_evict(void)
{
	struct hmm_mirror_evict evict = { .device = step_device };

	return request(HMM_MIRROR_EVICT, &evict);
}

/* Faults all of it back. The kernel makes the faults, so what fails is an errno. */
static int do_cpu_fault(void)
{
	return madvise((void *)START, LENGTH, MADV_POPULATE_READ) ? errno : 0;
}

/* The page tables of the device go, and the events are told. */
static int do_unmap(void)
{
	memory_empty();
	return 0;
}

static int do_read_events(void)
{
	struct hmm_mirror_event events[16];

	return read(context, events, sizeof(events)) < 0 ? errno : 0;
}

static int do_close(void)
{
	mirror_close();
	return 0;
}

const struct step mirror_steps[] = {
	{ "open", 0, FEW, closed, open_context, 0 },
	{ "info", 0, FEW, filled, do_info, 0 },
	{ "insert", 0, FEW, without_listener, do_insert, 0 },
	{ "remove", 0, FEW, with_listener, do_remove, 0 },
	{ "range_fault", 0, MANY, begun, do_range_fault, 0 },
	{ "populate", 0, FEW, untouched, do_populate, 0 },
	{ "snapshot", 0, FEW, filled, do_snapshot, 0 },
	{ "query", 0, MANY, filled, do_query, 0 },
	{ "read", 0, MANY, filled, do_read, 0 },
	{ "write", 0, MANY, to_write, do_write, 0 },
	{ "device_read", 0, FEW, with_entries, do_device_read, 0 },
	{ "device_write", 0, FEW, with_entries, do_device_write, 0 },
	{ "unmap", 0, FEW, exclusive, do_unmap, 0 },
	{ "read events", 0, FEW, filled, do_read_events, 0 },
	{ "exclusive", 0, FEW, filled, do_exclusive, 0 },
	{ "atomic", 0, FEW, filled, do_atomic, 0 },
	{ "read of exclusive", 0, FEW, exclusive, do_read, 0 },
	{ "to_device of nothing", 0, FEW, untouched, do_to_device, 0 },
	{ "to_device", 0, FEW, filled, do_to_device, 0 },
	{ "to_system", 0, FEW, on_device, do_to_system, 0 },
	{ "read on the device", 0, FEW, on_device, do_read, 0 },
	{ "evict", 0, FEW, on_device, do_evict, 0 },
	{ "cpu_fault", 0, FEW, on_device, do_cpu_fault, 0 },
	{ "close", 0, FEW, on_device, do_close, 0 },
	{ "to_device, coherent", 2, FEW, filled, do_to_device, 0 },
	{ "to_system, coherent", 2, FEW, on_device, do_to_system, 0 },
	{ "evict, coherent", 2, FEW, on_device, do_evict, 0 },
	{ "close, coherent", 2, FEW, on_device, do_close, 0 },
	{ 0 },
};
