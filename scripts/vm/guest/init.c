// SPDX-License-Identifier: MIT
/* The order of a run; guest.h says what the parts are. */
#include "guest.h"

#include <errno.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* What a machine that only measures booting says on its console; scripts/vm/accelerator.ts waits for it. */
static const char bare_marker[] = "node-hmm: first program\n";

int main(int argc, char **argv)
{
	struct job job;
	struct utsname name;
	int module = -1;

	/* The last one: the kernel passes on what it does not know of its own command line, too. */
	if (strcmp(argv[argc - 1], "bare") == 0) {
		/* Standard output is the console; if that fails the host sees no marker, which is the right verdict. */
		ssize_t written = write(STDOUT_FILENO, bare_marker, sizeof(bare_marker) - 1);
		(void)written;
		power_off();
	}

	mount_early();
	load_boot_modules();
	control_open();
	uname(&name);
	control_say("boot %s", name.release);
	control_read_job(&job);

	change_root();
	/* Before scratch space may cover it. */
	module = open_module(&job);
	mount_view(&job);
	tune_kernel();
	if (module >= 0)
		load_module(module, &job);

	run_command(&job);

	unmount_writable(&job);
	if (module >= 0)
		unload_module(&job);
	/* Only now: what the module should have freed when it went is a leak, too. */
	report_leaks();
	control_say("done");
	control_wait_drained();
	power_off();
}
