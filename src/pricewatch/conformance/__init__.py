"""A feed server that misbehaves on purpose, and a suite that any client can be run against."""
