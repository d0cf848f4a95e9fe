"""``python -m motiontok``, which is also how ``torchrun -m motiontok`` enters."""

from motiontok.cli.main import main

if __name__ == "__main__":
    main()
