"""The ``motiontok`` command line: one file a command."""
