// SPDX-License-Identifier: GPL-2.0-only
/* Bytes between a frame of the mirrored process and the caller's buffer. */
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/uaccess.h>

#include "device_memory.h"

/*
 * Moves the bytes of [address, end), inside one page, between the frame of the entry and buffer. The caller holds the
 * lock under which the entry is valid (so the page is mapped, and cannot be freed or truncated), and has checked the
 * buffer with access_ok(). Page faults are off: one could end in an invalidation that waits for that lock. Returns how
 * many bytes were moved; fewer than asked for: the buffer is not resident, see mirror_copy_fault_in().
 */
unsigned long mirror_copy_frame(u64 entry, unsigned long address, unsigned long end, void __user *buffer, bool write)
{
	struct page *page = pfn_to_page(entry & HMM_MIRROR_PFN_FRAME_MASK), *bytes = page;
	unsigned long size = end - address, left;
	void *mapping;

	/* Private memory in an entry is the device's own: hmm_range_fault() gives no other. */
	if (is_device_private_page(page))
		bytes = mirror_device_page_bytes(page->zone_device_data);
	mapping = kmap_local_page(bytes);
	pagefault_disable();
	if (write)
		left = __copy_from_user_inatomic(mapping + offset_in_page(address), buffer, size);
	else
		left = __copy_to_user_inatomic(buffer, mapping + offset_in_page(address), size);
	pagefault_enable();
	kunmap_local(mapping);

	if (write && left < size) {
		flush_dcache_page(bytes);
		/*
		 * The device has no dirty bit in the CPU's page table, so the page itself is told (of private memory
		 * too: it takes that along to system memory). Without the page lock: the mapping cannot go, as for a
		 * fault handler under the page table lock.
		 */
		set_page_dirty(page);
	}
	return size - left;
}

/* A buffer can be reclaimed again before it is used. That this happens so often in a row is not to be expected. */
#define FAULT_IN_ATTEMPTS 8

/*
 * Makes the beginning of the buffer resident, with no lock held. attempts: how often this was called since a byte has
 * moved. -EFAULT: not even the first byte, or the buffer is resident time after time and still nothing moves. Then it is
 * the frame that the kernel cannot access: memfd_secret() takes its pages out of the kernel's own mapping.
 */
int mirror_copy_fault_in(void __user *buffer, unsigned long size, bool write, unsigned int *attempts)
{
	unsigned long left;

	if (++*attempts > FAULT_IN_ATTEMPTS)
		return -EFAULT;
	left = write ? fault_in_readable(buffer, size) : fault_in_writeable(buffer, size);
	return left == size ? -EFAULT : 0;
}
