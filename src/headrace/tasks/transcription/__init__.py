"""Transcription: a sequence of words or characters is learned of each item.

A network gives probabilities for each step of time. It is trained with connectionist
temporal classification (CTC), which needs no alignment of the transcript.
"""
