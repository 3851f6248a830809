"""Bodies of drawing calls: taken whole before their turn, so that a slow line holds up nobody. Large ones lie on the disk meanwhile."""
import json
import tempfile

# Up to here a body is looked into; pictures beyond are passed on unread.
READ_BYTES = 4 * 2**20
MOST_BYTES = 512 * 2**20
PIECE = 2**17


class TooLarge(Exception):
    pass


class Body:
    """Of a known length; `value` is its JSON, None where it is none or was not looked into."""

    def __init__(self, data=b"", file=None, length=0):
        self.data = data
        self.file = file
        self.length = length
        self.value = None
        if file is None and data:
            try:
                self.value = json.loads(data)
            except (ValueError, RecursionError):
                # The WebUI says what is wrong with it.
                pass

    def rewrite(self, value):
        self.value = value
        self.data = json.dumps(value).encode()
        self.length = len(self.data)

    def to_send(self):
        return self._pieces() if self.file else self.data

    async def _pieces(self):
        self.file.seek(0)
        while True:
            piece = self.file.read(PIECE)
            if not piece:
                return
            yield piece

    def close(self):
        if self.file:
            self.file.close()


async def read_body(request):
    """Raises TooLarge."""
    if (request.content_length or 0) > MOST_BYTES:
        raise TooLarge
    pieces, length, file = [], 0, None
    try:
        async for piece in request.content.iter_chunked(PIECE):
            length += len(piece)
            if length > MOST_BYTES:
                raise TooLarge
            if file is None and length > READ_BYTES:
                file = tempfile.TemporaryFile(prefix="gate-")
                for before in pieces:
                    file.write(before)
                pieces = []
            if file is None:
                pieces.append(piece)
            else:
                file.write(piece)
    except BaseException:
        if file:
            file.close()
        raise
    return Body(b"".join(pieces), file, length)
