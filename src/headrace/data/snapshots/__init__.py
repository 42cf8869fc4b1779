"""Snapshots of data sets: Parquet shards by content hash, and a manifest.

The name of a snapshot is its digest: of the sorted (item, split, label, group), where
the item is the sha256 of the decoded bytes, and of the rejected items with their names
and reasons. One item is one row::

    item   sha256 of the decoded bytes, hex     split  train | val | test
    label  one of the classes                   name   its place in the source
    group  such as the speaker; empty if there is none
    <medium>  image: uint8 (height, width, channels) and audio: int16 (samples,), as
              bytes of one size; text: a string

Rows are in hash order, so any contiguous range of rows is a random sample, and equal
items are neighbours in one shard.
"""
