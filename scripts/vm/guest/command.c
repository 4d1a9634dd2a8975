// SPDX-License-Identifier: MIT
/* Runs the command, and passes its input and output on, byte for byte. */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "relay.h"

/* What the command gets as its standard streams; our own ends are the relays'. */
struct ends {
	int in, out, err;
	int terminal; /* its controlling terminal, or -1 */
};

static struct relay output[2]; /* of standard output and standard error */
static struct relay input;

static void make_pipe(int *read_end, int *write_end)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) != 0)
		fail("pipe: %s", strerror(errno));
	*read_end = ends[0];
	*write_end = ends[1];
}

static int open_port_or_fail(unsigned int port, int flags)
{
	int fd = open_port(port, flags | O_NONBLOCK);

	if (fd < 0)
		fail("opening port %u: %s", port, strerror(errno));
	return fd;
}

/*
 * The command writes into a pipe or a terminal, not into the port: a port can be opened once only,
 * so that /dev/stdout would not work, and programs treat a pipe as what they know.
 */
static void open_streams(const struct job *job, struct ends *ends)
{
	int master = -1, read_end, write_end;

	ends->in = ends->out = ends->err = ends->terminal = -1;
	if (job->terminal) {
		master = open_terminal(job->terminal, &ends->terminal);
		ends->in = ends->out = ends->terminal;
		if (job->terminal_error)
			ends->err = ends->terminal;
		relay_open(&output[0], master, open_port_or_fail(2, O_WRONLY));
	} else {
		make_pipe(&read_end, &ends->out);
		relay_open(&output[0], read_end, open_port_or_fail(2, O_WRONLY));
	}
	if (ends->err < 0) {
		make_pipe(&read_end, &ends->err);
		relay_open(&output[1], read_end, open_port_or_fail(3, O_WRONLY));
	} else {
		relay_none(&output[1]);
	}

	relay_none(&input);
	if (job->terminal) {
		/* Of the master two descriptors, so that each relay closes its own. */
		write_end = fcntl(master, F_DUPFD_CLOEXEC, 0);
		if (write_end < 0)
			fail("duplicating the terminal: %s", strerror(errno));
		relay_open(&input, open_port_or_fail(4, O_RDONLY), write_end);
		terminal_master = write_end;
	} else if (job->input) {
		make_pipe(&ends->in, &write_end);
		if (fcntl(write_end, F_SETFL, O_NONBLOCK) != 0)
			fail("fcntl: %s", strerror(errno));
		relay_open(&input, open_port_or_fail(4, O_RDONLY), write_end);
	} else {
		ends->in = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (ends->in < 0)
			fail("/dev/null: %s", strerror(errno));
	}
}

static void close_ends(const struct ends *ends)
{
	close(ends->in);
	if (ends->out != ends->in)
		close(ends->out);
	if (ends->err != ends->out)
		close(ends->err);
}

static void execute(const struct job *job, const struct ends *ends) __attribute__((noreturn));
static void execute(const struct job *job, const struct ends *ends)
{
	sigset_t none;

	setsid();
	if (ends->terminal >= 0 && take_terminal(ends->terminal) != 0)
		_exit(126);
	/* dup2 clears close-on-exec on the copies. */
	if (dup2(ends->in, 0) < 0 || dup2(ends->out, 1) < 0 || dup2(ends->err, 2) < 0)
		_exit(126);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	/* execvp looks the command up in the PATH of the environment that the command gets. */
	environ = job->env.items;
	execvp(job->argv.items[0], job->argv.items);
	fprintf(stderr, "node-hmm vm: cannot run %s: %s\n", job->argv.items[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static void report_status(int status)
{
	if (WIFSIGNALED(status))
		control_say("signal %d", WTERMSIG(status));
	else
		control_say("exit %d", WEXITSTATUS(status));
}

/* Reaps what has ended; false when there is no process left. */
static int reap(pid_t command, int *ended)
{
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid == 0)
			return 1;
		if (pid < 0)
			return errno != ECHILD;
		if (pid == command) {
			report_status(status);
			/*
			 * What the command left behind ends with it: it would hold the pipes and the module for ever.
			 * kill(-1) leaves out only this process and kernel threads.
			 */
			kill(-1, SIGKILL);
			*ended = 1;
		}
	}
}

/* What the host says while the command runs. */
static void listen_to_host(void)
{
	char line[64];
	unsigned long long bytes;
	unsigned int rows, columns;

	while (control_read_line(line, sizeof(line))) {
		if (sscanf(line, "end-of-input %llu", &bytes) == 1)
			relay_end_after(&input, bytes);
		else if (sscanf(line, "resize %u %u", &rows, &columns) == 2)
			resize_terminal(rows, columns);
		else
			fail("the host said \"%s\" while the command was running", line);
	}
}

void run_command(const struct job *job)
{
	struct signalfd_siginfo info;
	struct ends ends;
	int signals, ended = 0, processes = 1;
	sigset_t mask;
	pid_t command;

	/* A command that does not read its input to the end is none of our errors. */
	signal(SIGPIPE, SIG_IGN);
	open_streams(job, &ends);
	/* Blocked before the fork, so that no end of the command is missed. */
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		fail("signalfd: %s", strerror(errno));

	command = fork();
	if (command < 0)
		fail("fork: %s", strerror(errno));
	if (command == 0)
		execute(job, &ends);
	close_ends(&ends);
	control_say("started");

	while (processes || relay_active(&output[0]) || relay_active(&output[1])) {
		struct pollfd polled[8] = { { .fd = signals, .events = POLLIN },
					    { .fd = control_descriptor(), .events = POLLIN } };

		relay_poll(&output[0], &polled[2]);
		relay_poll(&output[1], &polled[4]);
		relay_poll(&input, &polled[6]);
		if (poll(polled, 8, -1) < 0) {
			if (errno != EINTR)
				fail("poll: %s", strerror(errno));
			continue;
		}
		/* Emptied, so that the next poll() sleeps; what it said is learnt by waitpid. */
		while (polled[0].revents && read(signals, &info, sizeof(info)) == sizeof(info))
			;
		if (polled[1].revents)
			listen_to_host();
		relay_move(&output[0], &polled[2]);
		relay_move(&output[1], &polled[4]);
		relay_move(&input, &polled[6]);
		if (polled[0].revents)
			processes = reap(command, &ended);
	}
	relay_close(&input);
	control_say("output %llu %llu", (unsigned long long)output[0].relayed,
		    (unsigned long long)output[1].relayed);
}
