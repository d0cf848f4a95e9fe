"""``python -m motiontok``; ``torchrun -m motiontok`` enters here too."""

from motiontok.cli.main import main

if __name__ == "__main__":
    main()
