"""The online server: versions of models behind HTTP, in one process.

It answers the Open Inference Protocol v2 and a plain route that takes what people have:
an image, a sound or a text. The process never imports TensorFlow.
"""
