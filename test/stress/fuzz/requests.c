// SPDX-License-Identifier: MIT
/* The arguments: one that makes sense for each ioctl, and something wrong in it. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "fuzz.h"

#define REQUEST(command, type) { #command, command, sizeof(type) }

const struct request_kind mirror_requests[MIRROR_REQUESTS] = {
	[INFO] = REQUEST(HMM_MIRROR_INFO, struct hmm_mirror_info),
	[BIND] = REQUEST(HMM_MIRROR_BIND, struct hmm_mirror_bind),
	[INSERT] = REQUEST(HMM_MIRROR_NOTIFIER_INSERT, struct hmm_mirror_notifier_insert),
	[REMOVE] = REQUEST(HMM_MIRROR_NOTIFIER_REMOVE, struct hmm_mirror_notifier_id),
	[READ_BEGIN] = REQUEST(HMM_MIRROR_READ_BEGIN, struct hmm_mirror_sequence),
	[READ_RETRY] = REQUEST(HMM_MIRROR_READ_RETRY, struct hmm_mirror_sequence),
	[RANGE_FAULT] = REQUEST(HMM_MIRROR_RANGE_FAULT, struct hmm_mirror_range_fault),
	[POPULATE] = REQUEST(HMM_MIRROR_POPULATE, struct hmm_mirror_populate),
	[READ] = REQUEST(HMM_MIRROR_READ, struct hmm_mirror_access),
	[WRITE] = REQUEST(HMM_MIRROR_WRITE, struct hmm_mirror_access),
	[QUERY] = REQUEST(HMM_MIRROR_QUERY, struct hmm_mirror_query),
	[LOCK] = REQUEST(HMM_MIRROR_LOCK, struct hmm_mirror_notifier_id),
	[UNLOCK] = REQUEST(HMM_MIRROR_UNLOCK, struct hmm_mirror_notifier_id),
	[DEVICE_READ] = REQUEST(HMM_MIRROR_DEVICE_READ, struct hmm_mirror_device_access),
	[DEVICE_WRITE] = REQUEST(HMM_MIRROR_DEVICE_WRITE, struct hmm_mirror_device_access),
	[ACK] = REQUEST(HMM_MIRROR_ACK, struct hmm_mirror_ack),
	[TO_DEVICE] = REQUEST(HMM_MIRROR_MIGRATE_TO_DEVICE, struct hmm_mirror_pages),
	[TO_SYSTEM] = REQUEST(HMM_MIRROR_MIGRATE_TO_SYSTEM, struct hmm_mirror_pages),
	[EXCLUSIVE] = REQUEST(HMM_MIRROR_MAKE_EXCLUSIVE, struct hmm_mirror_pages),
	[ATOMIC] = REQUEST(HMM_MIRROR_ATOMIC_ADD, struct hmm_mirror_atomic),
	[EVICT] = REQUEST(HMM_MIRROR_EVICT, struct hmm_mirror_evict),
};

const struct request_kind dmirror_requests[DMIRROR_REQUESTS] = {
	REQUEST(HMM_DMIRROR_READ, struct hmm_dmirror_cmd),
	REQUEST(HMM_DMIRROR_WRITE, struct hmm_dmirror_cmd),
	REQUEST(HMM_DMIRROR_MIGRATE_TO_DEV, struct hmm_dmirror_cmd),
	REQUEST(HMM_DMIRROR_MIGRATE_TO_SYS, struct hmm_dmirror_cmd),
	REQUEST(HMM_DMIRROR_SNAPSHOT, struct hmm_dmirror_cmd),
	REQUEST(HMM_DMIRROR_EXCLUSIVE, struct hmm_dmirror_cmd),
	REQUEST(HMM_DMIRROR_CHECK_EXCLUSIVE, struct hmm_dmirror_cmd),
	REQUEST(HMM_DMIRROR_RELEASE, struct hmm_dmirror_cmd),
};

struct counts *counts;

static int issue(int fd, const struct request_kind *kind, struct request_count *count, union request_memory *memory)
{
	__atomic_add_fetch(&count->made, 1, __ATOMIC_RELAXED);
	if (ioctl(fd, kind->command, memory->bytes))
		return errno;
	__atomic_add_fetch(&count->succeeded, 1, __ATOMIC_RELAXED);
	return 0;
}

int mirror_request_issue(int fd, unsigned int kind, union request_memory *memory)
{
	return issue(fd, &mirror_requests[kind], &counts->mirror[kind], memory);
}

int dmirror_request_issue(int fd, unsigned int kind, union request_memory *memory)
{
	return issue(fd, &dmirror_requests[kind], &counts->dmirror[kind], memory);
}

void request_buffers_make(struct request_buffers *buffers)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS;

	buffers->good = mmap(NULL, REQUEST_BUFFER, PROT_READ | PROT_WRITE, flags, -1, 0);
	buffers->read_only = mmap(NULL, 32 * PAGE, PROT_READ, flags, -1, 0);
	buffers->unmapped = (char *)buffers->read_only + 16 * PAGE;
	if (buffers->good == MAP_FAILED || buffers->read_only == MAP_FAILED || munmap(buffers->unmapped, 16 * PAGE))
		fail("buffers");
}

static uint64_t some_buffer(struct random *random, const struct request_buffers *buffers)
{
	switch (random_below(random, 20)) {
	case 0:
		return (uintptr_t)buffers->read_only;
	case 1:
		return (uintptr_t)buffers->unmapped;
	case 2:
		/* Ends before the request does. */
		return (uintptr_t)buffers->good + REQUEST_BUFFER - PAGE - random_below(random, PAGE);
	default:
		return (uintptr_t)buffers->good;
	}
}

