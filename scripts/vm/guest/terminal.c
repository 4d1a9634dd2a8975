// SPDX-License-Identifier: MIT
/* The command's terminal: a pseudo-terminal, whose other end is the host's terminal. */
#include "guest.h"
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int terminal_master = -1;

int open_terminal(const char *size, int *slave)
{
	unsigned int rows = 24, columns = 80;
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);

	if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0)
		fail("making a terminal: %s (this kernel may have none; without a terminal: vm … < /dev/null)",
		     strerror(errno));
	*slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (*slave < 0)
		fail("opening %s: %s", ptsname(master), strerror(errno));
	terminal_master = master;
	sscanf(size, "%u %u", &rows, &columns);
	resize_terminal(rows, columns);
	return master;
}

void resize_terminal(unsigned int rows, unsigned int columns)
{
	const struct winsize size = { .ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns };

	/* The kernel tells the foreground programs (SIGWINCH). */
	if (terminal_master >= 0 && ioctl(terminal_master, TIOCSWINSZ, &size) != 0)
		fail("setting the size of the terminal: %s", strerror(errno));
}

int take_terminal(int slave)
{
	return ioctl(slave, TIOCSCTTY, 0);
}
