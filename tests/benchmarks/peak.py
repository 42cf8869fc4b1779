"""Prints what this machine can multiply at best, in GFLOP/s of float32.

The best of many products of two 2048 x 2048 matrices in TensorFlow.
"""

import sys
import time

import tensorflow as tf

SIDE = 2048
PRODUCTS = 40

a, b = tf.random.normal((SIDE, SIDE)), tf.random.normal((SIDE, SIDE))
seconds = []
for _ in range(PRODUCTS):
    started = time.perf_counter()
    tf.matmul(a, b).numpy()
    seconds.append(time.perf_counter() - started)
sys.stdout.write(f"{2 * SIDE**3 / min(seconds) / 1e9}\n")
