// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where a frame is. Every page of a snapshot is asked for, so what is found is remembered as a stretch of frames, which
 * neighbours are in more often than not: the memory of one device, or what lies between two of them.
 */
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/pgtable.h>

#include "mirror.h"

/* What is not system memory. Complete before a node is registered, and constant from then on. */
static struct mirror_stretch special[1 + HMM_MIRROR_MAX_DEVICES];
static unsigned int special_count;

void mirror_location_add(unsigned long first, unsigned long count, u32 location)
{
	special[special_count++] = (struct mirror_stretch){ .first = first, .count = count, .location = location };
}

/* The zero page; pages, where its colour matters to a cache. */
void mirror_location_add_zero(void)
{
	unsigned long first = my_zero_pfn(0), count = 0;

	while (is_zero_pfn(first + count))
		count++;
	if (count)
		mirror_location_add(first, count, HMM_MIRROR_LOCATION_ZERO);
}

/* The longest stretch around the frame, which some page table named. */
struct mirror_stretch mirror_location_find(unsigned long frame)
{
	unsigned long first = 0, end = ULONG_MAX;
	unsigned int index;

	for (index = 0; index < special_count; index++) {
		if (frame < special[index].first)
			end = min(end, special[index].first);
		else if (frame - special[index].first < special[index].count)
			return special[index];
		else
			first = max(first, special[index].first + special[index].count);
	}
	return (struct mirror_stretch){ .first = first, .count = end - first, .location = HMM_MIRROR_LOCATION_SYSTEM };
}
