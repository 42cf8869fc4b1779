"""The least that a server can be: uvicorn, one handler, one session of ONNX Runtime.

Usage: ``python bare_server.py MODEL.onnx PORT SHAPE``, such as ``28,28,1``.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import onnxruntime
import uvicorn


def application(path: str, shape: tuple[int, ...]) -> Any:
    """An ASGI application that answers raw bytes of one item with probabilities."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        path, options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        item = np.frombuffer(body, np.uint8).reshape(1, *shape).astype(np.float32)
        (outputs,) = session.run(None, {name: item})
        text = json.dumps({"probabilities": outputs[0].tolist()}).encode()
        headers = [(b"content-type", b"application/json")]
        headers.append((b"content-length", b"%d" % len(text)))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": text})

    return app


if __name__ == "__main__":
    uvicorn.run(
        application(sys.argv[1], tuple(map(int, sys.argv[3].split(",")))),
        port=int(sys.argv[2]),
        log_level="warning",
        access_log=False,
        lifespan="off",
    )