/* Ids are counted up from 1, so small ones are likely to be there. */
static uint32_t some_id(struct random *random)
{
	return 1 + random_below(random, random_chance(random, 70) ? 3 : 8);
}

static void make_insert(struct random *random, struct hmm_mirror_notifier_insert *insert)
{
	bool all = random_chance(random, 40);

	insert->start = all ? ARENA : random_address(random);
	insert->length = all ? ARENA_PAGES * PAGE : random_pages(random, ARENA_PAGES) * PAGE;
	insert->device = HMM_MIRROR_NO_DEVICE;
	switch (random_below(random, 8)) {
	default:
		insert->flags = HMM_MIRROR_NOTIFIER_EVENTS;
		break;
	case 1:
		/* Patient for as long as the answer takes if there is one, on a slow machine. */
		insert->flags = HMM_MIRROR_NOTIFIER_EVENTS | HMM_MIRROR_NOTIFIER_SYNC;
		insert->timeout_ms = 20 + random_below(random, 30);
		break;
	case 2:
		insert->flags = HMM_MIRROR_NOTIFIER_PAGE_TABLE | HMM_MIRROR_NOTIFIER_EVENTS;
		insert->device = random_below(random, 4);
		insert->timeout_ms = 1 + random_below(random, 10);
		break;
	}
}

/* The pages that a driver would look up before it accesses them. */
#define LOOKED_UP 32ULL

/* How many of the entries, from the first on, have what is needed. */
static uint64_t entries_with(const uint64_t *entries, uint64_t count, uint64_t needed)
{
	uint64_t index;

	for (index = 0; index < count && (entries[index] & needed) == needed; index++)
		;
	return index;
}

/* A driver of its own page table: it has looked up what is there, and accesses that. Meanwhile it may have changed. */
static void make_device_access(struct random *random, int fd, bool write, const struct request_buffers *buffers,
			       struct hmm_mirror_device_access *access)
{
	uint64_t needed = HMM_MIRROR_PFN_VALID | (write ? HMM_MIRROR_PFN_WRITE : 0), first, pages;
	uint64_t *entries = (uint64_t *)((char *)buffers->good + REQUEST_BUFFER / 2);
	uint64_t start = random_address(random), end = start + LOOKED_UP * PAGE;
	struct hmm_mirror_populate populate = {
		.id = 1 + random_below(random, 2), .flags = write ? HMM_MIRROR_WRITABLE : 0, .start = start, .end = end,
	};
	struct hmm_mirror_query query = {
		.id = populate.id, .start = start, .end = end, .pfns = (uintptr_t)entries,
	};

	/* Threads share the array, and write into it what else they read there: the frames may be anybody's. */
	if (random_chance(random, 50))
		ioctl(fd, HMM_MIRROR_POPULATE, &populate);
	if (ioctl(fd, HMM_MIRROR_QUERY, &query))
		memset(entries, 0xff, LOOKED_UP * sizeof(*entries));
	for (first = 0; first < LOOKED_UP - 1 && !entries_with(entries + first, 1, needed); first++)
		;
	pages = 1 + random_below(random, entries_with(entries + first, LOOKED_UP - first, needed));
	access->device = random_below(random, 4);
	access->address = start + first * PAGE + (random_chance(random, 30) ? random_below(random, PAGE) : 0);
	access->length = random_chance(random, 30) ? 1 + random_below(random, PAGE) : pages * PAGE;
	access->entries = (uintptr_t)(entries + first);
	access->buffer = some_buffer(random, buffers);
}

static void make_sound(struct random *random, int fd, unsigned int kind, const struct request_buffers *buffers,
		       union request_memory *memory)
{
	uint64_t start = random_address(random), end = start + random_pages(random, ARENA_PAGES) * PAGE;
	uint32_t nonblock = random_chance(random, 30) ? HMM_MIRROR_NONBLOCK : 0;
	void *argument = memory->bytes;

