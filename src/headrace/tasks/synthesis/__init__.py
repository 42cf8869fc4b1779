"""Speech synthesis: the sound of a text in a voice.

A row is a recording, with its text as the label and its speaker as the group. A model
is asked for a text, a speaker, a variation and a length, and answers with a waveform
``(samples,)`` that is silent after its end. The texts are the ones that the data has;
longer messages are joined from them.

The score of a test row is whether a recogniser hears the text and the speaker in the
answer. The recogniser learns from real recordings of the train split alone.
"""
