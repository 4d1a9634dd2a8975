/* SPDX-License-Identifier: MIT */
/*
 * The guest's first program: what its files share.
 *
 * PID 1 of the virtual machine. The host says over the control port what to do (struct job). This
 * program mounts the host's files, loads the module, runs the one command, relays its input and
 * output, each stream over a port of its own, and reports over the control port, one line an event:
 *
 *   boot RELEASE            the first program runs; RELEASE is uname -r
 *   started                 the command is being executed
 *   exit CODE | signal N    how the command ended
 *   output OUT ERR          bytes relayed of its standard output and standard error, in all
 *   unloaded | loaded ERRNO the module is gone, or why it could not be removed
 *   failed TEXT             the machine could not be set up; nothing follows
 *   done                    nothing follows; the machine goes down when the host answers
 *
 * After the job the host says, one line each as well:
 *
 *   end-of-input N          the command's standard input ends after so many bytes
 *   resize ROWS COLUMNS     the window of its terminal has another size
 *   drained                 all output has arrived: the answer to "done"
 */
#ifndef NODE_HMM_GUEST_H
#define NODE_HMM_GUEST_H

#include <stddef.h>

/* Where the host's file system is mounted until it becomes the root. */
#define HOST_ROOT "/root"

struct list {
	char **items; /* NULL-terminated, as execve wants it */
	size_t count;
};

/* What the host asks for. All strings are owned by the job and live as long as the program. */
struct job {
	const char *module;     /* path of the module on the host, or NULL; its name is the file's */
	const char *parameters; /* for the module, as insmod takes them */
	const char *cwd;
	struct list scratch;  /* directories to cover with an empty, writable file system */
	struct list keep;     /* paths below scratch directories that stay visible (read-only) */
	struct list writable; /* directories to mount writable; number i has the 9p tag "writable<i>" */
	const char *terminal; /* "ROWS COLUMNS" of a terminal for the command's input and output, or NULL */
	int terminal_error;   /* and for its standard error */
	int input;	      /* standard input comes over its port; else it is /dev/null */
	struct list env;
	struct list argv;
};

/* control.c */
void control_open(void);
void control_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void control_read_job(struct job *job);
/* For poll(). */
int control_descriptor(void);
/* The next line that the host has sent, without its end; false if none has arrived whole. Does not block. */
int control_read_line(char *line, size_t size);
/* Returns when the host has said that it has all output. */
void control_wait_drained(void);
/* Reports a set-up that cannot go on and takes the machine down. */
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/* Takes the machine down at once: QEMU runs with -no-reboot and ends. */
void power_off(void) __attribute__((noreturn));

/* mounts.c */
void mount_early(void);
/* Makes the host's file system the root. */
void change_root(void);
/* Puts this machine's own file systems and the job's over it. */
void mount_view(const struct job *job);
void unmount_writable(const struct job *job);

/* modules.c */
void load_boot_modules(void);
int open_module(const struct job *job);
/* Loads the module and closes its file. */
void load_module(int fd, const struct job *job);
void unload_module(const struct job *job);

/* leaks.c */
/* Prints what a kernel with kmemleak knows of memory that nobody refers to any more; takes seconds. */
void report_leaks(void);

/* tune.c */
void tune_kernel(void);

/* command.c */
void run_command(const struct job *job);

/* Opens a port of the virtual machine: 1 control, 2 standard output, 3 standard error, 4 standard input. */
int open_port(unsigned int number, int flags);

#endif
