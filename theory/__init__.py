"""The paper's statements, in numbers: bounds, exact laws and their sharper forms.

One subject a module: ``denoising``, ``posterior``, ``shells``, ``coverage``, ``regimes``,
``small_noise``, ``locality``, ``large_noise``, ``flow_matching``, ``schedules``. ``claims`` states
each by its number and ``proofs`` checks the steps of its proof; ``chi_square`` and ``domain`` serve
all. Needs numpy, scipy and sympy, nothing else.
Numbers in the docstrings (Theorem 4.2, Lemma B.1, ...) are those of *Two Calm Ends and the Wild
Middle*, arXiv 2602.17846.
"""
