// SPDX-License-Identifier: MIT
/* One stream of bytes, from one file to another. */
#include "guest.h"
#include "relay.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

void relay_open(struct relay *relay, int from, int to)
{
	relay->from = from;
	relay->to = to;
	relay->start = relay->end = 0;
	relay->relayed = 0;
	relay->limit = UINT64_MAX;
}

void relay_none(struct relay *relay)
{
	relay_open(relay, -1, -1);
}

static void close_file(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void relay_close(struct relay *relay)
{
	close_file(&relay->from);
	close_file(&relay->to);
}

static void close_at_limit(struct relay *relay)
{
	if (relay->start == relay->end && relay->relayed >= relay->limit)
		relay_close(relay);
}

void relay_end_after(struct relay *relay, uint64_t bytes)
{
	relay->limit = bytes;
	close_at_limit(relay);
}

int relay_active(const struct relay *relay)
{
	return relay->from >= 0;
}

void relay_poll(const struct relay *relay, struct pollfd polled[2])
{
	int full = relay->start < relay->end;

	polled[0] = (struct pollfd){ .fd = full ? -1 : relay->from, .events = POLLIN };
	polled[1] = (struct pollfd){ .fd = full ? relay->to : -1, .events = POLLOUT };
}

/* Returns false if there is nothing to send now. */
static int fill(struct relay *relay)
{
	ssize_t n = read(relay->from, relay->buffer, RELAY_CHUNK);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	/* EIO: a terminal that the last process has closed. */
	if (n < 0 && errno != EIO)
		fail("reading a stream of the command: %s", strerror(errno));
	if (n <= 0) {
		close_file(&relay->from);
		return 0;
	}
	relay->start = 0;
	relay->end = (size_t)n;
	return 1;
}

static void drain(struct relay *relay)
{
	ssize_t n = (ssize_t)(relay->end - relay->start);

	if (relay->to >= 0) {
		n = write(relay->to, relay->buffer + relay->start, relay->end - relay->start);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			return;
		/* EPIPE, EIO: the command has closed its input. */
		if (n < 0 && errno != EPIPE && errno != EIO)
			fail("writing a stream of the command: %s", strerror(errno));
		if (n < 0) {
			close_file(&relay->to);
			return drain(relay);
		}
	}
	relay->start += (size_t)n;
	relay->relayed += (uint64_t)n;
	close_at_limit(relay);
}

void relay_move(struct relay *relay, const struct pollfd polled[2])
{
	if (relay->from < 0 && relay->start == relay->end)
		return;
	/* The destination is nearly always free: try at once, without another poll(). */
	if (relay->start == relay->end && polled[0].fd >= 0 && polled[0].revents) {
		if (fill(relay))
			drain(relay);
	} else if (relay->start < relay->end && (relay->to < 0 || polled[1].revents)) {
		drain(relay);
	}
}
