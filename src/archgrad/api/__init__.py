"""The functions that mirror the command line's verbs, one file each."""
