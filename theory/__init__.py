"""The paper's statements, in numbers: bounds, exact values and their sharper forms.

One subject a module, see ``SUBJECTS``. ``claims`` states each by its number and ``proofs`` checks
the steps of its proof; ``domain`` serves all. Needs numpy, scipy and sympy, nothing else.
Numbers in the docstrings (Theorem 4.2, Lemma B.1, ...) are those of *Two Calm Ends and the Wild
Middle*, arXiv 2602.17846.
"""

SUBJECTS = (
    "denoising",
    "posterior",
    "shells",
    "coverage",
    "small_noise",
    "locality",
    "large_noise",
    "flow_matching",
    "schedules",
    "spectrum",
    "population",
    "copying",
    "regimes",
    "copies",
)
"""The subjects' modules, here and in ``claims`` and ``proofs``, in the paper's order."""
