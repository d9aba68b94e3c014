"""Tests of `simsearch serve`, by real processes and real sockets."""
