"""Wrong theorems: for each checked claim the slips that a hand would make, one module a subject.

They need numpy, scipy and the theory alone: they can be listed where torch is not installed.
"""
