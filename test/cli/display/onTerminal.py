"""Runs a command on a terminal of its own: onTerminal.py COLUMNS ROWS COMMAND…; what it writes goes to standard output as it is.
A line `COLUMNS ROWS` on standard input gives the terminal another size; where in the output that was, ESC ] 7001;COLUMNS;ROWS BEL tells."""
import fcntl, os, pty, select, signal, struct, sys, termios

def resize(fd, columns, rows):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

columns, rows, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
pid, fd = pty.fork()
if pid == 0:
    # The size is set before the command looks at it.
    resize(0, columns, rows)
    os.execvp(command[0], command)
signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGTERM))
inputs = [fd, 0]
while True:
    ready, _, _ = select.select(inputs, [], [])
    if 0 in ready:
        line = sys.stdin.readline()
        if line == "":
            inputs = [fd]
        else:
            columns, rows = map(int, line.split())
            # What was written for the old size comes first.
            while select.select([fd], [], [], 0)[0]:
                data = os.read(fd, 65536)
                if data == b"":
                    break
                os.write(1, data)
            resize(fd, columns, rows)
            os.write(1, b"\x1b]7001;%d;%d\x07" % (columns, rows))
    if fd in ready:
        try:
            data = os.read(fd, 65536)
        except OSError:
            data = b""
        if data == b"":
            break
        os.write(1, data)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