	switch (kind) {
	case INSERT:
		make_insert(random, argument);
		break;
	case REMOVE:
		/* Mostly those that were inserted since, or soon nothing would be left. */
		((struct hmm_mirror_notifier_id *)argument)->id =
			random_chance(random, 1) ? some_id(random) : 4 + random_below(random, 8);
		break;
	case LOCK:
	case UNLOCK:
		*(struct hmm_mirror_notifier_id *)argument =
			(struct hmm_mirror_notifier_id){ .id = some_id(random), .flags = kind == LOCK ? nonblock : 0 };
		break;
	case READ_BEGIN:
	case READ_RETRY:
		*(struct hmm_mirror_sequence *)argument = (struct hmm_mirror_sequence){
			.id = some_id(random),
			.flags = kind == READ_BEGIN ? nonblock : 0,
			.sequence = random_below(random, 20) | 1,
		};
		break;
	case RANGE_FAULT:
		*(struct hmm_mirror_range_fault *)argument = (struct hmm_mirror_range_fault){
			.id = some_id(random),
			.flags = nonblock,
			.start = start,
			.end = end,
			.sequence = random_below(random, 400) | 1,
			.default_flags = random_next(random) & (HMM_MIRROR_PFN_REQ_FAULT | HMM_MIRROR_PFN_REQ_WRITE),
			.pfn_flags_mask = random_chance(random, 30) ? HMM_MIRROR_PFN_REQ_FAULT : 0,
			.pfns = some_buffer(random, buffers),
			.owner_device = random_chance(random, 50) ? HMM_MIRROR_NO_DEVICE : random_below(random, 4),
		};
		if (random_chance(random, 70)) {
			struct hmm_mirror_sequence begin = { .id = ((struct hmm_mirror_range_fault *)argument)->id };

			ioctl(fd, HMM_MIRROR_READ_BEGIN, &begin);
			((struct hmm_mirror_range_fault *)argument)->sequence = begin.sequence;
		}
		break;
	case POPULATE:
		*(struct hmm_mirror_populate *)argument = (struct hmm_mirror_populate){
			.id = some_id(random),
			.flags = nonblock | (random_next(random) & (HMM_MIRROR_WRITABLE | HMM_MIRROR_SNAPSHOT)),
			.start = start,
			.end = end,
		};
		break;
	case READ:
	case WRITE:
		*(struct hmm_mirror_access *)argument = (struct hmm_mirror_access){
			.id = some_id(random),
			.flags = nonblock,
			.address = start + random_below(random, PAGE),
			.length = 1 + random_below(random, end - start),
			.buffer = some_buffer(random, buffers),
		};
		break;
	case QUERY:
		*(struct hmm_mirror_query *)argument = (struct hmm_mirror_query){
			.id = some_id(random),
			.flags = nonblock,
			.start = start,
			.end = end,
			.pfns = some_buffer(random, buffers),
			.entries = random_chance(random, 50) ? some_buffer(random, buffers) : 0,
			.locations = random_chance(random, 50) ? some_buffer(random, buffers) : 0,
		};
		break;
	case DEVICE_READ:
	case DEVICE_WRITE:
		make_device_access(random, fd, kind == DEVICE_WRITE, buffers, argument);
		break;
	case ACK:
		((struct hmm_mirror_ack *)argument)->ticket = 1 + random_below(random, 300);
		break;
	case TO_DEVICE:
	case TO_SYSTEM:
	case EXCLUSIVE:
		*(struct hmm_mirror_pages *)argument =
			(struct hmm_mirror_pages){ .id = some_id(random), .start = start, .end = end };
		break;
	case ATOMIC:
		*(struct hmm_mirror_atomic *)argument = (struct hmm_mirror_atomic){
			.id = some_id(random),
			.flags = nonblock,
			.address = start + (random_below(random, PAGE) & ~7ULL),
			.value = random_next(random),
		};
		break;
	case EVICT:
		((struct hmm_mirror_evict *)argument)->device = random_below(random, 4);
		break;
	default: /* INFO and BIND have nothing in */
		break;
	}
}

static void break_something(struct random *random, unsigned int size, union request_memory *memory)
{
	if (random_chance(random, 50) && size >= 8)
		memory->longs[random_below(random, size / 8)] = random_interesting(random);
	else
		memory->words[random_below(random, size / 4)] = (uint32_t)random_interesting(random);
}

void mirror_request_make(struct random *random, int fd, unsigned int kind, const struct request_buffers *buffers,
			 union request_memory *memory)
{
	memset(memory, 0, sizeof(*memory));
	make_sound(random, fd, kind, buffers, memory);
}

void mirror_request_break(struct random *random, unsigned int kind, union request_memory *memory)
{
	break_something(random, mirror_requests[kind].size, memory);
}

void dmirror_request_make(struct random *random, const struct request_buffers *buffers, union request_memory *memory)
{
	struct hmm_dmirror_cmd *command = (struct hmm_dmirror_cmd *)memory->bytes;

	memset(memory, 0, sizeof(*memory));
	command->addr = random_address(random);
	command->npages = random_pages(random, REQUEST_BUFFER / PAGE);
	command->ptr = some_buffer(random, buffers);
}

void dmirror_request_break(struct random *random, union request_memory *memory)
{
	break_something(random, sizeof(struct hmm_dmirror_cmd), memory);
}
