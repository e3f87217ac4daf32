"""Assembles a process from its settings; the only package that imports all the others.

settings.py        the settings, with a section of each feature
roles/             the roles of a process, a file each: gateway, keeper, api
process.py         the stores and services that all roles of a process use
contributions.py   routes, tasks, doors and health checks that a role adds to the process
sharing.py         which stores several processes may share
node.py            opens a process: stores, then roles, then doors
"""
