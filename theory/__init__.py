"""The paper's statements, in numbers: bounds, exact laws and their sharper forms.

One subject a module: ``schedules``, ``posterior``, ``shells``, ``coverage``, ``small_noise``,
``locality``, ``large_noise``, ``flow_matching``. Needs numpy, scipy and sympy, nothing else.
Numbers in the docstrings (Theorem 4.2, Lemma B.1, ...) are those of *Two Calm Ends and the Wild
Middle*, arXiv 2602.17846.
"""
