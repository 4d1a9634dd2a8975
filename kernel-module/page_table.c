// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device page table of a mirror: chunks of entries by address, sparse.
 *
 * A chunk is inserted without the notifier's lock, because that allocates, and it is then all zero: it says nothing.
 * It is looked into and freed under the lock only.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "mirror.h"

static unsigned long chunk_index(unsigned long address)
{
	return address / MIRROR_CHUNK_SIZE;
}

/*
 * Sees to it that the chunk of address exists. Called after read_begin: only an invalidation or a removal frees a
 * chunk, and both are found out before the chunk is used, the one by read_retry and the other by removed.
 */
int mirror_page_table_prepare(struct mirror_notifier *notifier, unsigned long address)
{
	struct mirror_page_table_chunk *chunk, *present;

	if (xa_load(&notifier->chunks, chunk_index(address)))
		return 0;
	chunk = kzalloc(sizeof(*chunk), GFP_KERNEL_ACCOUNT);
	if (!chunk)
		return -ENOMEM;
	present = xa_cmpxchg(&notifier->chunks, chunk_index(address), NULL, chunk, GFP_KERNEL_ACCOUNT);
	if (!present)
		return 0;
	/* Another ioctl was faster, or there is no memory for the tree. */
	kfree(chunk);
	return xa_err(present);
}

/* NULL: no entry in that chunk is valid. Good until the lock is released. */
struct mirror_page_table_chunk *mirror_page_table_chunk_locked(struct mirror_notifier *notifier,
							       unsigned long address)
{
	lockdep_assert_held(&notifier->lock);
	return xa_load(&notifier->chunks, chunk_index(address));
}

/*
 * Stores what a walk found for count pages from address, all in one chunk; pfns are in the kernel's encoding.
 * Returns how many entries are valid. Entries that are exclusive stay: only an invalidation ends that, and the walk sees
 * such a page as not present, or saw it before it became exclusive. Without a chunk nothing is stored; the caller has
 * made sure that no page is valid then.
 */
unsigned long mirror_page_table_store_locked(struct mirror_notifier *notifier, unsigned long address,
					     const unsigned long *pfns, unsigned long count)
{
	struct mirror_page_table_chunk *chunk = mirror_page_table_chunk_locked(notifier, address);
	unsigned long slot = mirror_chunk_slot(address), index, valid = 0;
	u64 entry;

	if (!chunk)
		return 0;
	for (index = 0; index < count; index++) {
		if (chunk->entries[slot + index] & HMM_MIRROR_ENTRY_EXCLUSIVE) {
			valid++;
			continue;
		}
		entry = 0;
		if (pfns[index] & HMM_PFN_VALID) {
			entry = mirror_pfn_from_kernel(pfns[index]);
			entry &= HMM_MIRROR_PFN_VALID | HMM_MIRROR_PFN_WRITE | HMM_MIRROR_PFN_FRAME_MASK;
			valid++;
		}
		chunk->entries[slot + index] = entry;
	}
	return valid;
}

/*
 * Stores that count pages from address, all in one chunk, are exclusive, but for those that are NULL; returns how
 * many.
 */
unsigned long mirror_page_table_store_exclusive_locked(struct mirror_notifier *notifier, unsigned long address,
						       struct page *const *pages, unsigned long count)
{
	const u64 flags = HMM_MIRROR_PFN_VALID | HMM_MIRROR_PFN_WRITE | HMM_MIRROR_ENTRY_EXCLUSIVE;
	struct mirror_page_table_chunk *chunk = mirror_page_table_chunk_locked(notifier, address);
	unsigned long slot = mirror_chunk_slot(address), index, stored = 0;

	if (!chunk)
		return 0;
	for (index = 0; index < count; index++) {
		if (!pages[index])
			continue;
		chunk->entries[slot + index] = flags | page_to_pfn(pages[index]);
		stored++;
	}
	return stored;
}

/* How many pages of [start, end), inside one chunk, lack one of the needed bits. */
unsigned long mirror_page_table_missing_locked(struct mirror_notifier *notifier, unsigned long start,
					       unsigned long end, u64 needed)
{
	struct mirror_page_table_chunk *chunk = mirror_page_table_chunk_locked(notifier, start);
	unsigned long slot = mirror_chunk_slot(start), count = (end - start) >> PAGE_SHIFT, missing = 0;

	if (!chunk)
		return count;
	for (; count; count--, slot++)
		if ((chunk->entries[slot] & needed) != needed)
			missing++;
	return missing;
}

void mirror_page_table_read_locked(struct mirror_notifier *notifier, unsigned long start, unsigned long end,
				   u64 *entries)
{
	struct mirror_page_table_chunk *chunk;
	unsigned long next, count;

	for (; start < end; start = next, entries += count) {
		next = mirror_chunk_end(start, end);
		count = (next - start) >> PAGE_SHIFT;
		chunk = mirror_page_table_chunk_locked(notifier, start);
		if (chunk)
			memcpy(entries, &chunk->entries[mirror_chunk_slot(start)], count * sizeof(*entries));
		else
			memset(entries, 0, count * sizeof(*entries));
	}
}

/*
 * Empties [start, last], both clipped to the notifier's interval; visits existing chunks only, so a clear of the whole
 * address space costs what is mapped. May run in reclaim: frees, but does not allocate.
 */
void mirror_page_table_clear_locked(struct mirror_notifier *notifier, unsigned long start, unsigned long last)
{
	struct mirror_page_table_chunk *chunk;
	unsigned long index, first_slot, last_slot;

	lockdep_assert_held(&notifier->lock);
	start = max(start, notifier->start);
	last = min(last, notifier->last);
	xa_for_each_range(&notifier->chunks, index, chunk, chunk_index(start), chunk_index(last)) {
		first_slot = index == chunk_index(start) ? mirror_chunk_slot(start) : 0;
		last_slot = index == chunk_index(last) ? mirror_chunk_slot(last) : MIRROR_CHUNK_PAGES - 1;
		if (last_slot - first_slot == MIRROR_CHUNK_PAGES - 1) {
			xa_erase(&notifier->chunks, index);
			kfree(chunk);
			continue;
		}
		memset(&chunk->entries[first_slot], 0, (last_slot - first_slot + 1) * sizeof(chunk->entries[0]));
	}
}

/* The last reference to the notifier is gone, and with it every user. */
void mirror_page_table_destroy(struct mirror_notifier *notifier)
{
	struct mirror_page_table_chunk *chunk;
	unsigned long index;

	xa_for_each(&notifier->chunks, index, chunk)
		kfree(chunk);
	xa_destroy(&notifier->chunks);
}
