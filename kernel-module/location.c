// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where a frame is. Every page of a snapshot is asked for, so what is found is a stretch of frames, which neighbours are in
 * more often than not: the memory of one device, or what lies between two of them.
 */
#include <linux/bug.h>
#include <linux/limits.h>
#include <linux/mm.h>
#include <linux/pgtable.h>

#include "mirror.h"

/* Each that is added leaves what lies before it and what lies behind it of one that was there. */
#define STRETCHES_MAX (1 + 2 * (1 + HMM_MIRROR_MAX_DEVICES))

/*
 * All frames, in their order; some may be empty. Complete before a node is registered, and constant from then on. (The
 * last frame of all, which would not fit, is none: a page table entry has fewer bits.)
 */
static struct mirror_stretch stretches[STRETCHES_MAX] = {
	{ .first = 0, .count = ULONG_MAX, .location = HMM_MIRROR_LOCATION_SYSTEM },
};
static unsigned int stretch_count = 1;

/* What is no system memory, and has not been added before. */
void mirror_location_add(unsigned long first, unsigned long count, u32 location)
{
	struct mirror_stretch around, *stretch = stretches;
	unsigned int index;

	if (WARN_ON_ONCE(stretch_count + 2 > STRETCHES_MAX))
		return;
	while (first - stretch->first >= stretch->count)
		stretch++;
	around = *stretch;
	for (index = stretch_count - 1; stretches + index > stretch; index--)
		stretches[index + 2] = stretches[index];
	stretch[0].count = first - around.first;
	stretch[1] = (struct mirror_stretch){ .first = first, .count = count, .location = location };
	stretch[2] = around;
	stretch[2].first = first + count;
	stretch[2].count = around.count - (stretch[0].count + count);
	stretch_count += 2;
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

/* The longest stretch around the frame, which some page table named. Constant. */
const struct mirror_stretch *mirror_location_find(unsigned long frame)
{
	const struct mirror_stretch *stretch = stretches;

	while (frame - stretch->first >= stretch->count)
		stretch++;
	return stretch;
}
