"""Uploads: the body of a request in memory, and never more of it than is allowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from images import MAX_BYTES
from serve.problems import Problem

OVERHEAD = 64 * 1024
"""Bytes that a form may need around its picture."""
HELD = 256 * 1024 * 1024
"""Bytes of all bodies that may be in memory at a time."""
SECONDS = 60.0
"""In which a body has to arrive."""
LINGER = 1024 * 1024
"""Bytes of a refused body that are still read, so that its sender hears why: a connection that is
closed with bytes unread is reset, and the answer may be lost with it."""

TOO_LARGE = "The picture is larger than 20 MiB: save it smaller, for example as JPEG."
NO_PICTURE = "No picture was sent: put its bytes in the body, or in a form's file called 'image'."


class Uploads:
    """All bodies that are being read."""

    def __init__(self, seconds: float = SECONDS, held: int = HELD) -> None:
        self.seconds, self.room = seconds, held

    @asynccontextmanager
    async def picture(self, request: Request) -> AsyncIterator[bytes]:
        """The bytes of the one picture in a request: its body, or the file in its form.

        They count as held until the block ends.  ``Problem`` where they cannot be had.
        """
        body = Body(self, request)
        try:
            yield await self.arrived(body)
        finally:
            self.room += body.size

    async def arrived(self, body: Body) -> bytes:
        try:
            async with asyncio.timeout(self.seconds):
                return await body.picture()
        except TimeoutError:
            raise Problem(408, "The picture did not arrive in time: send it again.") from None


class Body:
    """One body, counted as it comes."""

    def __init__(self, uploads: Uploads, request: Request) -> None:
        self.uploads, self.request, self.size = uploads, request, 0
        self.form = request.headers.get("content-type", "").lower().startswith("multipart/")
        self.limit = MAX_BYTES + (OVERHEAD if self.form else 0)

    async def picture(self) -> bytes:
        stream = self.request.stream()
        try:
            self.check_headers()
            data = await self.file(self.counted(stream)) if self.form else await self.whole(stream)
        except Problem:
            await linger(stream)
            raise
        except ClientDisconnect:
            raise Problem(400, "The picture was cut short: send it again.") from None
        if not data:
            raise Problem(400, NO_PICTURE)
        return data

    def check_headers(self) -> None:
        """Refuse what can be refused before its first byte is read."""
        if self.request.headers.get("content-encoding", "identity").lower() != "identity":
            raise Problem(415, "The body is compressed: send the picture as it is.")
        if int(self.request.headers.get("content-length", "0")) > self.limit:
            raise Problem(413, TOO_LARGE)

    async def counted(self, stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """The stream, refused as soon as it is too much for a picture or for all together."""
        async for chunk in stream:
            self.size += len(chunk)
            self.uploads.room -= len(chunk)
            if self.size > self.limit:
                raise Problem(413, TOO_LARGE)
            if self.uploads.room < 0:
                raise Problem(503, "Too many pictures are being sent: try again in a moment.", 2)
            yield chunk

    async def whole(self, stream: AsyncGenerator[bytes, None]) -> bytes:
        data = bytearray()
        async for chunk in self.counted(stream):
            data += chunk
        return bytes(data)

    async def file(self, stream: AsyncGenerator[bytes, None]) -> bytes:
        """The one file of a form."""
        parser = MultiPartParser(self.request.headers, stream, max_files=1, max_fields=8)
        parser.spool_max_size = self.limit  # all of it in memory: no file to clean up
        try:
            form = await parser.parse()
        except MultiPartException:
            raise Problem(400, f"The form cannot be read. {NO_PICTURE}") from None
        files = [part for part in form.values() if isinstance(part, UploadFile)]
        data = await files[0].read() if files else b""
        await form.close()
        if len(data) > MAX_BYTES:
            raise Problem(413, TOO_LARGE)
        return data


async def linger(stream: AsyncGenerator[bytes, None]) -> None:
    """Read on for a moment, and keep nothing."""
    size = 0
    with suppress(TimeoutError, ClientDisconnect):
        async with asyncio.timeout(1.0):
            async for chunk in stream:
                size += len(chunk)
                if size > LINGER:
                    return
