"""Puts a process together out of settings: the only place that knows all the others.

settings.py        what is configured: a section of each feature
roles/             one file for each thing a process may be: gateway, keeper, api
contributions.py   what a role adds to the process
sharing.py         which stores several processes may share
node.py            one process: stores, then roles, then doors
"""
