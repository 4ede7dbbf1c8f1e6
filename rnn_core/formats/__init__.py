"""Containers: a file's bytes to arrays by name and a config. Knows no layer."""
