/* SPDX-License-Identifier: MIT */
/* One stream of bytes, from one file to another. */
#ifndef NODE_HMM_RELAY_H
#define NODE_HMM_RELAY_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

/* A port's driver takes at most this much in one write. */
#define RELAY_CHUNK 32768

struct relay {
	int from; /* -1 after its end */
	int to;	  /* -1 when nobody takes the bytes any more: they are read and dropped */
	size_t start, end; /* unsent bytes of the buffer */
	uint64_t relayed;
	uint64_t limit; /* bytes after which the stream ends, or UINT64_MAX */
	char buffer[RELAY_CHUNK];
};

void relay_open(struct relay *relay, int from, int to);
/* A stream that is not there. */
void relay_none(struct relay *relay);
/* There will be that many bytes in all; afterwards the far end is closed. */
void relay_end_after(struct relay *relay, uint64_t bytes);
/* Whether there may be more to move. */
int relay_active(const struct relay *relay);
/* What to wait for: the source in polled[0], the destination in polled[1]. */
void relay_poll(const struct relay *relay, struct pollfd polled[2]);
/* One step, after poll() said what is possible. */
void relay_move(struct relay *relay, const struct pollfd polled[2]);
void relay_close(struct relay *relay);

/* terminal.c */
/* Where the window's size is set; -1 without a terminal. */
extern int terminal_master;
/*
 * A new pseudo-terminal.
 * @size: "ROWS COLUMNS"
 * @slave: the command's end
 * Returns our end, which does not block.
 */
int open_terminal(const char *size, int *slave);
void resize_terminal(unsigned int rows, unsigned int columns);
/* Makes it the controlling terminal of this process, the leader of a session. */
int take_terminal(int slave);

#endif
