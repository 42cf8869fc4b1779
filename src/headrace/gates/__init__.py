"""Gates: what a model must satisfy to be promoted. A missing number never passes.

`kinds` compares one number with its bound, or asks the kind that a gate names.
`champion` is the policy of the comparison with the champion; its statistics are in
`paired`.
"""
