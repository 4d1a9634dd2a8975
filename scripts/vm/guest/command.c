// SPDX-License-Identifier: MIT
/* Runs the command and relays its output byte for byte. */
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

/* The port's driver takes at most this much in one write. */
#define CHUNK 32768

/*
 * One stream of the command. The command writes into a pipe, not into the port: a port can be opened once
 * only, so that /dev/stdout would not work, and programs treat a pipe as what they know.
 */
struct stream {
	int pipe; /* read end; -1 after end of file */
	int port;
	size_t start, end; /* unsent bytes of the buffer */
	uint64_t relayed;
	char buffer[CHUNK];
};

static struct stream streams[2];

static void open_stream(struct stream *stream, unsigned int port, int *write_end)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) != 0)
		fail("pipe: %s", strerror(errno));
	stream->pipe = ends[0];
	*write_end = ends[1];
	stream->port = open_port(port, O_WRONLY | O_NONBLOCK);
	if (stream->port < 0)
		fail("opening output port %u: %s", port, strerror(errno));
}

static void execute(const struct job *job, int out, int err) __attribute__((noreturn));
static void execute(const struct job *job, int out, int err)
{
	sigset_t none;
	int null = open("/dev/null", O_RDONLY);

	/* dup2 clears close-on-exec on the copies. */
	if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		_exit(126);
	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* execvp looks the command up in the PATH of the environment that the command gets. */
	environ = job->env.items;
	execvp(job->argv.items[0], job->argv.items);
	fprintf(stderr, "node-hmm vm: cannot run %s: %s\n", job->argv.items[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

/* One step of a stream after poll() said what is possible. */
static void relay(struct stream *stream, short pipe_events, short port_events)
{
	ssize_t n;

	if (stream->start == stream->end && (pipe_events & (POLLIN | POLLHUP))) {
		n = read(stream->pipe, stream->buffer, CHUNK);
		if (n < 0) {
			if (errno != EINTR)
				fail("reading the command's output: %s", strerror(errno));
			return;
		}
		if (n == 0) {
			close(stream->pipe);
			stream->pipe = -1;
			return;
		}
		stream->start = 0;
		stream->end = (size_t)n;
		/* The port is nearly always free: try at once, without another poll(). */
		port_events = POLLOUT;
	}
	if (stream->start < stream->end && (port_events & POLLOUT)) {
		n = write(stream->port, stream->buffer + stream->start, stream->end - stream->start);
		if (n < 0) {
			if (errno != EINTR && errno != EAGAIN)
				fail("sending the command's output: %s", strerror(errno));
			return;
		}
		stream->start += (size_t)n;
		stream->relayed += (uint64_t)n;
	}
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

void run_command(const struct job *job)
{
	struct signalfd_siginfo info;
	int ends[2], signals, ended = 0, processes = 1;
	sigset_t mask;
	pid_t command;

	for (unsigned int i = 0; i < 2; i++)
		open_stream(&streams[i], 2 + i, &ends[i]);
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
		execute(job, ends[0], ends[1]);
	close(ends[0]);
	close(ends[1]);
	control_say("started");

	while (processes || streams[0].pipe >= 0 || streams[1].pipe >= 0) {
		struct pollfd polled[5] = { { .fd = signals, .events = POLLIN } };

		for (int i = 0; i < 2; i++) {
			int full = streams[i].start < streams[i].end;

			polled[1 + 2 * i] = (struct pollfd){ .fd = full ? -1 : streams[i].pipe, .events = POLLIN };
			polled[2 + 2 * i] = (struct pollfd){ .fd = full ? streams[i].port : -1, .events = POLLOUT };
		}
		if (poll(polled, 5, -1) < 0) {
			if (errno != EINTR)
				fail("poll: %s", strerror(errno));
			continue;
		}
		/* Emptied, so that the next poll() sleeps; what it said is learnt by waitpid. */
		while (polled[0].revents && read(signals, &info, sizeof(info)) == sizeof(info))
			;
		for (int i = 0; i < 2; i++)
			relay(&streams[i], polled[1 + 2 * i].revents, polled[2 + 2 * i].revents);
		if (polled[0].revents)
			processes = reap(command, &ended);
	}
	control_say("output %llu %llu", (unsigned long long)streams[0].relayed, (unsigned long long)streams[1].relayed);
}
