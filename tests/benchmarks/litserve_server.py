"""LitServe around a session of ONNX Runtime.

Usage: ``python litserve_server.py MODEL.onnx PORT SHAPE``, such as ``28,28,1``.
"""

from __future__ import annotations

import sys
from typing import Any

import litserve
import numpy as np
import onnxruntime


class Digits(litserve.LitAPI):  # type: ignore[misc]
    """Raw bytes of one item to probabilities."""

    def setup(self, device: str) -> None:
        """Open the session."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            sys.argv[1], options, providers=["CPUExecutionProvider"]
        )
        self.name = self.session.get_inputs()[0].name
        self.shape = tuple(map(int, sys.argv[3].split(",")))

    def decode_request(self, request):  # LitServe would read a type as a string
        """The item."""
        return np.array(request["pixels"], np.float32).reshape(1, *self.shape)

    def predict(self, item: Any) -> Any:
        """Its probabilities."""
        return self.session.run(None, {self.name: item})[0][0]

    def encode_response(self, outputs: Any) -> dict[str, Any]:
        """As JSON."""
        return {"probabilities": outputs.tolist()}


if __name__ == "__main__":
    litserve.LitServer(Digits(), accelerator="cpu").run(
        port=int(sys.argv[2]), generate_client_file=False, log_level="warning"
    )
