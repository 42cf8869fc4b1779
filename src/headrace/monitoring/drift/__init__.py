"""The statistics of monitoring: what changed, whether it matters, and how sure that is.

Modules here take arrays and give records. They know no store, log, server or flow.

- `profile`: what a version is compared with, and its robustness ladder.
- `windows`: items that were asked, with their columns and the version's outputs.
- `comparison`: tests of inputs and answers of a window against the profile.
- `estimate`: performance without labels, where that can be estimated.
- `labels`: performance with labels that come late.
- `verdict`: what follows from all of them.
"""
