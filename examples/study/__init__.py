"""The study: the paper's experiment again, and when the method helps.

Each study is a module to run from the repository's folder, for instance
``PYTHONPATH=examples python -m study.keel --jobs 2``; ``make study`` runs them all.
"""
