"""Helpers of the community playbook: data, methods, playbook and report.

Data walks one way: ``source -> contract -> method -> finding -> action -> report``.
Nothing is imported here, so that ``playbook --help`` stays fast.
"""
