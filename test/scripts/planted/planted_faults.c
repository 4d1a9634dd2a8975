// SPDX-License-Identifier: GPL-2.0-only
/*
 * Faults planted on purpose, one of each kind that a debug kernel must report and the runner must find: loaded instead
 * of hmm_mirror by the test of the runner itself.
 */
#include <linux/bug.h>
#include <linux/compiler.h>
#include <linux/init.h>
#include <linux/module.h>
#include <linux/panic.h>
#include <linux/slab.h>
#include <linux/string.h>

#define OBJECTS 16
#define OBJECT_SIZE 96

static char *fault = "all";
module_param(fault, charp, 0444);
MODULE_PARM_DESC(fault, "all (default): what a debug kernel reports and survives; warning, oops, panic: that alone");

static noinline void leak(void)
{
	void *object = kmalloc(OBJECT_SIZE, GFP_KERNEL);

	/* Used, as far as the compiler can tell: it would leave out an allocation that nobody looks at. */
	OPTIMIZER_HIDE_VAR(object);
}

static int __init planted_faults_init(void)
{
	volatile char *freed;

	if (!strcmp(fault, "oops"))
		WRITE_ONCE(*(volatile int *)8, 1); /* a null pointer */
	if (!strcmp(fault, "panic"))
		panic("planted");
	if (!strcmp(fault, "warning")) {
		WARN_ON(true);
		return 0;
	}
	if (strcmp(fault, "all"))
		return -EINVAL;

	/*
	 * Several: kmemleak takes any word that happens to hold an object's address for a reference, and one may be left
	 * in a register or on a stack.
	 */
	for (int i = 0; i < OBJECTS; i++)
		leak();

	freed = kmalloc(OBJECT_SIZE, GFP_KERNEL);
	if (!freed)
		return -ENOMEM;
	kfree((void *)freed);
	/* KASAN: slab-use-after-free; only read, so that nothing is damaged. */
	(void)*freed;

	WARN_ON(true);
	return 0;
}

static void __exit planted_faults_exit(void)
{
}

module_init(planted_faults_init);
module_exit(planted_faults_exit);
MODULE_DESCRIPTION("faults that a debug kernel must report");
MODULE_LICENSE("GPL");
