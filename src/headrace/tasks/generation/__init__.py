"""Generation: a language model of texts, character by character.

A row is a document: begin, text, end. Nothing is known from other rows. The saved model
takes code points, int32 ``(n, characters)`` padded with zeros, and answers with float32
``(n, 2)``: the negative log probability in nats of each document with its end, and the
number of its characters, the end included. So its score is nats per character, and a
text has one probability however it is written.

Inside the saved model there is a model called ``next``: from ids ``(batch, length)``
and states to logits ``(batch, length, ids)`` and states. It writes texts.
"""
