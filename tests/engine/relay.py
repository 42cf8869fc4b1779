"""Hands connections to a port on to another, as ``ssh -L`` does between machines.

Usage: ``python relay.py HOST PORT TARGET_HOST TARGET_PORT``.
"""

import asyncio
import contextlib
import sys


async def copy(reader, writer):
    """Everything from one side to the other, until either ends."""
    with contextlib.suppress(OSError):
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()
    writer.close()


async def main(host, port, *target):
    """Relay until this process is killed."""

    async def relay(reader, writer):
        try:
            there, back = await asyncio.open_connection(*target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(copy(reader, back), copy(there, writer))

    server = await asyncio.start_server(relay, host, port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
